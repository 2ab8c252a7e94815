"""`python -m assistant tools`."""

from pathlib import Path

import pytest
from tool_files import save

from assistant import cli

OK, ERROR, WRONG_USAGE = 0, 1, 2
WELL = (
    "@tool(effects='none', examples=[Example({'n': 1}, 2)])\n"
    "def add(n: int, to: str = '') -> dict:\n  'Adds one.\\n\\nMore of it.'\n"
    "  print('noise')\n  return n + 1 if not to else {'to': to, 'all': [n]}\n"
)


class Command:
    """Runs the command on a folder of its own."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def run(self, *arguments: str, lang: str = "en") -> tuple[int, str, str]:
        """The exit code, and what was written where."""
        code = cli.main(["tools", "--folder", str(self.folder), "--lang", lang, *arguments])
        return (code, *self._capfd.readouterr())


@pytest.fixture
def tools(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    command = Command(tmp_path / "tools", capfd)
    save(command.folder, "a.py", WELL)
    return command


def test_the_list_says_what_each_tool_does_and_how_its_examples_went(tools: Command) -> None:
    save(tools.folder, "b.py", "def (")
    code, out, _ = tools.run()
    assert code == OK
    row, trouble = out.splitlines()
    assert row.split() == ["add", "none", "a.py", "examples", "passed:", "1", "Adds", "one."]
    assert trouble.startswith("b.py: SyntaxError")
    assert "示例通过：1" in tools.run(lang="zh")[1]


def test_an_empty_folder_is_said_to_be(tools: Command) -> None:
    (tools.folder / "a.py").unlink()
    code, out, _ = tools.run()
    assert (code, out.strip()) == (OK, "There are no tools.")


def test_checking_runs_the_examples(tools: Command) -> None:
    assert tools.run("check")[:2] == (OK, "add: examples passed: 1\n")
    body = "@tool(examples=[Example({}, 2)])\ndef one() -> int: return 1\n"
    save(tools.folder, "b.py", body + "@tool\ndef bare() -> None: ...")
    code, out, _ = tools.run("check")
    assert code == ERROR
    assert "one: examples failed\n  example 1: one() gave 1, not 2\n" in out
    assert "bare: no examples\n" in out
    assert tools.run("check", "add")[:2] == (OK, "add: examples passed: 1\n")
    assert tools.run("check", "one")[0] == ERROR


def test_checking_fails_for_a_file_in_trouble_and_shows_its_traceback(tools: Command) -> None:
    save(tools.folder, "b.py", "1 / 0")
    code, out, _ = tools.run("check")
    assert code == ERROR
    assert "b.py: ZeroDivisionError: division by zero\nTraceback" in out


def test_running_a_tool_writes_its_result_and_nothing_else(tools: Command) -> None:
    assert tools.run("run", "add", "n=41")[:2] == (OK, "42\n")
    code, out, _ = tools.run("run", "add", "n=1", "to=北京=x")
    assert (code, out) == (OK, '{"to": "北京=x", "all": [1]}\n')


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add"], ERROR, "ToolError: add was not run. n is missing.\n"),
        (["add", "n=[1]"], ERROR, "n is [1] (list), expected a valid integer"),
        (["add", "n"], WRONG_USAGE, "'n' is not of the form name=value"),
        (["nothing"], ERROR, "There is no tool nothing. There are: add."),
    ],
)
def test_a_call_that_fails_is_told_on_stderr(
    tools: Command, arguments: list[str], code: int, said: str
) -> None:
    found, out, err = tools.run("run", *arguments)
    assert (found, out) == (code, "")
    assert said in err


def test_checking_a_tool_that_is_not_there_is_an_error(tools: Command) -> None:
    code, _, err = tools.run("check", "nothing", lang="zh")
    assert code == ERROR
    assert "没有名为 nothing 的工具。现有：add。" in err
