"""The level is what the attacks leave standing, and nothing is, when they get through."""

import json

import pytest
from outside import SYSTEM_PYTHON

from assistant.errors import SandboxFailed, SandboxRefused
from assistant.sandbox.jailed import Jailed
from assistant.sandbox.level import Level
from assistant.sandbox.plan import Policy
from assistant.sandbox.probe import LevelReport, attack, candidates, choose, minimum_level, refusal


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


def test_levels_are_ordered_and_only_enforced_ones_may_be_public() -> None:
    ranks = [level.rank for level in Level]
    assert ranks == sorted(ranks)
    assert [level for level in Level if level.loopback_only] == [Level.WEAK, Level.NONE]
