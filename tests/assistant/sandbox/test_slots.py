"""A uid belongs to one session at a time; what it is given is its own, and nobody else's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import SandboxFailed
from assistant.sandbox import slots
from assistant.sandbox.processes import of_user
from assistant.sandbox.slots import Slot, sweep, take

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a uid per session is root's to give")
UIDS = range(61900, 61903)  # no app's


@pytest.fixture(autouse=True)
def own_uids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(slots, "UIDS", UIDS)
    monkeypatch.setattr(slots, "LOCKS", tmp_path / "locks")
    return tmp_path / "locks"


@pytest.fixture
def left_over() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the first uid, of which nobody knows any more."""
    with subprocess.Popen(["/bin/sleep", "300"], user=UIDS[0], cwd="/") as process:
        yield process
        process.kill()


def test_each_has_another_uid_until_it_is_given_back() -> None:
    first, second = take(), take()
    assert (first.uid, second.uid) == (UIDS[0], UIDS[1])
    first.release()
    again = take()
    assert again.uid == UIDS[0]
    for slot in (again, second):
        slot.release()


def test_when_all_are_taken_it_is_said() -> None:
    held = [take() for _ in UIDS]
    with pytest.raises(SandboxFailed, match="all 3 sandbox users are taken"):
        take()
    for slot in held:
        slot.release()


def test_what_still_runs_as_a_uid_is_ended_before_it_is_given_out(
    left_over: subprocess.Popen[bytes],
) -> None:
    assert of_user(UIDS[0]) == [left_over.pid]
    slot = take()
    assert left_over.wait(60) == -9
    assert of_user(UIDS[0]) == []
    slot.release()


def test_giving_back_ends_what_still_runs(left_over: subprocess.Popen[bytes]) -> None:
    lock = os.open(os.devnull, os.O_RDONLY)
    Slot(UIDS[0], lock).release()
    assert left_over.wait(60) == -9


def test_a_sweep_ends_what_a_dead_app_left_and_no_living_ones(
    left_over: subprocess.Popen[bytes], own_uids: Path
) -> None:
    held = take()  # the first is not empty, and is ended; this is a living app's now
    with subprocess.Popen(["/bin/sleep", "300"], user=held.uid, cwd="/") as living:
        assert sweep() == 0
        assert living.poll() is None
        os.close(held.lock)  # its app is dead
        assert sweep() == 1
        assert living.wait(60) == -9
    assert left_over.wait(60) == -9
    assert own_uids.stat().st_mode & 0o777 == 0o700


def test_a_folder_is_given_without_what_belongs_to_others(tmp_path: Path) -> None:
    work, secret = tmp_path / "work", tmp_path / "secret"
    (work / "below").mkdir(parents=True)
    (work / "below" / "file").touch()
    secret.touch()
    (work / "link").symlink_to(secret)
    os.link(secret, work / "below" / "second name")
    slot = take()
    slot.own(work)
    owned = [work, work / "below", work / "below" / "file", work / "link"]
    assert {path.lstat().st_uid for path in owned} == {slot.uid}
    assert secret.stat().st_uid == 0
    slot.release()
