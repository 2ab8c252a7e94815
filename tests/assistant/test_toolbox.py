"""All tools there are, from every source."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tool_files import NEVER, PATIENCE, save

from assistant.outputs import TextOutput, observation
from assistant.toolbox import Toolbox
from assistant.toolcatalog import Trial
from assistant.toolfolder import FolderTools
from assistant.toolsource import Effects, ToolInfo, ToolResult, Trouble
from assistant.toolspec import ToolSpec


@dataclass
class Source:
    """A source of tools that answer with its name."""

    name: str
    offers: list[str]
    broken: list[Trouble] = field(default_factory=list)
    closed: bool = False

    def tools(self) -> Sequence[ToolInfo]:
        return [ToolInfo(ToolSpec(name, "", {}), self.name, Effects.NONE) for name in self.offers]

    def troubles(self) -> Sequence[Trouble]:
        return self.broken

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        return ToolResult((TextOutput(f"{self.name} {name} {dict(arguments)} {folder.name}"),))

    def close(self) -> None:
        self.closed = True


def test_tools_of_all_sources_stand_in_one_order(tmp_path: Path) -> None:
    box = Toolbox([Source("one", ["b", "d"]), Source("two", ["c", "a"])])
    assert [tool.name for tool in box.tools()] == ["a", "b", "c", "d"]
    found = box.find("c")
    assert found
    assert found.source == "two"
    assert box.find("e") is None
    [output] = box.call("c", {"x": 1}, tmp_path, NEVER).outputs
    assert output == TextOutput(f"two c {{'x': 1}} {tmp_path.name}")


def test_a_name_of_two_sources_is_offered_by_neither(tmp_path: Path) -> None:
    broken = Trouble("two", "it does not answer")
    box = Toolbox([Source("one", ["a", "b"]), Source("two", ["b"], [broken])])
    assert [tool.name for tool in box.tools()] == ["a"]
    reason = "the tool b is also offered by another source"
    assert box.troubles() == (broken, Trouble("one", reason), Trouble("two", reason))
    assert box.find("b") is None
    assert box.call("b", {}, tmp_path, NEVER).is_error


def test_an_unknown_tool_is_a_result_that_says_so(tmp_path: Path) -> None:
    result = Toolbox([]).call("magic", {}, tmp_path, NEVER)
    assert result.is_error
    assert observation(result.outputs, 100) == "UnknownTool: There is no tool magic."


def test_the_revision_changes_with_tools_and_troubles_alone() -> None:
    source = Source("one", ["a"])
    box = Toolbox([source])
    first = box.revision
    assert box.revision == first
    source.offers.append("b")
    second = box.revision
    assert second != first
    source.broken.append(Trouble("one", "it is slow"))
    assert box.revision not in (first, second)


def test_the_revision_changes_with_examples(tmp_path: Path) -> None:
    folder = FolderTools(tmp_path / "tools", every=0.01, import_limit=PATIENCE)
    box = Toolbox([Source("one", []), folder])
    before = box.revision
    save(tmp_path / "tools", "a.py", "@tool(examples=[Example({}, 1)])\ndef f() -> int: return 1")
    seen = folder.revision
    while not box.examples() or box.examples()["f"].trial is not Trial.PASSED:
        seen = folder.wait_change(seen, PATIENCE)
    assert box.revision != before
    box.close()


def test_closing_closes_every_source() -> None:
    sources = [Source("one", []), Source("two", [])]
    Toolbox(sources).close()
    assert all(source.closed for source in sources)
