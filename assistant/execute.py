"""From a call to its observation. The one place where a model's mistake becomes text.

Whatever a model asks for, it reads an answer that it can act on; only a mistake of ours raises.
"""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assistant.approval import (
    Approved,
    Desk,
    Permission,
    Question,
    Typed,
    Wanted,
    as_json,
    default_permission,
    unsaid,
)
from assistant.calls import Call, CallError, CodeCall, ToolCall
from assistant.coderunner import CodeRunner
from assistant.codestep import run_code, stopped_text
from assistant.events import (
    ApprovalAsked,
    CallFinished,
    CallProgress,
    CallStarted,
    Event,
)
from assistant.foreign_schema import mistake
from assistant.literals import Value
from assistant.messages import CallState, CallStep, Message, Role
from assistant.outputs import ErrorOutput, Output, TextOutput, observation, shortened
from assistant.toolchoice import ToolChoice
from assistant.toolsource import ToolInfo, ToolSource

REMINDER = 500  # characters of an answer that it is given once more
FAILED_RUNS = 2  # a call that failed may be tried again; any other is run once

Report = Callable[[Event], None]


def _by_effects(tool: ToolInfo) -> Permission:
    return default_permission(tool.effects)


def _none(tool: ToolInfo) -> bool:
    return False


@dataclass(frozen=True)
class Means:
    """What a model may use in a turn. `manual` names the tools that a person plays."""

    tools: tuple[ToolInfo, ...] = ()
    source: ToolSource | None = None
    manual: frozenset[str] = frozenset()
    code: CodeRunner | None = None
    folder: Path = Path()
    permission: Callable[[ToolInfo], Permission] = _by_effects
    forbidden: Callable[[ToolInfo], bool] = _none  # asked anew for every round and call
    choice: ToolChoice = field(default_factory=ToolChoice)  # of the first round
    constrain: bool = False  # decode calls so that they cannot fail to be read

    def offered(self) -> list[ToolInfo]:
        return [tool for tool in self.tools if not self.forbidden(tool)]


@dataclass(frozen=True)
class _Outcome:
    state: CallState
    outputs: tuple[Output, ...]
    text: str  # what the model reads


@dataclass
class _Answered:
    """A call as it was answered in this turn."""

    n_runs: int = 0
    failed: bool = False
    text: str = ""


@dataclass
class Executor:
    """Runs the calls of one turn, one after the other."""

    means: Means
    desk: Desk
    cancelled: threading.Event
    n_repeats: int = field(default=0, init=False)
    _answered: dict[str, _Answered] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._tools = {tool.name: tool for tool in self.means.tools}

    def run_all(
        self, calls: Sequence[Call], said: Sequence[str], report: Report
    ) -> Iterator[Message]:
        """The observations, in the calls' order. `said` is what a person or a tool has said."""
        before = Counter({key: answered.n_runs for key, answered in self._answered.items()})
        for call in calls:
            yield self._run(call, before[_key(call)], said, report)

    def _run(self, call: Call, n_before: int, said: Sequence[str], report: Report) -> Message:
        step = CallStep(f"call_{secrets.token_hex(8)}", call, CallState.RUNNING)
        report(CallStarted(step))
        answered = self._answered.setdefault(_key(call), _Answered())
        if self.cancelled.is_set():
            outcome = _stopped()
        elif n_before >= (FAILED_RUNS if answered.failed else 1):
            outcome = self._repeated(answered)
        else:
            step, outcome = self._outcome(step, said, report)
            failed = outcome.state is CallState.FAILED
            answered.n_runs, answered.failed = answered.n_runs + 1, failed
            answered.text = outcome.text
        step = replace(step, state=outcome.state, outputs=outcome.outputs)
        report(CallFinished(step))
        return Message(Role.OBSERVATION, outcome.text, step=step)

    def _outcome(
        self, step: CallStep, said: Sequence[str], report: Report
    ) -> tuple[CallStep, _Outcome]:
        """What comes of a call, and the call as it was run."""
        match step.call:
            case CallError() as error:
                return step, _refused(f"{error.observation} {self._offered()}")
            case CodeCall():
                return self._run_code(step, report)
            case ToolCall(name) as call:
                tool = self._tools.get(name)
                if tool is None:
                    why = f"Error: There is no tool named {name!r}. {self._offered()}"
                    return step, _refused(why)
                return self._run_tool(step, call, tool, said, report)

    def _run_tool(
        self, step: CallStep, call: ToolCall, tool: ToolInfo, said: Sequence[str], report: Report
    ) -> tuple[CallStep, _Outcome]:
        if self.means.forbidden(tool):
            return step, _forbidden(tool)
        permission = self.means.permission(tool)
        if permission is Permission.NEVER:
            why = f"The person does not allow {tool.name} to be run."
            return step, _declined(f"Error: {why} It was not run. Answer without it.")
        plays = tool.name in self.means.manual
        if permission is Permission.ALWAYS and not plays:
            return step, self._call_source(tool, call.arguments)
        arguments = as_json(call.arguments)
        wrong = mistake(tool.spec.parameters, arguments)
        if wrong:
            why = f"Error: {tool.name} cannot take these arguments: {wrong}. It was not run."
            return step, _refused(why)
        wanted = Wanted.RESULT if plays else Wanted.APPROVAL
        question = Question(step.id, tool, arguments, unsaid(arguments, said), wanted)
        return self._ask(step, call, question, report)

    def _ask(
        self, step: CallStep, call: ToolCall, question: Question, report: Report
    ) -> tuple[CallStep, _Outcome]:
        self.desk.put(question)
        report(ApprovalAsked(replace(step, state=CallState.WAITING), question))
        match self.desk.wait():
            case None:
                return step, _stopped()
            case Typed(result):
                limit = question.tool.result_limit
                return step, _Outcome(
                    CallState.DONE, (TextOutput(result),), shortened(result, limit)
                )
            case Approved(arguments) if question.wanted is Wanted.APPROVAL:
                edited = dict(arguments) != dict(question.arguments)
                if edited:
                    call = replace(call, arguments=arguments)
                    step = replace(step, call=call, edited=True)
                report(CallProgress(step))
                outcome = self._call_source(question.tool, arguments)
                if edited:
                    outcome = replace(outcome, text=f"{_changed(arguments)}\n{outcome.text}")
                return step, outcome
        name = question.tool.name
        why = f"Error: The person declined this call of {name}. It was not run. Do not repeat it."
        return step, _declined(why)

    def _call_source(self, tool: ToolInfo, arguments: Mapping[str, Value]) -> _Outcome:
        if self.means.forbidden(tool):  # since it was offered, or allowed by a person
            return _forbidden(tool)
        assert self.means.source is not None  # its tools came from there
        folder = self.means.folder
        folder.mkdir(parents=True, exist_ok=True)
        result = self.means.source.call(tool.name, arguments, folder, self.cancelled)
        if self.cancelled.is_set():
            return _stopped(result.outputs)
        text = observation(result.outputs, tool.result_limit)
        if not result.is_error:
            return _Outcome(CallState.DONE, result.outputs, text or "The tool gave no result.")
        text = text if text.startswith("Error") else f"Error: {text}"
        return _Outcome(CallState.FAILED, result.outputs, text)

    def _run_code(self, step: CallStep, report: Report) -> tuple[CallStep, _Outcome]:
        if self.means.code is None:
            return step, _refused(f"Error: Code cannot be run here. {self._offered()}")
        step, text = run_code(step, self.means.code, self.cancelled, report)
        return step, _Outcome(step.state, step.outputs, text)

    def _repeated(self, answered: _Answered) -> _Outcome:
        self.n_repeats += 1
        why = "This very call has been answered already. Use that answer and do not repeat it:"
        return _Outcome(CallState.REPEATED, (), f"{why}\n{shortened(answered.text, REMINDER)}")

    def _offered(self) -> str:
        """What there is instead, for a model that asked for what there is not."""
        offered = sorted(tool.name for tool in self.means.offered())
        tools = f"The tools are: {', '.join(offered)}." if offered else "There are no tools."
        return f"{tools} Python code can be run." if self.means.code is not None else tools


def interrupted(call: Call) -> Message:
    """The observation of a call that did not come to its end."""
    step = CallStep(f"call_{secrets.token_hex(8)}", call, CallState.STOPPED)
    return Message(Role.OBSERVATION, "Error: The call was interrupted.", step=step)


def _key(call: Call) -> str:
    """The same for calls that ask for the same."""
    match call:
        case ToolCall(name, arguments):
            return json.dumps([name, as_json(arguments)], sort_keys=True)
        case CodeCall(code):
            return code
        case CallError(_, raw):
            return raw


def _refused(why: str) -> _Outcome:
    message = why.removeprefix("Error: ")
    return _Outcome(CallState.FAILED, (ErrorOutput("Error", message),), why)


def _forbidden(tool: ToolInfo) -> _Outcome:
    why = f"{tool.name} is off while this assistant can be reached from outside its machine."
    return _refused(f"Error: {why} It was not run. Answer without it.")


def _declined(why: str) -> _Outcome:
    return replace(_refused(why), state=CallState.DECLINED, outputs=())


def _stopped(outputs: tuple[Output, ...] = ()) -> _Outcome:
    return _Outcome(CallState.STOPPED, outputs, stopped_text(outputs))


def _changed(arguments: Mapping[str, Value]) -> str:
    ran = json.dumps(arguments, ensure_ascii=False)
    return f"The person changed the arguments. What was run is: {ran}"
