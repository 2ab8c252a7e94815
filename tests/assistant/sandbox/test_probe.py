"""The level is what the attacks leave standing, and nothing is, when they get through."""

import json

import pytest
from outside import SYSTEM_PYTHON

from assistant.errors import SandboxFailed, SandboxRefused
from assistant.sandbox import probe
from assistant.sandbox.jailed import Jailed
from assistant.sandbox.level import Level
from assistant.sandbox.plan import Policy
from assistant.sandbox.probe import (
    MINIMUM,
    LevelReport,
    attack,
    candidates,
    choose,
    examine,
    mending_command,
    minimum_level,
    refusal,
)


@pytest.mark.parametrize("level", candidates())
def test_each_level_of_this_machine_holds(level: Level) -> None:
    assert attack(level, SYSTEM_PYTHON) == ""


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (Policy(seccomp=False), "Seccomp is not"),
        (Policy(rlimits=False), "raise a limit"),
        (Policy(namespaces=Policy().namespaces - {"net"}), "net is not"),
        (Policy(namespaces=Policy().namespaces - {"ipc"}), "ipc is not"),
    ],
)
def test_the_probe_sees_a_missing_wall(policy: Policy, found: str) -> None:
    assert found in attack(Level.NAMESPACES, SYSTEM_PYTHON, policy=policy)


def test_the_strongest_level_is_chosen_and_reported() -> None:
    report = choose(SYSTEM_PYTHON)
    assert (report.level, report.tried) == (Level.NAMESPACES, ())
    assert report.seconds > 0
    assert json.loads(json.dumps(report.as_json()))["level"] == "1"


def test_with_every_level_broken_the_answer_is_no() -> None:
    report = choose(SYSTEM_PYTHON, policy=Policy(seccomp=False))
    assert report.level is Level.NONE
    assert [level for level, _ in report.tried] == candidates()
    assert all(reason for _, reason in report.tried)
    assert isinstance(refusal(report), SandboxRefused)


def test_a_pinned_minimum_is_never_undercut() -> None:
    report = choose(SYSTEM_PYTHON, minimum=Level.NAMESPACES, policy=Policy(seccomp=False))
    assert report.level is Level.NONE
    assert all("SANDBOX_MIN_LEVEL" in reason for _, reason in report.tried[1:])


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (None, Level.WEAK),
        ("", Level.WEAK),
        ("1", Level.NAMESPACES),
        ("L1C", Level.CHROOT),
        ("2s", Level.LANDLOCK_SHARED),
        (" 2 ", Level.LANDLOCK),
    ],
)
def test_the_minimum_is_read_from_the_environment(value: str | None, level: Level) -> None:
    assert minimum_level(value) is level


def test_an_unknown_minimum_is_an_error_and_not_the_weakest() -> None:
    with pytest.raises(SandboxFailed, match="SANDBOX_MIN_LEVEL"):
        minimum_level("strong")


def test_a_python_that_does_not_run_leaves_no_level() -> None:
    report = choose(SYSTEM_PYTHON.with_name("no-such-python"))
    assert report.level is Level.NONE


def test_a_launch_that_breaks_means_the_next_level(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Jailed:
        raise SandboxFailed(level=Level.NAMESPACES, reason="broken on purpose")

    monkeypatch.setattr("assistant.sandbox.probe.launch", broken)
    report = choose(SYSTEM_PYTHON)
    assert report == LevelReport(
        Level.NONE, tuple((level, "broken on purpose") for level in candidates()), report.seconds
    )


def test_levels_are_ordered_and_only_the_enforced_ones_keep_every_promise() -> None:
    ranks = [level.rank for level in Level]
    assert ranks == sorted(ranks)
    weak = [level for level in Level if not level.enforced]
    assert weak == [Level.WEAK, Level.UNSAFE, Level.NONE]


@pytest.fixture
def nothing_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "attack", lambda *_: "it broke out")


@pytest.mark.usefixtures("nothing_holds")
@pytest.mark.parametrize(
    ("unsafe", "demanded", "level"),
    [
        (False, None, Level.NONE),
        (True, None, Level.UNSAFE),
        (True, "", Level.UNSAFE),
        (True, "2", Level.NONE),
        (True, "3", Level.NONE),
        (True, "0", Level.NONE),
    ],
)
def test_unsafe_is_only_what_was_asked_for_and_a_demanded_level_wins(
    unsafe: bool, demanded: str | None, level: Level
) -> None:
    environment = {} if demanded is None else {MINIMUM: demanded}
    report = examine(SYSTEM_PYTHON, environment, unsafe=unsafe)
    assert report.level is level
    assert [each for each, _ in report.tried] == candidates()


def test_unsafe_is_not_taken_where_a_level_holds() -> None:
    assert examine(SYSTEM_PYTHON, {}, unsafe=True).level is Level.NAMESPACES


@pytest.mark.parametrize("value", ["unsafe", "UNSAFE"])
def test_unsafe_is_no_level_that_can_be_demanded(value: str) -> None:
    with pytest.raises(SandboxFailed, match="SANDBOX_MIN_LEVEL"):
        minimum_level(value)


def test_without_linux_nothing_holds_not_even_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    report = examine(SYSTEM_PYTHON, {}, unsafe=True)
    assert report == LevelReport(Level.NONE, (), report.seconds)
    assert "needs Linux" in str(refusal(report))
    assert mending_command().startswith("docker run")


@pytest.mark.parametrize(
    ("euid", "switch", "has_bubblewrap", "command"),
    [
        (0, "", False, "apt-get install -y bubblewrap"),
        (1000, "", False, "sudo apt-get install -y bubblewrap"),
        (1000, "user.max_user_namespaces", True, "sudo sysctl -w user.max_user_namespaces=10000"),
        (0, "user.max_user_namespaces", False, "apt-get install -y bubblewrap"),
        (1000, "", True, "docker run --rm -p 8501:8501 IMAGE"),
    ],
)
def test_the_one_command_mends_what_is_wrong(
    euid: int, switch: str, has_bubblewrap: bool, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: euid)
    monkeypatch.setattr(probe, "_sysctl", lambda name: "0" if name == switch else "")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/bwrap" if has_bubblewrap else None)
    assert mending_command() == command
