"""Starting, stopping and ending a confined program; nothing is left of it."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from outside import SYSTEM_PYTHON

from assistant.errors import SandboxFailed
from assistant.sandbox import bubblewrap
from assistant.sandbox.jailed import Jailed, Usage
from assistant.sandbox.launch import Launch, Level, Limits, launch
from assistant.sandbox.plan import Policy
from assistant.sandbox.probe import candidates
from assistant.sandbox.processes import memory, of_user
from assistant.sandbox.stage import descendants
from assistant.sandbox.watchdog import Floors, Over, Watchdog, over

LEVELS = [*candidates(), Level.UNSAFE]
WAIT = 60  # seconds; machines stand still
MEGABYTE = 1 << 20
WAITING = "import os, signal\nos.write(1, b'ready')\nsignal.pause()"


@pytest.fixture
def work() -> Iterator[Path]:
    """Where a session's own uid can come: pytest's folders are their owner's alone."""
    with TemporaryDirectory(prefix="work-") as base:
        Path(base).chmod(0o755)
        (Path(base) / "work").mkdir()
        yield Path(base) / "work"


def start(level: Level, work: Path, code: str, limits: Limits | None = None) -> tuple[Jailed, int]:
    reading, writing = os.pipe()
    what = Launch(
        argv=[str(SYSTEM_PYTHON), "-I", "-S", "-c", code],
        work=work,
        python=SYSTEM_PYTHON,
        limits=limits or Limits(),
        environment={"HOME": "/mnt/data", "TMPDIR": "/tmp", "KEEP": "/tmpfile"},
        output=writing,
    )
    try:
        return launch(level, what), reading
    finally:
        os.close(writing)


def all_of(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()


def gone(pids: list[int]) -> bool:
    return not any(Path("/proc", str(pid)).exists() for pid in pids)


@pytest.mark.parametrize("level", LEVELS)
def test_who_launches_keeps_a_full_share_of_the_processor(level: Level, work: Path) -> None:
    share = Path("/proc/self/autogroup")
    before = share.read_text()
    jailed, reading = start(level, work, WAITING, Limits(niceness=7))
    assert os.read(reading, 5) == b"ready"
    assert share.read_text() == before
    jailed.close()
    os.close(reading)


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_runs_in_its_folder_and_its_exit_code_comes_back(
    level: Level, work: Path
) -> None:
    (work / "in.txt").write_text("given")
    code = (
        "import os; open('out.txt', 'w').write(open('in.txt').read()); print(os.getcwd())\n"
        "raise SystemExit(7)"
    )
    jailed, reading = start(level, work, code)
    assert jailed.wait(WAIT) == 7
    assert all_of(reading).strip() == str(jailed.work_path)
    assert (work / "out.txt").read_text() == "given"
    jailed.close()


@pytest.mark.parametrize("level", LEVELS)
def test_the_environment_is_what_was_given_with_paths_as_they_are_inside(
    level: Level, work: Path
) -> None:
    jailed, reading = start(level, work, "import os; print(dict(os.environ))")
    told = all_of(reading)
    jailed.close()
    assert f"'HOME': '{jailed.work_path}'" in told
    assert f"'TMPDIR': '{jailed.tmp_path}'" in told
    assert "'KEEP': '/tmpfile'" in told
    assert "PATH" not in told


@pytest.mark.parametrize("level", LEVELS)
def test_an_interrupt_reaches_the_program_itself(level: Level, work: Path) -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, lambda *_: os._exit(5))\n"
        "os.write(1, b'ready')\n"
        "while True: signal.pause()"
    )
    jailed, reading = start(level, work, code)
    assert os.read(reading, 100) == b"ready"
    jailed.interrupt()
    assert jailed.wait(WAIT) == 5
    jailed.close()
    os.close(reading)


@pytest.mark.parametrize("level", LEVELS)
def test_a_kill_leaves_no_process_and_closing_leaves_nothing(level: Level, work: Path) -> None:
    code = (
        "import os, signal\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        os.fork()\n"
        "        signal.pause()\n"
        "os.write(1, b'ready')\n"
        "signal.pause()"
    )
    jailed, reading = start(level, work, code)
    assert os.read(reading, 100) == b"ready"
    pids = [jailed.outer.pid, *jailed.pids()]
    assert len(pids) >= 7
    jailed.kill()
    assert jailed.poll() == 128 + signal.SIGKILL or jailed.poll() == -signal.SIGKILL
    assert gone(pids)
    jailed.close()
    jailed.close()  # again does nothing
    os.close(reading)
    assert jailed.uid is None or of_user(jailed.uid) == []
    assert not any(path.exists() for path in jailed.cgroup.folders)
    assert str(jailed.tmp_path) == "/tmp" or not jailed.tmp_path.exists()


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing(
    level: Level, work: Path
) -> None:
    before = set(descendants(os.getpid()))
    what = Launch(["/no/such/program"], work, SYSTEM_PYTHON)
    with pytest.raises(SandboxFailed, match="No such file"):
        launch(level, what)
    assert set(descendants(os.getpid())) <= before


def test_a_level_that_is_none_is_refused(work: Path) -> None:
    with pytest.raises(SandboxFailed, match="nothing is made"):
        launch(Level.NONE, Launch(["/bin/true"], work, SYSTEM_PYTHON))


def test_without_bubblewrap_level_1_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(SandboxFailed, match="bubblewrap is not installed"):
        bubblewrap.variant.__wrapped__(os.geteuid() == 0)


def test_a_bubblewrap_that_is_too_old_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho 'bwrap: Unknown option --clearenv' >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(old))
    with pytest.raises(SandboxFailed, match="Unknown option --clearenv"):
        bubblewrap.variant.__wrapped__(os.geteuid() == 0)


@pytest.mark.parametrize("level", LEVELS[:1])
def test_usage_counts_memory_processes_and_the_folder(level: Level, work: Path) -> None:
    code = (
        "import os, signal\n"
        "x = bytearray(30 << 20)\n"
        "open('a', 'wb').write(b'x' * (3 << 20))\n"
        "f = open('b', 'wb'); f.write(b'x' * (5 << 20)); f.flush(); os.unlink('b')\n"
        "os.write(1, b'ready')\n"
        "signal.pause()"
    )
    jailed, reading = start(level, work, code)
    assert os.read(reading, 100) == b"ready"
    usage = jailed.usage()
    jailed.close()
    os.close(reading)
    assert usage.memory > 30 * MEGABYTE
    assert usage.files == 1
    assert usage.disk >= 8 * MEGABYTE  # the deleted one is still held


LIMITS = Limits(memory=100, disk=100, files=10, tmp=100, processes=5)
FINE = {"memory": 100, "processes": 5, "disk": 100, "files": 10, "tmp": 100}


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({}, None),
        ({"memory": 101}, Over.MEMORY),
        ({"disk": 101}, Over.DISK),
        ({"tmp": 101}, Over.DISK),
        ({"files": 11}, Over.FILES),
        ({"processes": 11}, Over.PROCESSES),
    ],
)
def test_the_limit_that_is_passed_is_named(changed: dict[str, int], limit: Over | None) -> None:
    assert over(Usage(**{**FINE, **changed}), LIMITS) is limit


@pytest.mark.parametrize(
    ("floors", "limit"),
    [
        (Floors(memory=0, disk=0), Over.FILES),
        (Floors(memory=1 << 60, disk=0), Over.MACHINE_MEMORY),
        (Floors(memory=0, disk=1 << 60), Over.MACHINE_DISK),
    ],
)
def test_the_watchdog_ends_a_session_and_says_why(floors: Floors, limit: Over, work: Path) -> None:
    told, event = [], threading.Event()

    def note(jailed: Jailed, why: Over) -> None:
        told.append((jailed.pid, why))
        event.set()

    code = WAITING
    if limit is Over.FILES:
        code = "for i in range(20): open(str(i), 'w').close()\n" + WAITING
    jailed, reading = start(LEVELS[0], work, code, Limits(files=10))
    watchdog = Watchdog(note, floors)
    watchdog.add(jailed)
    try:
        assert event.wait(WAIT)
        assert told[0] == (jailed.pid, limit)
        assert jailed.poll() is not None
    finally:
        watchdog.close()
        jailed.close()
        os.close(reading)


def test_memory_of_an_ended_process_is_none() -> None:
    assert memory([999999999], 0) == 0


def test_a_policy_has_everything_on_unless_told() -> None:
    assert all(getattr(Policy(), name) for name in Policy.__dataclass_fields__)
