"""The tools page on the scripted engine, without a browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_tools import SEND, WEATHER, ScriptedTools, as_written, failed, gave
from tabs import Tab

import assistant
from assistant import ChoiceMode, Permission, ToolChoice
from assistant.events import ApprovalAsked
from assistant.outputs import FileOutput, ImageOutput, JsonOutput, TableOutput, TextOutput
from assistant.toolsource import Trouble

OSLO = as_written("get_weather", city="Oslo")
MAIL = as_written("send", to="bo", text="Hi")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
OWN = '[{"name": "stock", "description": "Price", "parameters": {"type": "object"}}]'


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


class Page(Tab):
    """The tools page in one browser tab."""

    def __init__(self, home: Path, *script: str, tools: ScriptedTools | None = None) -> None:
        self.tools = tools or ScriptedTools(WEATHER, SEND)
        self.engine = FakeEngine(*script, context_length=20_000)
        super().__init__(assistant_on(self.engine, home, self.tools), "tools.py")

    def settle(self) -> None:
        """Waits for the answer, or for what the job asks in turn."""
        job = self.conversation.job
        if job is not None:
            for event in job.events():
                if isinstance(event, ApprovalAsked) and job.snapshot().question is not None:
                    break
        self.run()

    def labels(self) -> list[str]:
        return [re.sub(r"\\(.)", r"\1", each.label) for each in self.app.expander]

    def said(self) -> list[str]:
        return [message.markdown[-1].value for message in self.app.chat_message if message.markdown]


def test_a_call_and_its_result_are_shown_and_the_answer_below_them(tmp_path: Path) -> None:
    page = Page(tmp_path, f"Let me see. {OSLO}", "It is **22** degrees.")
    page.ask("Weather?")
    assert "get_weather(city='Oslo') · done" in page.labels()
    values = [each.value for each in page.app.json]
    assert '{"city": "Oslo"}' in values
    assert '{"temperature": 22}' in values
    assert page.said()[-1] == "It is **22** degrees."
    assert len(page.app.chat_message) == 2


@pytest.mark.parametrize("hostile", ["<script>x</script> ![a](http://evil.invalid) $x$", ":red[x]"])
def test_what_a_tool_says_is_plain_text(tmp_path: Path, hostile: str) -> None:
    tools = ScriptedTools(WEATHER, get_weather=lambda _: gave(TextOutput(hostile)))
    page = Page(tmp_path, OSLO, "Done.", tools=tools)
    page.ask()
    assert hostile in [code.value for code in page.app.code]
    assert all(hostile not in markdown.value for markdown in page.app.markdown)


def test_every_kind_of_result_is_drawn_as_what_it_is(tmp_path: Path) -> None:
    table = TableOutput(("a", "a"), ((1, None), ("x", [2])), 1000)
    results = gave(
        table, ImageOutput(PNG, 1, 1), FileOutput("a.csv", b"1"), JsonOutput("{not json")
    )
    page = Page(
        tmp_path, OSLO, "Done.", tools=ScriptedTools(WEATHER, get_weather=lambda _: results)
    )
    page.ask()
    assert list(page.app.dataframe[0].value.columns) == ["a", "a (2)"]
    assert "of 1000 rows" in page.written()
    assert len(page.app.get("image")) == 1
    [download] = page.app.get("download_button")
    assert download.proto.label == r"Download a\.csv"
    assert "{not json" in page.written()


def test_a_failed_call_says_why(tmp_path: Path) -> None:
    tools = ScriptedTools(WEATHER, get_weather=lambda _: failed("no network"))
    page = Page(tmp_path, OSLO, "Sorry.", tools=tools)
    page.ask()
    assert "get_weather(city='Oslo') · failed" in page.labels()
    assert "no network" in page.app.error[0].value


def test_a_question_shows_the_arguments_and_runs_what_was_edited(tmp_path: Path) -> None:
    page = Page(tmp_path, MAIL, "Sent.")
    page.ask("Say Hi to her")
    labels = {field.label: field for field in page.app.text_input}
    assert set(labels) == {"to · not said by you", "text"}
    labels["to · not said by you"].set_value("al")
    page.click("Run")
    assert page.tools.calls == [("send", {"to": "al", "text": "Hi"})]
    assert any("as you changed them" in label for label in page.labels())
    assert page.said()[-1] == "Sent."


def test_declining_runs_nothing(tmp_path: Path) -> None:
    page = Page(tmp_path, MAIL, "All right.")
    page.ask()
    page.click("Decline")
    assert page.tools.calls == []
    assert any(label.endswith("declined") for label in page.labels())
    assert page.said()[-1] == "All right."


def test_always_asks_no_more_in_this_conversation(tmp_path: Path) -> None:
    second = as_written("send", to="al", text="Hi")
    page = Page(tmp_path, MAIL, "Sent.", second, "Sent again.")
    page.ask()
    page.click("Always in this conversation")
    assert page.conversation.settings.permissions == {"send": Permission.ALWAYS}
    page.ask("And al")
    assert len(page.tools.calls) == 2
    assert page.said()[-1] == "Sent again."


def test_a_person_types_the_result_of_a_tool_of_their_own(tmp_path: Path) -> None:
    page = Page(tmp_path, as_written("stock"), "It is 7.")
    manual = next(area for area in page.app.text_area if "definitions" in area.label)
    manual.set_value(OWN)
    page.run()
    page.ask("Price?")
    next(area for area in page.app.text_area if area.label == "Result").set_value("7 EUR")
    page.click("Give this result")
    assert page.said()[-1] == "It is 7."
    assert "7 EUR" in page.written()


def test_a_definition_that_is_wrong_says_where_and_keeps_the_others(tmp_path: Path) -> None:
    page = Page(tmp_path, "ok")
    manual = next(area for area in page.app.text_area if "definitions" in area.label)
    manual.set_value("- name: stock\n  description: 3\n")
    page.run()
    assert "line 2" in page.app.error[0].value.replace("\\", "")
    assert page.conversation.settings.manual_tools == ()


def test_tools_are_ticked_and_their_cost_is_said(tmp_path: Path) -> None:
    page = Page(tmp_path, "ok")
    assert "2 of 2 tools offered" in page.written()
    ticks = {tick.label: tick for tick in page.app.checkbox}
    assert set(ticks) == {"get_weather", "send"}
    ticks["send"].uncheck()
    page.run()
    assert "1 of 2 tools offered" in page.written()
    page.ask()
    assert '"name": "send"' not in page.engine.prompt_text()


def test_the_choice_of_tools_is_the_conversations(tmp_path: Path) -> None:
    page = Page(tmp_path, "ok")
    choice = next(box for box in page.app.selectbox if box.label == "Tool choice")
    assert choice.options == [
        "Automatic",
        "A call is required",
        "No tools",
        "Always call get_weather",
        "Always call send",
    ]
    choice.select_index(2)
    page.run()
    assert page.conversation.settings.tool_choice == ToolChoice(ChoiceMode.NONE)
    page.ask()
    assert "get_weather" not in page.engine.prompt_text()


def test_what_is_wrong_with_a_tools_file_is_a_red_row_with_its_traceback(tmp_path: Path) -> None:
    tools = ScriptedTools(WEATHER)
    tools.red.append(Trouble("bad_tool.py", "SyntaxError: invalid syntax", "line 3\n  def ("))
    page = Page(tmp_path, "ok", tools=tools)
    assert ":red[bad_tool.py: SyntaxError: invalid syntax]" in page.labels()
    assert "line 3\n  def (" in page.written()


def test_a_limit_of_rounds_is_said(tmp_path: Path) -> None:
    calls = [as_written("get_weather", city=f"City {n}") for n in range(8)]
    page = Page(tmp_path, *calls, "Enough.")
    page.ask()
    assert "The limit of 8 rounds of calls was reached" in page.written()


def test_each_page_keeps_its_own_conversation(tmp_path: Path) -> None:
    page = Page(tmp_path, "ok")
    tools = page.conversation
    page.app.switch_page("chat.py")
    page.run()
    assert page.conversation is not tools
    page.app.switch_page("tools.py")
    page.run()
    assert page.conversation is tools


@pytest.mark.parametrize("language", ["English", "中文"])
def test_the_page_is_there_in_both_languages(tmp_path: Path, language: str) -> None:
    page = Page(tmp_path, MAIL, "ok")
    page.app.segmented_control(key="lang").set_value(language)
    page.run()
    page.ask()
    label = {"English": "Decline", "中文": "拒绝"}[language]
    page.click(label)
    assert page.said()[-1] == "ok"
