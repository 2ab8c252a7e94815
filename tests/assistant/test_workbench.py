"""What the app knows of its sandbox, and what becomes of conversations' files."""

import threading
from pathlib import Path

import pytest
from scripted_sessions import ScriptedSessions, workbench_of

from assistant.sandbox.level import Level
from assistant.server import sandbox_health
from assistant.workbench import Unprepared, Usable, Workbench

WAIT = 60


class Looked:
    """A look at the levels that says when it was made."""

    def __init__(self, level: Level = Level.LANDLOCK) -> None:
        self.level = level
        self.calls = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def __call__(self) -> tuple[Level, str]:
        self.calls.release()
        self.may_go_on.wait(WAIT)
        return self.level, "1: no user namespaces"


def settled() -> None:
    """Until the thread that looks has ended."""
    for thread in threading.enumerate():
        if thread.name == "sandbox look":
            thread.join(WAIT)


def test_the_level_is_looked_up_when_there_is_nothing_better_to_do(tmp_path: Path) -> None:
    look, loaded = Looked(), threading.Event()
    workbench = Workbench(lambda: tmp_path, look=look)
    workbench.foresee(loaded.wait)
    assert workbench.state == Unprepared()
    assert not look.calls.acquire(blocking=False)
    loaded.set()
    look.may_go_on.set()
    settled()
    assert workbench.state == Unprepared(Level.LANDLOCK, "1: no user namespaces")
    assert sandbox_health(workbench.state) == {
        "state": "unprepared",
        "level": "2",
        "why": "1: no user namespaces",
    }
    workbench.close()


def test_what_was_foreseen_does_not_overwrite_what_is(tmp_path: Path) -> None:
    look = Looked(Level.WEAK)
    workbench = workbench_of(ScriptedSessions(tmp_path), look)
    workbench.foresee(lambda: None)
    assert look.calls.acquire(timeout=WAIT)
    workbench.prepare()
    workbench.wait()
    look.may_go_on.set()
    settled()
    state = workbench.state
    assert isinstance(state, Usable)
    assert state.level is Level.NAMESPACES


def test_a_look_that_fails_leaves_the_sandbox_to_be_made(tmp_path: Path) -> None:
    def broken() -> tuple[Level, str]:
        raise OSError("no more processes")

    workbench = workbench_of(ScriptedSessions(tmp_path), broken)
    workbench.foresee(lambda: None)
    settled()
    assert workbench.state == Unprepared()
    workbench.prepare()
    assert isinstance(workbench.wait(), Usable)


def test_a_real_look_finds_the_level_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_KERNEL_ENV", str(tmp_path / "none"))
    workbench = Workbench(lambda: tmp_path)
    workbench.foresee(lambda: None)
    settled()
    state = workbench.state
    assert isinstance(state, Unprepared)
    assert state.level not in (None, Level.NONE)
    workbench.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["c1", "../../up", "a/b", "\0", "x" * 300])
def test_a_discarded_conversations_tools_leave_nothing(name: str, tmp_path: Path) -> None:
    sessions = ScriptedSessions(tmp_path)
    workbench = workbench_of(sessions)
    folder, other = workbench.tool_folder(name), workbench.tool_folder("other")
    assert folder.parent == other.parent
    for each in (folder, other):
        each.mkdir(parents=True)
        (each / "file").write_text("1")
    workbench.session("other")
    workbench.discard(name)
    ended()
    assert not folder.exists()
    assert other.exists()
    assert not sessions.sessions["other"].is_closed
    workbench.discard("other")
    ended()
    assert sessions.sessions["other"].is_closed
    assert not other.exists()
    workbench.close()
    assert not other.parent.exists()


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "session's end":
            thread.join(WAIT)


def test_without_files_nothing_is_made_to_discard_them(tmp_path: Path) -> None:
    workbench = workbench_of(ScriptedSessions(tmp_path))
    workbench.discard("never seen")
    ended()
    workbench.close()
    assert [*tmp_path.iterdir()] == []
