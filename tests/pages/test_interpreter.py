"""The interpreter page on the scripted engine and scripted code, without a browser."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_sessions import ScriptedSession, ScriptedSessions, workbench_of
from streamlit.runtime.context import ContextProxy
from tabs import Tab

import assistant
from assistant.coderunner import CodeResult
from assistant.errors import SandboxRefused
from assistant.outputs import ChartOutput, ErrorOutput, JsonOutput, TableOutput, TextOutput
from assistant.sandbox.environment import SetUp
from assistant.sandbox.level import Level
from pages.parts import coloured

ONE = "```python\nprint(1)\n```\n"
HOSTILE = "<script>x</script> ![a](http://evil.invalid) :red[x] $x$"


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


class Page(Tab):
    """The interpreter page in one browser tab."""

    def __init__(self, home: Path, *script: str, sessions: ScriptedSessions | None = None) -> None:
        self.sessions = sessions or ScriptedSessions(home)
        self.engine = FakeEngine(*script, context_length=20_000)
        behind = assistant_on(self.engine, home, None, workbench_of(self.sessions))
        super().__init__(behind, "interpreter.py")
        if self.sessions.may_start.is_set():
            self.behind.workbench.wait()
            self.run()

    @property
    def session(self) -> ScriptedSession:
        return self.sessions.session(self.conversation.id)

    def click_first(self, label: str) -> None:
        next(each for each in self.app.button if each.label == label).click()
        self.run()
        self.settle()

    def codes(self) -> list[str]:
        return [code.value for code in self.app.code]

    def coloured(self) -> list[str]:
        drawn = [each.proto.body for each in self.app.get("html")]
        return [each for each in drawn if each.startswith("<pre")]


def test_code_is_drawn_with_all_it_gave_and_how_it_was_isolated(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "It is 1.")
    outputs = (
        TextOutput("out\n", "stdout"),
        TextOutput("\x1b[31mred\x1b[0m\n", "stderr"),
        TableOutput(("a",), ((1,),), 1),
        ChartOutput("vega-lite", {"mark": "bar", "data": {"values": [{"a": 1}]}}),
        ChartOutput("plotly", {"data": [{"type": "bar", "y": [1]}]}),
        ChartOutput("plotly", {"data": [{"type": "bar", "y": 1}]}),
        JsonOutput([1]),
        ErrorOutput("KeyError", "'x'", "Traceback\n\x1b[31mKeyError\x1b[0m"),
    )
    page.session.results = [CodeResult(outputs, "error", 0.25, "1c", ())]
    page.ask()
    assert {"print(1)", "out"} <= set(page.codes())
    assert ">red</span>" in page.coloured()[0]
    assert "Traceback\n<span" in page.coloured()[1]
    assert list(page.app.dataframe[0].value.columns) == ["a"]
    assert len(page.app.get("vega_lite_chart")) == 1
    assert len(page.app.get("plotly_chart")) == 1
    assert '{"data": [{"type": "bar", "y": 1}]}' in [each.value for each in page.app.json]
    assert "0.2 s · Isolated" in page.written()


def test_nothing_of_what_code_says_is_markup(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "Done.")
    error = ErrorOutput(HOSTILE, HOSTILE)
    page.session.results = [CodeResult((TextOutput(HOSTILE, "stdout"), error), "error", 0, "1", ())]
    page.session.upload(HOSTILE.replace("/", "|"), b"x")
    page.session.held = [{"name": HOSTILE, "type": HOSTILE, "shape": "", "size": ""}]
    page.ask()
    assert HOSTILE in page.codes()
    drawn = [each.value for each in (*page.app.markdown, *page.app.error, *page.app.caption)]
    drawn += [each.label for each in page.app.expander]
    assert all("](http" not in each and "<script>" not in each for each in drawn)


@pytest.mark.parametrize(
    "hostile", [HOSTILE, "](javascript:x)", "<img src=x onerror=y>", "`` ` ``", "</pre>", '"&quot;']
)
def test_coloured_text_is_escaped_whole(tmp_path: Path, hostile: str) -> None:
    page = Page(tmp_path, ONE, "Done.")
    output = TextOutput(f"\x1b[1;3;4;31m{hostile}\x1b[0m{hostile}", "stdout")
    page.session.results = [CodeResult((output,), "ok", 0, "1", ())]
    page.ask()
    [drawn] = page.coloured()
    assert re.findall("<[^>]*", drawn) == [
        drawn[: drawn.index(">")],
        drawn[drawn.index("<span") : drawn.index(">", drawn.index("<span"))],
        "</span",
        "</pre",
    ]
    assert html.unescape(re.sub("<[^>]*>", "", drawn)) == hostile * 2


def test_more_colours_than_can_be_drawn_are_left_out(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "Done.")
    output = TextOutput("\x1b[31ma\x1b[32mb" * 2000, "stdout")
    page.session.results = [CodeResult((output,), "ok", 0, "1", ())]
    page.ask()
    assert page.coloured() == []
    assert "ab" * 2000 in page.codes()


@pytest.mark.parametrize("colour", coloured.COLOURS)
def test_every_colour_can_be_read_on_a_light_page_and_on_a_dark_one(colour: str) -> None:
    light, dark = coloured.COLOURS[colour]
    assert contrast(light, "#f3f5f8") >= 4.5
    assert contrast(dark, "#1e242e") >= 4.5


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_level_is_said_in_words(tmp_path: Path) -> None:
    page = Page(tmp_path)
    assert any("Isolated (level 1)" in each.label for each in page.app.expander)
    assert page.app.warning.len == 0
    assert "numpy 2.0" in page.written()


@pytest.mark.parametrize(
    ("address", "host", "may_run"),
    [
        (None, "localhost:8501", True),
        ("127.0.0.1", "[::1]:8501", True),
        ("203.0.113.5", "localhost", False),
        (None, "demo.trycloudflare.com", False),
    ],
)
def test_weak_isolation_has_a_banner_and_is_for_this_machine_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    host: str,
    may_run: bool,
) -> None:
    monkeypatch.setattr(ContextProxy, "ip_address", address)
    monkeypatch.setattr(ContextProxy, "headers", {"Host": host})
    page = Page(tmp_path, sessions=ScriptedSessions(tmp_path, Level.WEAK))
    assert "Weaker isolation" in page.app.warning[0].value
    assert page.app.chat_input.len == may_run
    assert page.app.error.len == (not may_run)


@pytest.mark.parametrize(("address", "may_run"), [("127.0.0.1", True), ("192.168.1.9", False)])
def test_an_unsafe_interpreter_is_said_in_red_and_is_for_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, may_run: bool
) -> None:
    monkeypatch.setattr(ContextProxy, "ip_address", address)
    monkeypatch.setattr(ContextProxy, "headers", {"Host": "localhost:8501"})
    page = Page(tmp_path, sessions=ScriptedSessions(tmp_path, Level.UNSAFE))
    assert any("Nothing isolates the code" in each.value for each in page.app.error)
    assert page.app.chat_input.len == may_run


def test_without_a_sandbox_the_page_says_why_and_what_mends_it(tmp_path: Path) -> None:
    sessions = ScriptedSessions(tmp_path)
    sessions.error = SandboxRefused(tried="1: no bwrap", command="apt-get install -y bubblewrap")
    page = Page(tmp_path, sessions=sessions)
    assert "no bwrap" in page.app.error[0].value
    assert "apt-get install -y bubblewrap" in page.codes()
    assert page.app.chat_input.len == 0
    sessions.error = None
    page.click("Try again")
    page.behind.workbench.wait()
    page.run()
    assert page.app.chat_input.len == 1


def test_the_making_of_the_environment_is_followed(tmp_path: Path) -> None:
    sessions = ScriptedSessions(tmp_path)
    sessions.may_start.clear()
    sessions.steps = [SetUp(2, 10, "pandas")]
    page = Page(tmp_path, sessions=sessions)
    page.run()
    [bar] = page.app.get("progress")
    assert bar.proto.text == "pandas (3 of 10)"
    sessions.may_start.set()
    page.behind.workbench.wait()
    page.run()
    assert page.app.chat_input.len == 1


def test_files_come_with_a_question_and_are_listed(tmp_path: Path) -> None:
    page = Page(tmp_path, "Seen.")
    page.app.chat_input[0].set_value("Plot it").upload("sales.csv", b"month,sum\n1,2\n")
    page.run()
    page.settle()
    assert page.session.read_file("sales.csv") == b"month,sum\n1,2\n"
    assert (
        "Plot it\n\n[Uploaded: sales.csv, which begins:\nmonth,sum\n1,2]"
        in page.engine.prompt_text()
    )
    assert any(each.label == r"sales\.csv · 14 B" for each in page.app.expander)


def test_a_block_is_edited_and_run_again(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "It is 1.")
    page.ask()
    page.click("Edit and run")
    [editor] = [area for area in page.app.text_area if area.value == "print(1)"]
    editor.set_value("print(3)")
    page.click_first("Run")
    assert page.session.ran == ["print(1)", "print(3)"]
    assert "print(3)" in page.codes()
    assert "print(1)" not in page.codes()


def test_a_person_runs_a_cell_of_their_own_and_all_again(tmp_path: Path) -> None:
    page = Page(tmp_path)
    [cell] = [area for area in page.app.text_area if area.label == "Code"]
    cell.set_value("x = 1")
    page.click_first("Run")
    assert page.session.ran == ["x = 1"]
    page.click("Run all again")
    assert page.session.ran == ["x = 1", "x = 1"]
    assert page.session.n_restarts == 1
    assert page.engine.generations == []


def test_what_cannot_be_stored_is_said(tmp_path: Path) -> None:
    page = Page(tmp_path, "Seen.")
    page.app.chat_input[0].set_value("Look").upload("...", b"x")
    page.run()
    assert "cannot be a file's name" in page.app.error[0].value
    assert page.conversation.messages == ()


def test_tools_can_be_used_beside_code(tmp_path: Path) -> None:
    page = Page(tmp_path, "ok")
    [toggle] = [each for each in page.app.toggle if each.label == "Use tools too"]
    toggle.set_value(True)
    page.run()
    assert page.conversation.settings.tools_on
    assert page.conversation.settings.code_on


def test_the_other_pages_run_no_code(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE)
    page.app.switch_page("chat.py")
    page.run()
    page.ask()
    assert all(session.ran == [] for session in page.sessions.sessions.values())


def test_a_printed_result_is_shown_while_code_runs(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "Done.")
    page.session.hangs = True
    page.app.chat_input[0].set_value("Loop")
    page.run()
    page.session.started.wait()
    page.run()
    assert "working" in page.codes()
    [stop] = [each for each in page.app.button if each.label == "Stop"]
    job = page.conversation.job
    assert job is not None
    stop.click()
    page.run()
    job.wait()
    page.run()
    assert any("stopped" in each.label for each in page.app.expander)
