"""A supervisor that is started anew may find another level: all say it, and none runs unasked."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from interpreter import error_of, run

from assistant.coderunner import CodeResult
from assistant.errors import SandboxRefused
from assistant.sandbox.environment import READY_MADE, kernel_environment
from assistant.sandbox.level import Level
from assistant.sandbox.probe import MINIMUM
from assistant.sandbox.session import Session
from assistant.server import sandbox_health
from assistant.workbench import Unusable, Usable, Workbench
from engine import model_home

PATH = os.environ["PATH"]


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """A real one, that has found level 1 or, without bubblewrap, 1c."""
    monkeypatch.setenv(READY_MADE, str(kernel_environment(model_home()).folder))
    monkeypatch.delenv(MINIMUM, raising=False)
    made = Workbench(lambda: tmp_path)
    yield made
    made.close()


@pytest.fixture
def without_bubblewrap(tmp_path: Path) -> str:
    """What PATH is then."""
    return str(tmp_path)


def begin(workbench: Workbench) -> Level:
    workbench.prepare()
    state = workbench.wait()
    assert isinstance(state, Usable)
    return state.level


def end_supervisor(session: Session) -> None:
    """As a crash of it would, while nothing runs; waits until it was noticed."""
    os.kill(session._host.client().pid, 9)
    assert session.wait_gone(60)


def refusal_of(result: CodeResult) -> str:
    assert (result.ended, result.level) == ("refused", "")
    return error_of(result).name


def test_a_weaker_level_is_said_everywhere_and_runs_nothing_unasked(
    workbench: Workbench, without_bubblewrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert begin(workbench) is Level.NAMESPACES
    first, other = workbench.session("first"), workbench.session("other")
    assert run(first, "x = 1").level == "1"
    monkeypatch.setenv("PATH", without_bubblewrap)
    end_supervisor(first)
    refused = run(first, "open('made', 'w')")
    assert refusal_of(refused) == "SandboxWeaker"
    assert "level 1c now, and was of level 1" in error_of(refused).message
    assert first.files() == []
    state = workbench.state
    assert isinstance(state, Usable)
    assert state.level is Level.CHROOT
    assert "bubblewrap is not installed" in state.why
    assert sandbox_health(state)["level"] == "1c"
    again = run(first, "print('asked')")
    assert (again.ended, again.level) == ("ok", "1c")
    assert "new Python session" in str(again.outputs[0])
    assert refusal_of(run(other, "1")) == "SandboxWeaker"  # what allowed it knew of level 1
    assert run(workbench.session("new"), "1").level == "1c"


def test_below_the_minimum_nothing_runs_any_more_and_all_say_so(
    workbench: Workbench, without_bubblewrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(workbench)
    session = workbench.session("first")
    run(session, "x = 1")
    monkeypatch.setenv("PATH", without_bubblewrap)
    monkeypatch.setenv(MINIMUM, "1")
    end_supervisor(session)
    for _ in range(2):
        assert refusal_of(run(session, "1")) == "SandboxRefused"
    state = workbench.state
    assert isinstance(state, Unusable)
    assert isinstance(state.error, SandboxRefused)
    assert "1c: weaker than SANDBOX_MIN_LEVEL=1" in str(state.error)
    assert sandbox_health(state)["level"] == "0"
    monkeypatch.setenv("PATH", PATH)  # somebody mends it, and tries again
    assert begin(workbench) is Level.NAMESPACES
    assert run(session, "1").level == "1"


def test_a_stronger_level_is_said_and_refuses_nothing(
    workbench: Workbench, without_bubblewrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", without_bubblewrap)
    assert begin(workbench) is Level.CHROOT
    session = workbench.session("first")
    run(session, "x = 1")
    monkeypatch.setenv("PATH", PATH)
    end_supervisor(session)
    result = run(session, "1")
    assert (result.ended, result.level) == ("ok", "1")
    state = workbench.state
    assert isinstance(state, Usable)
    assert state.level is Level.NAMESPACES


def test_a_session_that_was_made_before_any_level_was_known_counts_from_the_first(
    workbench: Workbench, without_bubblewrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = workbench.session("early")
    begin(workbench)
    used = workbench.session("used")
    run(used, "1")
    monkeypatch.setenv("PATH", without_bubblewrap)
    end_supervisor(used)
    assert refusal_of(run(early, "1")) == "SandboxWeaker"


def test_a_minimum_that_is_no_level_is_said_to_be_none(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MINIMUM, "strong")
    workbench.prepare()
    state = workbench.wait()
    assert isinstance(state, Unusable)
    assert "SANDBOX_MIN_LEVEL is 'strong'" in str(state.error)
    assert "python -m assistant doctor" in str(state.error)


def test_when_the_supervisor_dies_every_session_is_said_to_have_ended(
    workbench: Workbench,
) -> None:
    begin(workbench)
    idle, running = workbench.session("idle"), workbench.session("running")
    run(idle, "x = 1")
    started = threading.Event()
    results: list[CodeResult] = []

    def listen(outputs: object) -> None:
        if outputs:
            started.set()

    code = "print('started', flush=True)\nwhile True: pass"
    work = threading.Thread(
        target=lambda: results.append(running.run(code, threading.Event(), listen))
    )
    work.start()
    assert started.wait(60)
    end_supervisor(idle)
    work.join(60)
    assert [each.ended for each in results] == ["crashed"]
    for session in (idle, running):
        assert session.status.state == "dead"
        assert "watches over all sessions has ended" in str(run(session, "1").outputs[0])
