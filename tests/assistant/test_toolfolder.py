"""A folder of tools is followed: what is saved, changed, broken and removed."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tool_files import NEVER, PATIENCE, save

from assistant.outputs import TextOutput, observation
from assistant.toolcatalog import Examples, Trial
from assistant.toolfolder import FolderTools

WELL = "@tool\ndef {0}() -> str: return '{0}'\n"


class Folder:
    """A folder, and the tools that follow it."""

    def __init__(self, path: Path, import_limit: float) -> None:
        self.path = path
        self.tools = FolderTools(path, every=0.01, import_limit=import_limit)

    def save(self, name: str, body: str) -> None:
        save(self.path, name, body)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds; each change of the folder's tools is a reason to look again."""
        deadline = threading.Event()
        timer = threading.Timer(PATIENCE, deadline.set)
        timer.start()
        seen = self.tools.revision
        while not condition():
            assert not deadline.is_set(), (self.tools.tools(), self.tools.troubles())
            seen = self.tools.wait_change(seen, 1.0)
        timer.cancel()

    def names(self) -> list[str]:
        return [tool.name for tool in self.tools.tools()]

    def troubles(self) -> list[tuple[str, str]]:
        return [(trouble.source, trouble.reason) for trouble in self.tools.troubles()]

    def call(self, name: str) -> str:
        return observation(self.tools.call(name, {}, self.path, NEVER).outputs, 4000)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path / "tools", PATIENCE)
    yield folder
    folder.tools.close()


def test_a_saved_file_is_a_tool_and_a_saved_change_its_new_self(folder: Folder) -> None:
    assert folder.tools.wait_settled(PATIENCE)
    assert folder.names() == []  # the folder is not there yet
    folder.save("a.py", "@tool(effects='read')\ndef f() -> str: return 'old'")
    folder.wait(lambda: folder.names() == ["f"])
    assert folder.call("f") == "old"
    folder.save("a.py", "@tool(effects='read')\ndef f() -> str: return 'newer'\n")
    folder.wait(lambda: folder.call("f") == "newer")
    folder.save("a.py", WELL.format("g"))
    folder.wait(lambda: folder.names() == ["g"])


def test_only_python_files_without_an_underscore_are_tools(folder: Folder) -> None:
    for name in ("_helper.py", ".hidden.py", "notes.txt", "README.md"):
        folder.save(name, WELL.format("f"))
    (folder.path / "package.py").mkdir()
    folder.save("z.py", WELL.format("z"))
    folder.wait(lambda: [source for source, _ in folder.troubles()] == ["package.py"])
    folder.wait(lambda: folder.names() == ["z"])


def test_a_broken_change_is_a_red_row_until_it_is_mended(folder: Folder) -> None:
    folder.save("a.py", WELL.format("f"))
    folder.save("b.py", WELL.format("g"))
    folder.wait(lambda: folder.names() == ["f", "g"])
    folder.save("a.py", "def f(")
    folder.wait(lambda: bool(folder.troubles()))
    assert folder.names() == ["g"]
    assert folder.troubles() == [("a.py", "SyntaxError: '(' was never closed (a.py, line 3)")]
    assert "There is no tool f: it was removed, or its file is in trouble" in folder.call("f")
    folder.save("a.py", WELL.format("f") + "# mended\n")
    folder.wait(lambda: folder.names() == ["f", "g"])
    assert folder.troubles() == []


def test_a_removed_file_takes_its_tools_along(folder: Folder) -> None:
    folder.save("a.py", WELL.format("f"))
    folder.wait(lambda: folder.names() == ["f"])
    offered = folder.names()[0]
    (folder.path / "a.py").unlink()
    folder.wait(lambda: folder.names() == [])
    result = folder.tools.call(offered, {}, folder.path, NEVER)
    assert result.is_error
    assert "There is no tool f: it was removed" in observation(result.outputs, 1000)


def test_a_file_that_hangs_when_imported_keeps_nothing_else_from_loading(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "tools", import_limit=3)
    try:
        folder.save("a.py", "while True: pass")
        folder.save("b.py", WELL.format("g"))
        folder.wait(lambda: folder.names() == ["g"] and len(folder.troubles()) == 1)
        assert folder.troubles()[0][0] == "a.py"
        assert folder.call("g") == "g"
    finally:
        folder.tools.close()


def test_two_files_with_a_tool_of_one_name_are_both_red(folder: Folder) -> None:
    folder.save("a.py", WELL.format("f") + WELL.format("g"))
    folder.save("b.py", WELL.format("f"))
    folder.wait(lambda: len(folder.troubles()) == 2)
    assert folder.names() == ["g"]
    assert folder.troubles() == [
        ("a.py", "the tool f is also defined in b.py; rename one of them"),
        ("b.py", "the tool f is also defined in a.py; rename one of them"),
    ]
    (folder.path / "b.py").unlink()
    folder.wait(lambda: folder.names() == ["f", "g"])
    assert folder.troubles() == []


@pytest.mark.parametrize("name", ["open", "print", "tool_call", "interpreter"])
def test_a_tool_named_like_a_word_of_python_or_the_model_is_red(folder: Folder, name: str) -> None:
    folder.save("a.py", WELL.format(name) + WELL.format("f"))
    folder.wait(lambda: folder.names() == ["f"])
    [(source, reason)] = folder.troubles()
    assert (source, reason.partition(" is ")[0]) == ("a.py", f"the tool {name}")


def test_examples_are_run_when_the_file_changes(folder: Folder) -> None:
    body = "@tool(examples=[Example({{}}, {0})])\ndef f() -> int: return 1\n" + WELL.format("g")
    folder.save("a.py", body.format(1))
    folder.wait(lambda: folder.tools.examples().get("f") == Examples(Trial.PASSED, 1))
    assert folder.tools.examples()["g"] == Examples(Trial.NONE)
    folder.save("a.py", body.format(12))
    folder.wait(lambda: folder.tools.examples()["f"].trial is Trial.FAILED)
    assert folder.tools.examples()["f"].faults == ("example 1: f() gave 1, not 12",)
    assert folder.names() == ["f", "g"]  # it is shown in red, and its author decides


def test_examples_that_run_are_seen_to_run(folder: Folder) -> None:
    gate = folder.path.parent / "gate"
    folder.save(
        "a.py",
        "@tool(time_limit=600, examples=[Example({}, 1)])\ndef f() -> int:\n"
        f"  while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n  return 1\n",
    )
    folder.wait(lambda: folder.tools.examples() == {"f": Examples(Trial.RUNNING, 1)})
    assert not folder.tools.wait_settled(0.0)
    gate.touch()
    assert folder.tools.wait_settled(PATIENCE)
    assert folder.tools.examples() == {"f": Examples(Trial.PASSED, 1)}


def test_examples_of_a_file_that_was_changed_meanwhile_say_nothing(folder: Folder) -> None:
    gate = folder.path.parent / "gate"
    folder.save(
        "a.py",
        "@tool(time_limit=600, examples=[Example({}, 1)])\ndef f() -> int:\n"
        f"  while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n  return 1\n",
    )
    folder.wait(lambda: folder.tools.examples() == {"f": Examples(Trial.RUNNING, 1)})
    folder.save("a.py", WELL.format("f"))
    folder.wait(lambda: folder.tools.examples() == {"f": Examples(Trial.NONE)})
    gate.touch()
    folder.tools._loaders.shutdown(wait=True)  # until the old examples have ended
    assert folder.tools.examples() == {"f": Examples(Trial.NONE)}


def test_a_tool_appears_once_its_secret_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets.toml"
    monkeypatch.setenv("SECRETS_FILE", str(secrets))
    folder = Folder(tmp_path / "tools", PATIENCE)
    try:
        folder.save("a.py", "@tool(secrets=['THE_KEY'])\ndef f() -> str: return secret('THE_KEY')")
        folder.wait(lambda: folder.tools.revision > 0)
        assert folder.tools.wait_settled(PATIENCE)
        assert (folder.names(), folder.troubles()) == ([], [])
        secrets.write_text('THE_KEY = "sk-0123456789"')
        folder.wait(lambda: folder.names() == ["f"])
        assert folder.tools.call("f", {}, tmp_path, NEVER).outputs == (TextOutput("[secret]"),)
    finally:
        folder.tools.close()


def test_closing_waits_for_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "tools", import_limit=600)
    begun = tmp_path / "begun"
    folder.save("a.py", f"open({str(begun)!r}, 'w').close()\ntime.sleep(600)")
    folder.wait(begun.exists)
    folder.tools.close()
    assert folder.tools.wait_settled(0.0)
    assert (folder.names(), folder.troubles()) == ([], [])


def test_the_shipped_tools_are_well(tmp_path: Path) -> None:
    tools = FolderTools(import_limit=PATIENCE)
    try:
        assert tools.wait_settled(PATIENCE)
        assert tools.troubles() == ()
        effects = {tool.name: tool.effects.value for tool in tools.tools()}
        effects.pop("web_search", None)  # where a key is set
        assert effects == {
            "calculator": "none",
            "convert_time": "none",
            "convert_units": "none",
            "current_time": "none",
            "get_weather": "network",
            "random_number_generator": "none",
            "read_file": "read",
            "read_web_page": "network",
            "text_statistics": "none",
        }
        trials = {name: examples.trial for name, examples in tools.examples().items()}
        assert Trial.FAILED not in trials.values()
        assert trials["calculator"] is Trial.PASSED
        (tmp_path / "notes.txt").write_text("remember")
        result = tools.call("read_file", {"path": "notes.txt"}, tmp_path, NEVER)
        assert result.outputs == (TextOutput("remember"),)
    finally:
        tools.close()
