"""Who is ended when something runs out: the one who is over, else the one who holds most."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from assistant.sandbox.jailed import Jailed, Usage
from assistant.sandbox.limits import Limits
from assistant.sandbox.watchdog import Floors, Over, Watchdog, free_disk

WAIT = 60
NONE = Usage(memory=0, processes=1, disk=0, files=0, tmp=0)
PLENTY = Floors(memory=0, disk=0)


@dataclass
class Program:
    """Stands where `Jailed` stands; ended, it uses nothing."""

    used: Usage | OSError
    work: Path
    kills: int = 0
    looked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    pid: int = 1

    @property
    def what(self) -> SimpleNamespace:
        return SimpleNamespace(limits=Limits(), work=self.work)

    def usage(self, _: object) -> Usage:
        self.looked.release()
        if isinstance(self.used, OSError):
            raise self.used
        return self.used

    def kill(self) -> None:
        self.kills += 1

    @property
    def jailed(self) -> Jailed:
        return cast(Jailed, self)


@dataclass
class Ended:
    """What the watchdog has told."""

    told: list[tuple[object, Over]] = field(default_factory=list)
    once: threading.Event = field(default_factory=threading.Event)

    def __call__(self, jailed: Jailed, limit: Over) -> None:
        self.told.append((jailed, limit))
        self.once.set()


@contextmanager
def watching(ended: Ended, floors: Floors, *programs: Program) -> Iterator[Watchdog]:
    made = Watchdog(ended, floors)
    for each in programs:
        made.add(each.jailed)
    try:
        yield made
    finally:
        made.close()


def looked_at(program: Program, times: int = 1) -> None:
    for _ in range(times):
        assert program.looked.acquire(timeout=WAIT)


def test_who_is_over_is_killed_once_and_told_of_and_nobody_else(tmp_path: Path) -> None:
    greedy = Program(replace(NONE, memory=2 << 30), tmp_path)
    modest = Program(replace(NONE, memory=1 << 20), tmp_path)
    ended = Ended()
    with watching(ended, PLENTY, greedy, modest):
        assert ended.once.wait(WAIT)
        looked_at(modest, 4)
    assert ended.told == [(greedy, Over.MEMORY)]
    assert (greedy.kills, modest.kills) == (1, 0)


@pytest.mark.parametrize(
    ("floors", "limit"),
    [
        (Floors(memory=1 << 60, disk=0), Over.MACHINE_MEMORY),
        (Floors(memory=0, disk=1 << 60), Over.MACHINE_DISK),
    ],
)
def test_when_the_machine_runs_out_the_one_who_holds_most_of_that_goes_first(
    floors: Floors, limit: Over, tmp_path: Path
) -> None:
    memory = Program(replace(NONE, memory=100, disk=1), tmp_path)
    disk = Program(replace(NONE, memory=1, disk=60, tmp=60), tmp_path)
    small = Program(replace(NONE, memory=2, disk=70), tmp_path)
    ended = Ended()
    with watching(ended, floors) as made:
        with made._lock:  # all at once, so that the first look sees all three
            made._sessions = {id(each): each.jailed for each in (small, memory, disk)}
        assert ended.once.wait(WAIT)
    assert ended.told[0] == (memory if limit is Over.MACHINE_MEMORY else disk, limit)


def test_a_session_that_is_being_closed_is_passed_over(tmp_path: Path) -> None:
    closing = Program(FileNotFoundError("work"), tmp_path)
    greedy = Program(replace(NONE, files=9999), tmp_path)
    ended = Ended()
    with watching(ended, PLENTY, closing) as made:
        looked_at(closing, 2)
        made.add(greedy.jailed)
        assert ended.once.wait(WAIT)
    assert ended.told == [(greedy, Over.FILES)]


def test_who_was_discarded_is_not_looked_at(tmp_path: Path) -> None:
    program, other = Program(NONE, tmp_path), Program(NONE, tmp_path)
    with watching(Ended(), PLENTY, program, other) as made:
        looked_at(program)
        made.discard(program.jailed)
        looked_at(other, 2)
        while program.looked.acquire(blocking=False):
            pass
        looked_at(other, 3)
        assert not program.looked.acquire(blocking=False)


def test_without_sessions_an_exhausted_machine_is_nobodys_fault() -> None:
    ended = Ended()
    made = Watchdog(ended, Floors(memory=1 << 60, disk=1 << 60))
    made._look([])
    made.close()
    assert ended.told == []


def test_a_long_look_is_followed_by_a_longer_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    made = Watchdog(Ended(), PLENTY)
    made.close()
    stops = iter([False, False, True])

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return next(stops)

    monkeypatch.setattr(made._stop, "wait", wait)
    made._run()
    assert rests == [0.1, 10.0, 10.0]


def test_by_default_the_machine_keeps_half_a_gigabyte_of_each() -> None:
    assert Floors() == Floors(memory=512 << 20, disk=512 << 20)


def test_a_folder_that_is_gone_says_nothing_of_the_disk(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "gone") == 1 << 62
    assert 0 < free_disk(tmp_path) < 1 << 60
