"""The doctor's words for each finding, and one real examination."""

import io
import json

import pytest

from assistant import doctor
from assistant.cli import main
from assistant.sandbox import probe
from assistant.sandbox.commands import red
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
    monkeypatch.setattr(probe, "attack", lambda *_: "it broke out")
    assert main(["doctor", "--lang", "en"]) == 1
    written = capsys.readouterr().out
    assert "Not isolated (level 0)" in written
    assert mending_command() in written
    assert "--unsafe-interpreter" in written


def test_unsafe_is_said_to_be_what_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "attack", lambda *_: "it broke out")
    monkeypatch.delenv(MINIMUM, raising=False)
    assert main(["doctor", "--lang", "en", "--unsafe-interpreter"]) == 0
    written = capsys.readouterr().out
    assert "Unsafe: no isolation (level unsafe)" in written
    assert "Nothing isolates the code" in written
    assert main(["doctor", "--json", "--unsafe-interpreter"]) == 0
    assert json.loads(capsys.readouterr().out)["level"] == "unsafe"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_warning_is_red_where_somebody_looks() -> None:
    assert red("no", Terminal()) == "\033[1;31mno\033[0m"
    assert red("no", io.StringIO()) == "no"


def test_a_weak_level_is_warned_of() -> None:
    found = doctor.lines(LevelReport(Level.WEAK), Language.ENGLISH)
    assert "Run only what you trust" in found[-1]


def test_a_wrong_minimum_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(MINIMUM, "strong")
    assert main(["doctor", "--lang", "en"]) == 1
    assert "strong" in capsys.readouterr().err
