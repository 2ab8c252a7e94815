"""What README.md shows, done."""

import re
import threading
from pathlib import Path

import pytest
from tool_files import PATIENCE

from assistant import cli
from assistant.outputs import JsonOutput
from assistant.toolcatalog import Trial
from assistant.toolfolder import FolderTools

README = (Path(__file__).parents[2] / "tools/README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the one file that the README shows."""
    shown = re.search(r"```python\n# tools/(dice\.py)\n(.*?)```", README, re.DOTALL)
    assert shown
    (tmp_path / shown[1]).write_text(shown[2], encoding="utf-8")
    return tmp_path


def test_the_example_is_a_tool_whose_examples_pass(folder: Path) -> None:
    tools = FolderTools(folder, import_limit=PATIENCE)
    try:
        assert tools.wait_settled(PATIENCE)
        assert tools.troubles() == ()
        assert tools.examples()["roll_dice"].trial is Trial.PASSED
        [tool] = tools.tools()
        assert tool.spec.description == "Rolls dice with six sides. 掷骰子。"
        result = tools.call("roll_dice", {"count": 2}, folder, threading.Event())
        [output] = result.outputs
        assert isinstance(output, JsonOutput)
        assert isinstance(output.value, list)
        assert len(output.value) == 2
        assert tools.call("roll_dice", {"count": 0}, folder, threading.Event()).is_error
    finally:
        tools.close()


def test_the_commands_work(folder: Path) -> None:
    lines = re.findall(r"^python -m assistant tools(.*?)(?: *#.*)?$", README, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        assert cli.main(["tools", "--folder", str(folder), *line.split()]) == 0
