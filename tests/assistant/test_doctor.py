"""The doctor's words for each finding, and one real examination."""

import json
import sys
from pathlib import Path

import pytest

from assistant import doctor
from assistant.cli import main
from assistant.sandbox.environment import READY_MADE
from assistant.sandbox.level import Level
from assistant.sandbox.probe import MINIMUM, LevelReport, mending_command
from assistant.texts import Language


def test_it_finds_the_level_here_by_attacking(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--lang", "en"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Level(found["level"]) is not Level.NONE


def test_it_says_what_was_tried_and_why_it_did_not_hold() -> None:
    report = LevelReport(Level.LANDLOCK, ((Level.NAMESPACES, "no user namespaces"),))
    assert doctor.lines(report, Language.ENGLISH) == [
        "Isolated (container mode) (level 2)",
        "Level 1 does not hold here: no user namespaces",
    ]
    assert doctor.lines(report, Language.CHINESE)[1] == "1 级在这里不可靠：no user namespaces"


def test_without_any_level_it_says_what_mends_it_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "choose", lambda *_, **__: LevelReport(Level.NONE))
    assert main(["doctor", "--lang", "en"]) == 1
    written = capsys.readouterr().out
    assert "Not isolated (level 0)" in written
    assert mending_command() in written


def test_a_weak_level_is_warned_of() -> None:
    found = doctor.lines(LevelReport(Level.WEAK), Language.ENGLISH)
    assert "Run only what you trust" in found[-1]


def test_a_wrong_minimum_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(MINIMUM, "strong")
    assert main(["doctor", "--lang", "en"]) == 1
    assert "strong" in capsys.readouterr().err


def test_nothing_is_made_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(READY_MADE, str(tmp_path))
    assert doctor.kernel_python() == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []
