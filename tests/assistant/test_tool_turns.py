"""Turns with calls from the outside: stopping, asking, carrying on, regenerating, breaking."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_engine import CHATGLM3, FakeEngine, assistant_on
from scripted_tools import (
    SEND,
    WEATHER,
    HangingTools,
    ScriptedTools,
    as_written,
    gave,
    tool,
)

from assistant import Conversation, FinishReason, Job
from assistant.approval import Approved, Declined, Permission, Question
from assistant.errors import BadArguments, InternalError, NothingAsked
from assistant.events import ApprovalAsked, CallStarted
from assistant.items import CallItem, DraftItem, TextItem, items_of_messages
from assistant.messages import CallState, Message, Role
from assistant.outputs import TextOutput
from assistant.settings import Mode
from assistant.toolsource import ToolResult
from engine import PromptTooLong

OSLO = as_written("get_weather", city="Oslo")
MAIL = as_written("send", to="bo", text="Hi")


class Talk:
    """A conversation with tools on a scripted engine."""

    def __init__(self, engine: FakeEngine, tools: ScriptedTools, home: Path) -> None:
        self.engine = engine
        self.tools = tools
        self.assistant = assistant_on(engine, home, tools)
        self.conversation: Conversation = self.assistant.new_conversation(Mode.TOOLS)
        self.id = self.conversation.id

    def start(self, question: str = "Hi") -> Job:
        return self.assistant.ask(self.id, question)

    def set(self, **changes: Any) -> None:
        self.conversation.settings = replace(self.conversation.settings, **changes)

    def roles(self) -> list[str]:
        return [message.role.value for message in self.conversation.messages]

    @property
    def last(self) -> Message:
        return self.conversation.messages[-1]


def asked(job: Job) -> Question:
    """Waits until the job asks a person."""
    return next(event.question for event in job.events() if isinstance(event, ApprovalAsked))


@pytest.fixture
def tools() -> ScriptedTools:
    return ScriptedTools(WEATHER, SEND)


def test_a_conversation_keeps_every_message_of_a_turn(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(OSLO, "22."), tools, tmp_path)
    talk.start().wait()
    assert talk.roles() == ["user", "assistant", "observation", "assistant"]
    (folder,) = talk.tools.folders
    assert folder.name == talk.id


def test_chatglm3_replays_the_tools_name_as_it_was_written(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    written = "get_weather\n ```python\ntool_call(city='Oslo')\n```"
    script = (f"{written}<|observation|>", "\n 22.<|user|>", "\n Bye<|user|>")
    talk = Talk(FakeEngine(*script, specials=CHATGLM3), tools, tmp_path)
    talk.start("Weather?").wait()
    turn = (
        f"<|user|>\nWeather?<|assistant|>{written}"
        '<|observation|>\n{"temperature": 22}<|assistant|>'
    )
    assert talk.engine.prompt_text(1).endswith(turn)
    assert talk.conversation.messages[1].metadata == "get_weather"
    talk.start("Bye").wait()
    assert talk.engine.prompt_text(2).endswith(f"{turn}\n 22.<|user|>\nBye<|assistant|>")


def test_each_round_finds_the_one_before_it_in_the_cache(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(OSLO, "22."), tools, tmp_path)
    talk.start().wait()
    first, second = talk.engine.generations
    answer = talk.engine.tokenizer.encode(OSLO)
    assert second.prompt[: len(first.prompt) + len(answer)] == [*first.prompt, *answer]


def test_a_chat_is_offered_no_tools(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok"), tools, tmp_path)
    chat = talk.assistant.new_conversation()
    talk.assistant.ask(chat.id, "Hi").wait()
    assert "get_weather" not in talk.engine.prompt_text()


def test_a_tool_that_is_off_is_not_offered(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok"), tools, tmp_path)
    talk.set(tools_off=frozenset({"send"}))
    talk.start().wait()
    assert '"name": "get_weather"' in talk.engine.prompt_text()
    assert '"name": "send"' not in talk.engine.prompt_text()


def test_a_persons_own_definition_stands_before_a_registered_tool_of_its_name(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine("ok"), tools, tmp_path)
    own = tool("send", to="string").spec
    talk.set(manual_tools=(own,))
    sources = {each.name: each.source for each in talk.assistant.tools(talk.conversation)}
    assert sources == {"send": "manual", "get_weather": "get_weather.py"}


# --- a question ----------------------------------------------------------------------------------


def test_while_a_question_waits_the_engine_is_free_for_others(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(MAIL, "from another", "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    other = talk.assistant.new_conversation()
    talk.assistant.ask(other.id, "Hi").wait()
    assert other.messages[-1].content == "from another"
    assert job.snapshot().question == question
    job.decide(question.id, Approved(question.arguments))
    job.wait()
    assert talk.last.content == "sent"


def test_a_question_is_answered_once(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(MAIL, "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    job.decide(question.id, Declined())
    with pytest.raises(NothingAsked):
        job.decide(question.id, Approved(question.arguments))
    job.wait()
    assert tools.calls == []


def test_an_answer_to_another_question_is_refused(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(MAIL, "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    with pytest.raises(NothingAsked):
        job.decide("call_of_yesterday", Approved({}))
    job.decide(question.id, Approved(question.arguments))
    job.wait()


def test_edited_arguments_are_checked_and_the_question_goes_on_waiting(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(MAIL, "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    with pytest.raises(BadArguments, match="text"):
        job.decide(question.id, Approved({"to": "al"}))
    assert job.snapshot().question == question
    job.decide(question.id, Approved({"to": "al", "text": "Hi"}))
    job.wait()
    assert tools.calls == [("send", {"to": "al", "text": "Hi"})]


def test_a_permission_given_while_the_turn_runs_counts_from_the_next_call(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    second = as_written("send", to="al", text="Hi")
    talk = Talk(FakeEngine(MAIL, second, "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    talk.set(permissions={"send": Permission.ALWAYS})
    job.decide(question.id, Approved(question.arguments))
    job.wait()
    assert len(tools.calls) == 2


# --- stopping and going on -----------------------------------------------------------------------


def check_stopped(talk: Talk) -> None:
    assert talk.roles() == ["user", "assistant", "observation", "assistant"]
    assert talk.conversation.messages[2].step is not None
    assert talk.conversation.messages[2].step.state is CallState.STOPPED
    assert "stopped this call" in talk.conversation.messages[2].content
    assert talk.last.ended is not None
    assert talk.last.ended.reason is FinishReason.CANCELLED
    assert len(talk.engine.generations) == 1


def test_stop_stops_a_tool(tmp_path: Path) -> None:
    hanging = HangingTools(WEATHER)
    talk = Talk(FakeEngine(OSLO, "never"), hanging, tmp_path)
    job = talk.start()
    hanging.started.wait()
    job.cancel()
    job.wait()
    check_stopped(talk)


def test_stop_ends_the_wait_for_a_person(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(MAIL, "never"), tools, tmp_path)
    job = talk.start()
    asked(job)
    job.cancel()
    job.wait()
    check_stopped(talk)
    assert tools.calls == []


def test_after_a_stop_the_calls_that_are_left_are_not_run(tmp_path: Path) -> None:
    hanging = HangingTools(WEATHER)
    talk = Talk(FakeEngine(OSLO + as_written("get_weather", city="Rome")), hanging, tmp_path)
    job = talk.start()
    hanging.started.wait()
    job.cancel()
    job.wait()
    assert hanging.calls == [("get_weather", {"city": "Oslo"})]
    assert talk.roles() == ["user", "assistant", "observation", "observation", "assistant"]
    assert len(talk.engine.generations) == 1


def test_an_answer_stopped_in_a_tool_goes_on_from_what_there_is(tmp_path: Path) -> None:
    hanging = HangingTools(WEATHER)
    talk = Talk(FakeEngine(OSLO, "No weather then."), hanging, tmp_path)
    job = talk.start()
    hanging.started.wait()
    job.cancel()
    job.wait()
    talk.assistant.continue_(talk.id).wait()
    assert talk.roles() == ["user", "assistant", "observation", "assistant"]
    assert talk.last.content == "No weather then."
    assert "stopped this call" in talk.engine.prompt_text()


def test_a_call_cut_in_its_middle_is_not_run_until_it_is_whole(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(), tools, tmp_path)
    job = talk.start()
    talk.engine.generations[0].say(OSLO[:30])
    talk.engine.generations[0].finish(FinishReason.LENGTH)
    job.wait()
    assert talk.roles() == ["user", "assistant"]
    job = talk.assistant.continue_(talk.id)
    talk.engine.generations[1].say(OSLO[30:])
    talk.engine.generations[1].finish()
    next(event for event in job.events() if isinstance(event, CallStarted))
    while len(talk.engine.generations) < 3:
        list(zip(job.events(), range(10), strict=False))
    talk.engine.generations[2].say("22.")
    talk.engine.generations[2].finish()
    job.wait()
    assert tools.calls == [("get_weather", {"city": "Oslo"})]
    assert talk.last.ended is not None
    assert talk.last.ended.stats is not None
    assert talk.last.ended.stats.output_tokens == len(OSLO) + len("22.")


def test_regenerating_drops_the_whole_turn_and_nothing_before_it(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine("Hello", OSLO, "22.", "No tools."), tools, tmp_path)
    talk.start("Hi").wait()
    talk.start("Weather?").wait()
    talk.assistant.regenerate(talk.id).wait()
    contents = [message.content for message in talk.conversation.messages]
    assert contents == ["Hi", "Hello", "Weather?", "No tools."]
    assert talk.engine.generations[1].prompt == talk.engine.generations[3].prompt


# --- what breaks ---------------------------------------------------------------------------------


class BrokenTools(ScriptedTools):
    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        raise ZeroDivisionError


def test_a_mistake_of_ours_in_the_middle_keeps_what_was_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    talk = Talk(FakeEngine(f"Let me see. {OSLO}", "again"), BrokenTools(WEATHER), tmp_path)
    talk.start().wait()
    assert talk.roles() == ["user", "assistant", "observation", "assistant"]
    assert talk.conversation.messages[1].content.strip() == "Let me see."
    assert talk.last.ended is not None
    assert isinstance(talk.last.ended.error, InternalError)
    assert talk.last.ended.stats is not None
    assert "ZeroDivisionError" in caplog.text
    talk.start("And now?").wait()
    assert talk.last.content == "again"


def test_a_result_takes_at_most_a_quarter_of_the_context(tmp_path: Path) -> None:
    long = ScriptedTools(WEATHER, get_weather=lambda _: gave(TextOutput("x" * 3900)))
    talk = Talk(FakeEngine(OSLO, "22.", context_length=2000), long, tmp_path)
    talk.start().wait()
    content = talk.conversation.messages[2].content
    assert 400 < len(content) <= 500 + len("[… 3400 characters left out …]\n\n")
    assert talk.last.content == "22."


def test_results_that_outgrow_the_context_end_the_answer_and_not_the_conversation(
    tmp_path: Path,
) -> None:
    long = ScriptedTools(WEATHER, get_weather=lambda _: gave(TextOutput("x" * 3900)))
    cities = "".join(as_written("get_weather", city=f"City {n}") for n in range(4))
    talk = Talk(FakeEngine(cities, "ok", context_length=2000), long, tmp_path)
    talk.start().wait()
    assert talk.last.ended is not None
    assert isinstance(talk.last.ended.error, PromptTooLong)
    talk.start("And now?").wait()
    assert talk.last.content == "ok"


# --- what there is to draw -----------------------------------------------------------------------


def test_a_running_turn_and_a_finished_one_are_drawn_alike(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(f"Let me see. {OSLO}", "22."), tools, tmp_path)
    job = talk.start()
    job.wait()
    live = job.snapshot().items
    assert live == items_of_messages(talk.conversation.messages[1:])
    text, call, answer = live
    assert (text, answer) == (TextItem("Let me see. "), TextItem("22."))
    assert isinstance(call, CallItem)
    assert call.step.state is CallState.DONE


def test_a_call_is_seen_while_it_is_written(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(), tools, tmp_path)
    job = talk.start()
    events = job.events()
    talk.engine.generations[0].say("Hm. " + OSLO[:20])
    while not isinstance((job.snapshot().items or (None,))[-1], DraftItem):
        next(events)
    assert job.snapshot().items[0] == TextItem("Hm. ")
    talk.engine.generations[0].finish(FinishReason.LENGTH)
    job.wait()
    assert job.snapshot().items == (TextItem("Hm. " + OSLO[:20]),)


def test_the_question_is_there_to_be_drawn_until_it_is_answered(
    tools: ScriptedTools, tmp_path: Path
) -> None:
    talk = Talk(FakeEngine(MAIL, "sent"), tools, tmp_path)
    job = talk.start()
    question = asked(job)
    (item,) = job.snapshot().items
    assert isinstance(item, CallItem)
    assert (item.step.state, item.question) == (CallState.WAITING, question)
    job.decide(question.id, Approved(question.arguments))
    job.wait()
    assert all(item.question is None for item in job.snapshot().items if isinstance(item, CallItem))


def test_closing_the_assistant_closes_its_tools(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok"), tools, tmp_path)
    talk.assistant.close()
    assert tools.closed


def test_an_observation_knows_its_call(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(OSLO, "22."), tools, tmp_path)
    talk.start().wait()
    observation = talk.conversation.messages[2]
    assert observation.role is Role.OBSERVATION
    assert observation.step is not None
    assert observation.step.id.startswith("call_")


def test_the_next_question_does_not_see_the_repeats(tools: ScriptedTools, tmp_path: Path) -> None:
    talk = Talk(FakeEngine(OSLO, OSLO, "22.", "Bye"), tools, tmp_path)
    talk.start("Weather?").wait()
    talk.start("Bye").wait()
    assert talk.engine.prompt_text(3).count(OSLO) == 1
    assert [m.content for m in talk.conversation.messages].count(OSLO) == 0
    assert sum(bool(m.ids) for m in talk.conversation.messages) == 4
