"""`interpreter run`: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from assistant.cli import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "code.py"


@pytest.mark.parametrize(
    ("code", "options", "exit_code"),
    [
        ("print(6 * 7)", [], 0),
        ("1 / 0", [], 3),
        ("while True: pass", ["--timeout", "1"], 4),
        ("while True: print('x' * 10_000)", [], 5),
        ("import os; os._exit(1)", [], 5),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    code: str, options: list[str], exit_code: int, file: Path
) -> None:
    file.write_text(code)
    assert main(["interpreter", "run", str(file), *options]) == exit_code


def test_a_level_that_does_not_hold_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_MIN_LEVEL", "1")
    file.write_text("print(6 * 7)")
    assert main(["interpreter", "run", str(file), "--level", "2"]) == 6
    assert "42" not in capsys.readouterr().out


def test_outputs_are_printed_and_trouble_goes_to_stderr(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("print('一')\nopen('a.txt', 'w').write('x')\nraise ValueError('two')")
    assert main(["interpreter", "run", str(file)]) == 3
    printed = capsys.readouterr()
    assert printed.out == "一\n"
    assert "ValueError: two" in printed.err
    assert "a.txt" in printed.err


def test_json_has_every_output_and_the_level(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("print('一')\n40 + 2")
    assert main(["interpreter", "run", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ended"] == "ok"
    assert told["level"] in ("1", "1c", "2", "2s", "3")
    assert [each["text"] for each in told["outputs"]] == ["一\n", "42"]


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interpreter", "run", str(tmp_path / "none.py")]) == 1
    assert "none.py" in capsys.readouterr().err
