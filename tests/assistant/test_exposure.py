"""What is held back in public: tools that change or tell something, code in a weak sandbox."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_sessions import ScriptedSessions, workbench_of
from scripted_tools import SEND, WEATHER, ScriptedTools, as_written, gave, tool
from sharing_stand_in import ScriptedSharing, exposure_to

from assistant import Allowance, ChatSettings, Conversation, Job, Mode, Permission, ToolChoice
from assistant.approval import Approved
from assistant.coderunner import CodeResult
from assistant.errors import CodeNotPublic
from assistant.events import ApprovalAsked
from assistant.exposure import FRESH, Exposure
from assistant.messages import CallState, CallStep
from assistant.outputs import TextOutput
from assistant.sandbox.level import Level
from assistant.toolchoice import ChoiceMode
from assistant.toolsource import Effects, ToolResult
from assistant.workbench import Usable

FETCH = tool("fetch", Effects.NETWORK, url="string")
LOOK = tool("look", Effects.READ, topic="string")
MAIL = as_written("send", to="bo", text="Hi")
ONE = "```python\nprint(1)\n```\n"
WEAK = [Level.WEAK, Level.NONE]
STRONG = [Level.NAMESPACES, Level.CHROOT, Level.LANDLOCK, Level.LANDLOCK_SHARED]


class Shared:
    """An assistant that the test makes public when it likes."""

    def __init__(
        self,
        home: Path,
        *script: str,
        mode: Mode = Mode.TOOLS,
        owner: str = "",
        level: Level = Level.NAMESPACES,
        tools: ScriptedTools | None = None,
    ) -> None:
        self.shares = ScriptedSharing()
        self.tools = tools or ScriptedTools(WEATHER, SEND, FETCH, LOOK)
        self.engine = FakeEngine(*script, context_length=40_000)
        self.sessions = ScriptedSessions(home, level)
        bench = workbench_of(self.sessions)
        exposure = exposure_to(self.shares)
        self.behind = assistant_on(self.engine, home, self.tools, bench, exposure)
        self.conversation: Conversation = self.behind.new_conversation(mode, owner)

    def permit(self, name: str) -> None:
        """The person lets a tool run from now on."""
        permissions = {name: Permission.ALWAYS}
        self.conversation.settings = ChatSettings(tools_on=True, permissions=permissions)

    def ask(self) -> Job:
        return self.behind.ask(self.conversation.id, "Hi")

    @property
    def steps(self) -> list[CallStep]:
        return [each.step for each in self.conversation.messages if each.step is not None]

    @property
    def ran(self) -> list[str]:
        return self.sessions.session(self.conversation.id).ran


# --- the sharing itself


def test_the_sharing_is_looked_up_once_a_second() -> None:
    shares, now = ScriptedSharing(), [0.0]
    exposure = Exposure(shares, lambda: now[0])
    assert exposure.sharing() is None
    shares.begin()
    now[0] = FRESH - 0.01
    assert exposure.sharing() is None
    now[0] = FRESH
    assert exposure.sharing() is shares.now
    assert shares.n_asked == 2


def test_a_stop_is_handed_on() -> None:
    shares = ScriptedSharing()
    exposure_to(shares).stop()
    assert shares.stop_asked


# --- tools


def test_in_public_only_tools_that_look_are_offered(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "ok")
    shared.shares.begin()
    shared.ask().wait()
    prompt = shared.engine.prompt_text()
    assert all(f'"name": "{name}"' in prompt for name in ("get_weather", "look"))
    assert all(f'"name": "{name}"' not in prompt for name in ("send", "fetch"))
    assert set(shared.behind.tool_costs(shared.conversation)) == {"get_weather", "look"}


@pytest.mark.parametrize("call", [MAIL, as_written("fetch", url="http://a.invalid")])
def test_a_tool_that_was_allowed_before_is_not_run_in_public(tmp_path: Path, call: str) -> None:
    shared = Shared(tmp_path, call, "Sorry.")
    shared.permit("send" if call is MAIL else "fetch")
    shared.shares.begin()
    shared.ask().wait()
    assert shared.tools.calls == []
    assert [step.state for step in shared.steps] == [CallState.FAILED]


def test_what_was_asked_before_the_sharing_and_approved_in_it_is_not_run(tmp_path: Path) -> None:
    shared = Shared(tmp_path, MAIL, "Sorry.")
    job = shared.ask()
    asked = next(event for event in job.events() if isinstance(event, ApprovalAsked))
    shared.shares.begin()
    job.decide(asked.question.id, Approved(asked.question.arguments))
    job.wait()
    assert shared.tools.calls == []
    assert "can be reached from outside" in shared.engine.prompt_text()


def test_a_turn_that_runs_when_the_sharing_begins_is_offered_no_more(tmp_path: Path) -> None:
    def begin(_: Mapping[str, object]) -> ToolResult:
        shared.shares.begin()
        return gave(TextOutput("sunny"))

    tools = ScriptedTools(WEATHER, SEND, get_weather=begin)
    shared = Shared(tmp_path, as_written("get_weather", city="Oslo"), MAIL, "ok", tools=tools)
    shared.permit("send")
    shared.ask().wait()
    assert [name for name, _ in tools.calls] == ["get_weather"]
    assert "What send does" in shared.engine.prompt_text(0)
    assert "What send does" not in shared.engine.prompt_text(1)


def test_nobody_is_asked_to_approve_what_is_off(tmp_path: Path) -> None:
    def begin(_: Mapping[str, object]) -> ToolResult:
        shared.shares.begin()
        return gave(TextOutput("sunny"))

    tools = ScriptedTools(WEATHER, SEND, get_weather=begin)
    weather = as_written("get_weather", city="Oslo")
    shared = Shared(tmp_path, f"{weather}\n{MAIL}", "Sorry.", tools=tools)
    for event in shared.ask().events():
        assert not isinstance(event, ApprovalAsked)
    assert [step.state for step in shared.steps] == [CallState.DONE, CallState.FAILED]


def test_sharing_that_allows_risky_tools_offers_and_runs_them(tmp_path: Path) -> None:
    shared = Shared(tmp_path, MAIL, "Sent.")
    shared.permit("send")
    shared.shares.begin(Allowance.RISKY_TOOLS)
    shared.ask().wait()
    assert [name for name, _ in shared.tools.calls] == ["send"]


@pytest.mark.parametrize("other", [Allowance.OPERATOR_PAGES, Allowance.UNSAFE_INTERPRETER])
def test_another_allowance_does_not_allow_tools(tmp_path: Path, other: Allowance) -> None:
    shared = Shared(tmp_path, MAIL, "Sorry.")
    shared.permit("send")
    shared.shares.begin(other)
    shared.ask().wait()
    assert shared.tools.calls == []


def test_a_choice_of_a_tool_that_is_off_falls_back_to_automatic(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "ok")
    choice = ToolChoice(ChoiceMode.NAMED, "send")
    shared.conversation.settings = ChatSettings(tools_on=True, tool_choice=choice)
    shared.shares.begin()
    shared.ask().wait()
    assert shared.conversation.messages[-1].content == "ok"


def test_tools_are_back_when_the_sharing_is_over(tmp_path: Path) -> None:
    shared = Shared(tmp_path, MAIL, "Sent.")
    shared.permit("send")
    shared.shares.begin()
    assert shared.behind.forbids(SEND)
    shared.shares.now = None
    shared.ask().wait()
    assert [name for name, _ in shared.tools.calls] == ["send"]


# --- code


@pytest.mark.parametrize("level", WEAK)
def test_in_public_a_weak_sandbox_runs_nobodys_code(tmp_path: Path, level: Level) -> None:
    shared = Shared(tmp_path, ONE, "Sorry.", mode=Mode.INTERPRETER, level=level)
    shared.shares.begin()
    shared.ask().wait()
    assert shared.ran == []
    assert [step.state for step in shared.steps] == [CallState.FAILED]
    assert f"of level {level}" in shared.engine.prompt_text()


@pytest.mark.parametrize("level", STRONG)
def test_in_public_a_sandbox_that_keeps_its_promises_runs_code(
    tmp_path: Path, level: Level
) -> None:
    shared = Shared(tmp_path, ONE, "It is 1.", mode=Mode.INTERPRETER, level=level)
    shared.shares.begin()
    shared.ask().wait()
    assert shared.ran == ["print(1)"]


def test_a_weak_sandbox_runs_code_in_public_if_the_sharing_says_so(tmp_path: Path) -> None:
    shared = Shared(tmp_path, ONE, "ok", mode=Mode.INTERPRETER, level=Level.WEAK)
    shared.shares.begin(Allowance.UNSAFE_INTERPRETER)
    shared.ask().wait()
    assert shared.ran == ["print(1)"]


def test_a_weak_sandbox_runs_code_at_the_machine_and_of_nobody_who_has_a_name(
    tmp_path: Path,
) -> None:
    local = Shared(tmp_path, ONE, "ok", mode=Mode.INTERPRETER, level=Level.WEAK)
    local.ask().wait()
    assert local.ran == ["print(1)"]
    named = Shared(tmp_path, ONE, "ok", mode=Mode.INTERPRETER, level=Level.WEAK, owner="ann")
    named.ask().wait()
    assert named.ran == []


def test_a_persons_own_cells_are_refused_where_the_sandbox_is_weak(tmp_path: Path) -> None:
    shared = Shared(tmp_path, mode=Mode.INTERPRETER, level=Level.WEAK)
    shared.behind.workbench.prepare()
    assert isinstance(shared.behind.workbench.wait(), Usable)
    shared.behind.run_cell(shared.conversation.id, "1 + 1").wait()
    shared.shares.begin()
    behind, where, step = shared.behind, shared.conversation.id, shared.steps[0].id
    actions: list[Callable[[], Job]] = [
        partial(behind.run_cell, where, "2 + 2"),
        partial(behind.run_again, where, step, "3"),
        partial(behind.run_all, where),
        shared.ask,
    ]
    for action in actions:
        with pytest.raises(CodeNotPublic):
            action()
    assert shared.ran == ["1 + 1"]


def test_code_of_a_turn_that_runs_when_the_sharing_begins_is_refused(tmp_path: Path) -> None:
    shared = Shared(tmp_path, ONE, "```python\nprint(2)\n```\n", "ok", mode=Mode.INTERPRETER)
    shared.sessions.level = Level.WEAK
    session = shared.sessions.session(shared.conversation.id)

    class Beginning(list[CodeResult]):
        def pop(self, *_: object) -> CodeResult:
            shared.shares.begin()
            return CodeResult((TextOutput("1"),), "ok", 0.1, "3", ())

    session.results = Beginning([CodeResult((), "ok", 0.1, "3", ())])
    shared.ask().wait()
    assert shared.ran == ["print(1)"]
