"""Turns with code: the interpreter's prompt, what comes back, a person's own cells."""

from pathlib import Path

import pytest
from fake_engine import CHATGLM3, CHATML, FakeEngine, assistant_on
from scripted_sessions import ScriptedSession, ScriptedSessions, workbench_of
from scripted_tools import WEATHER, ScriptedTools, as_written, printed

from assistant import AssistantError, Conversation, Mode, TextOutput, ToolChoice
from assistant.coderunner import CodeResult
from assistant.errors import AnswerRunning, NoCode, SandboxRefused
from assistant.messages import CallState, Role
from assistant.outputs import ErrorOutput, ImageOutput
from assistant.toolchoice import ChoiceMode
from assistant.workbench import Unusable

ONE = "```python\nprint(1)\n```\n"
TWO = "```python\nprint(2)\n```\n"


class Talk:
    """A conversation of the interpreter's page, on scripted answers and scripted code."""

    def __init__(
        self, home: Path, *script: str, specials: tuple[str, ...] = CHATML, tools: bool = False
    ) -> None:
        self.engine = FakeEngine(*script, specials=specials, context_length=40_000)
        self.sessions = ScriptedSessions(home)
        self.source = ScriptedTools(WEATHER) if tools else None
        bench = workbench_of(self.sessions)
        self.behind = assistant_on(self.engine, home, self.source, bench)
        self.conversation: Conversation = self.behind.new_conversation(Mode.INTERPRETER)

    @property
    def session(self) -> ScriptedSession:
        return self.sessions.session(self.conversation.id)

    def ask(self, question: str = "Hi") -> None:
        self.behind.ask(self.conversation.id, question).wait()

    def cell(self, code: str) -> None:
        self.behind.run_cell(self.conversation.id, code).wait()

    @property
    def codes(self) -> list[str]:
        steps = [message.step for message in self.conversation.messages]
        return [getattr(step.call, "code", "") for step in steps if step is not None]


def test_code_is_run_in_the_conversations_own_session_and_its_output_goes_back(
    tmp_path: Path,
) -> None:
    talk = Talk(tmp_path, ONE, "It is 1.")
    talk.session.results = [CodeResult((TextOutput("1\n", "stdout"),), "ok", 0.2, "1c", ("a.csv",))]
    talk.ask()
    assert talk.session.ran == ["print(1)"]
    assert "<tool_response>\n1\n</tool_response>" in talk.engine.prompt_text()
    assert talk.conversation.messages[-1].content == "It is 1."
    [step] = [m.step for m in talk.conversation.messages if m.step is not None]
    assert (step.seconds, step.level, step.new_files) == (0.2, "1c", ("a.csv",))


def test_an_error_goes_back_so_that_the_model_can_mend_it(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE, TWO, "Mended.")
    error = ErrorOutput("KeyError", "'sum'", "Traceback:\n\x1b[31mKeyError\x1b[0m: 'sum'")
    talk.session.results = [CodeResult((error,), "error", 0.1, "1", ()), printed("2")]
    talk.ask()
    assert "Traceback:\nKeyError: 'sum'" in talk.engine.prompt_text(1)
    assert talk.session.ran == ["print(1)", "print(2)"]


def test_an_image_is_named_to_the_model_and_kept_for_the_person(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE, "Here.")
    picture = ImageOutput(b"\x89PNG", 640, 480)
    talk.session.results = [CodeResult((picture,), "ok", 0.1, "1", ())]
    talk.ask()
    assert "[Image] 640 x 480 pixels" in talk.engine.prompt_text()
    assert [m.step.outputs for m in talk.conversation.messages if m.step] == [(picture,)]


def test_chatglm3_is_asked_with_its_published_prompt_and_metadata(tmp_path: Path) -> None:
    talk = Talk(tmp_path, f"interpreter\n{ONE}<|observation|>", "\n1<|user|>", specials=CHATGLM3)
    talk.ask("一加一")
    prompt = talk.engine.prompt_text(0)
    assert prompt.startswith("[gMASK]sop<|system|>\n你是一位智能AI助手，你叫ChatGLM，")
    assert "/mnt/data/。<|user|>\n一加一<|assistant|>" in prompt
    assert talk.session.ran == ["print(1)"]
    assert "<|assistant|>interpreter\n" in talk.engine.prompt_text()
    assert talk.engine.prompt_text().endswith("<|observation|>\nran print(1)<|assistant|>")


def test_a_persons_system_prompt_stands_behind_the_models_own(tmp_path: Path) -> None:
    talk = Talk(tmp_path, "Hi.", specials=CHATGLM3)
    talk.conversation.settings = type(talk.conversation.settings)(
        code_on=True, system_prompt="Be brief."
    )
    talk.ask()
    assert "/mnt/data/。\nBe brief.<|user|>" in talk.engine.prompt_text()


def test_code_stays_text_on_the_chat_page(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE)
    talk.conversation = talk.behind.new_conversation(Mode.CHAT)
    talk.ask()
    assert talk.session.ran == []
    assert talk.conversation.messages[-1].content == ONE


def test_a_tool_and_code_work_in_the_same_answer(tmp_path: Path) -> None:
    talk = Talk(tmp_path, as_written("get_weather", city="Oslo"), ONE, "Both.", tools=True)
    settings = type(talk.conversation.settings)(code_on=True, tools_on=True, constrain_calls=False)
    talk.conversation.settings = settings
    talk.ask()
    assert talk.source is not None
    assert [name for name, _ in talk.source.calls] == ["get_weather"]
    assert talk.session.ran == ["print(1)"]


def test_choosing_no_tools_leaves_the_code_on(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE, "Done.", tools=True)
    talk.conversation.settings = type(talk.conversation.settings)(
        code_on=True, tools_on=True, tool_choice=ToolChoice(ChoiceMode.NONE)
    )
    talk.ask()
    assert talk.session.ran == ["print(1)"]
    assert "get_weather" not in talk.engine.prompt_text()


def test_after_eight_rounds_the_model_answers_with_what_it_has(tmp_path: Path) -> None:
    blocks = [f"```python\nprint({n})\n```\n" for n in range(9)]
    talk = Talk(tmp_path, *blocks)
    talk.ask()
    assert len(talk.session.ran) == 8
    ended = talk.conversation.messages[-1].ended
    assert ended is not None
    assert ended.rounds_used_up


def test_stop_stops_the_code(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE, "Never said.")
    talk.session.hangs = True
    job = talk.behind.ask(talk.conversation.id, "Loop")
    talk.session.started.wait()
    job.cancel()
    job.wait()
    [step] = [m.step for m in talk.conversation.messages if m.step is not None]
    assert step.state is CallState.STOPPED
    assert len(talk.engine.generations) == 1


def test_without_a_sandbox_a_question_is_refused_with_the_reason(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE)
    talk.sessions.error = SandboxRefused(tried="1: no bwrap", command="apt-get install bubblewrap")
    talk.behind.workbench.prepare()
    assert isinstance(talk.behind.workbench.wait(), Unusable)
    with pytest.raises(AssistantError, match="apt-get install bubblewrap"):
        talk.ask()
    assert talk.conversation.messages == ()
    talk.sessions.error = None
    talk.behind.workbench.prepare()
    talk.behind.workbench.wait()
    talk.ask()


def test_the_model_learns_of_uploaded_files_with_the_next_question_only(tmp_path: Path) -> None:
    talk = Talk(tmp_path, "Seen.")
    talk.behind.upload(talk.conversation.id, "../sales.csv", b"a,b\n")
    talk.behind.upload(talk.conversation.id, "sales.csv", b"a,c\n1,2\n3,4\n")
    talk.behind.upload(talk.conversation.id, "b.txt", b"text")
    assert [each.name for each in talk.session.files()] == ["b.txt", "sales.csv"]
    talk.ask("Plot it")
    told = "Plot it\n\n[Uploaded: sales.csv, which begins:\na,c\n1,2]\n[Uploaded: b.txt]<|im_end|>"
    assert told in talk.engine.prompt_text()
    talk.ask("And now?")
    assert "And now?<|im_end|>" in talk.engine.prompt_text()


def test_a_persons_own_cell_is_run_and_read_by_the_model_later(tmp_path: Path) -> None:
    talk = Talk(tmp_path, "I see.")
    talk.cell("x = 1")
    [message] = talk.conversation.messages
    assert message.role is Role.USER
    assert message.step is not None
    assert message.step.state is CallState.DONE
    talk.ask("What was that?")
    assert "I ran this code:\n```python\nx = 1\n```\nIt gave:\nran x = 1" in (
        talk.engine.prompt_text()
    )


def test_a_changed_block_is_run_in_place_and_the_model_told(tmp_path: Path) -> None:
    talk = Talk(tmp_path, ONE, "It is 1.", "Now 3.")
    talk.ask()
    [step] = [m.step for m in talk.conversation.messages if m.step is not None]
    talk.behind.run_again(talk.conversation.id, step.id, "print(3)").wait()
    assert talk.session.ran == ["print(1)", "print(3)"]
    assert talk.codes == ["print(3)"]
    talk.ask("And?")
    told = "The person changed the code. What was run is:\n```python\nprint(3)\n```\nran print(3)"
    assert told in talk.engine.prompt_text()


def test_running_all_again_starts_afresh_and_stops_at_the_first_that_fails(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    for code in ("a", "b", "c"):
        talk.cell(code)
    talk.session.ran.clear()
    talk.session.results = [printed("one"), CodeResult((), "error", 0.1, "1", ())]
    talk.behind.run_all(talk.conversation.id).wait()
    assert talk.session.n_restarts == 1
    assert talk.session.ran == ["a", "b"]
    assert [m.step.state for m in talk.conversation.messages if m.step] == [
        CallState.DONE,
        CallState.FAILED,
        CallState.DONE,
    ]


def test_a_cell_waits_for_nothing_and_is_refused_while_an_answer_is_written(
    tmp_path: Path,
) -> None:
    talk = Talk(tmp_path, ONE)
    talk.session.hangs = True
    job = talk.behind.ask(talk.conversation.id, "Loop")
    talk.session.started.wait()
    with pytest.raises(AnswerRunning):
        talk.cell("1")
    job.cancel()
    job.wait()


@pytest.mark.parametrize("code", ["", " \n"])
def test_an_empty_cell_is_refused(tmp_path: Path, code: str) -> None:
    talk = Talk(tmp_path)
    with pytest.raises(NoCode):
        talk.cell(code)
    with pytest.raises(NoCode):
        talk.behind.run_all(talk.conversation.id)


def test_a_conversation_survives_export_and_import(tmp_path: Path) -> None:
    talk = Talk(tmp_path, "First:\n" + ONE, "It is 1.")
    talk.ask("How much?\nSay")
    talk.cell("x = 1")
    exported = talk.behind.export_notebook(talk.conversation.id)
    other = talk.behind.new_conversation(Mode.INTERPRETER)
    talk.behind.import_notebook(other.id, exported)
    assert [(m.role, m.content) for m in other.messages if m.step is None] == [
        (Role.USER, "How much?\nSay"),
        (Role.ASSISTANT, "First:\n"),
        (Role.ASSISTANT, "It is 1."),
    ]
    kept = [(m.step.call, m.step.outputs) for m in other.messages if m.step is not None]
    assert [getattr(call, "code", "") for call, _ in kept] == ["print(1)", "x = 1"]
    assert [outputs for _, outputs in kept] == [
        (TextOutput("ran print(1)", "stdout"),),
        (TextOutput("ran x = 1", "stdout"),),
    ]
    assert talk.behind.run_all(other.id) is not None
