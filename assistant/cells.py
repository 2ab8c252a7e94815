"""Code that a person runs by hand: a cell of their own, one of the model's changed, or all again.

Such a run is a job's work, as a turn is, without a model. The model reads what came of it with
the next question.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from assistant.approval import Desk
from assistant.calls import CodeCall
from assistant.coderunner import CodeRunner
from assistant.codestep import run_code
from assistant.errors import AssistantError
from assistant.events import CallFinished, CallStarted, Event, TurnFinished
from assistant.messages import CallState, CallStep, Ended, Message, Role
from assistant.outputs import ErrorOutput, Output
from engine import EngineError, FinishReason


class CellRun:
    """Runs cells one after the other, up to the first that does not end well."""

    earlier_text = ""
    dropped_turns = 0

    def __init__(
        self,
        runner: CodeRunner,
        steps: Sequence[CallStep],
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.desk = Desk()
        self.done: dict[str, tuple[CallStep, str]] = {}  # by id, with what the model reads
        self._runner = runner
        self._steps = tuple(steps)
        self._prepare = prepare
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()
        self.desk.close()

    def run(self, report: Callable[[Event], None]) -> None:
        self._prepare()
        for step in self._steps:
            step = replace(step, state=CallState.RUNNING, outputs=())
            report(CallStarted(step))
            step, text = run_code(step, self._runner, self._cancelled, report)
            self.done[step.id] = step, text
            report(CallFinished(step))
            if step.state is not CallState.DONE:
                break
        report(TurnFinished(Ended(FinishReason.STOP)))

    def broken(self, error: EngineError | AssistantError) -> Ended:
        return Ended(FinishReason.ERROR, error=error)

    def messages(self, ended: Ended) -> tuple[Message, ...]:
        """None of the model's."""
        return ()


def new_cell(code: str) -> CallStep:
    """A cell of the person's, not run yet."""
    call = CodeCall(code, _fenced(code))
    return CallStep(f"call_{secrets.token_hex(8)}", call, CallState.RUNNING)


def finished_cell(code: str, outputs: tuple[Output, ...]) -> CallStep:
    """A cell that was run elsewhere."""
    is_error = any(isinstance(output, ErrorOutput) for output in outputs)
    state = CallState.FAILED if is_error else CallState.DONE
    return replace(new_cell(code), state=state, outputs=outputs)


def uploads_note(uploaded: Mapping[str, str]) -> str:
    """What a question says of files that came with it: their names, and a table's first lines."""
    notes = [
        f"\n[Uploaded: {name}, which begins:\n{lines}]" if lines else f"\n[Uploaded: {name}]"
        for name, lines in uploaded.items()
    ]
    return "\n" + "".join(notes) if notes else ""


def cell_message(step: CallStep, text: str) -> Message:
    """A cell of the person's, and what the model reads of it."""
    assert isinstance(step.call, CodeCall)
    read = f"I ran this code:\n{_fenced(step.call.code)}\nIt gave:\n{text}"
    return Message(Role.USER, read, step=step)


def code_steps(messages: Sequence[Message]) -> list[CallStep]:
    """All code of a conversation that has been run, in order."""
    steps = (message.step for message in messages)
    return [step for step in steps if step is not None and _was_run(step)]


def changed(step: CallStep, code: str) -> CallStep:
    """The step with other code, if it is other."""
    assert isinstance(step.call, CodeCall)
    if step.call.code == code:
        return step
    return replace(step, call=CodeCall(code, _fenced(code)), edited=True)


def with_runs(
    messages: Sequence[Message], done: Mapping[str, tuple[CallStep, str]]
) -> tuple[Message, ...]:
    """The messages with what their cells gave when they were run again; new cells come last."""
    revised = [
        _again(message, *done[message.step.id])
        if message.step is not None and message.step.id in done
        else message
        for message in messages
    ]
    known = {message.step.id for message in messages if message.step is not None}
    new = [cell_message(step, text) for step, text in done.values() if step.id not in known]
    return (*revised, *new)


def _again(message: Message, step: CallStep, text: str) -> Message:
    if message.role is Role.USER:
        return cell_message(step, text)
    if step.edited:
        assert isinstance(step.call, CodeCall)
        text = f"The person changed the code. What was run is:\n{_fenced(step.call.code)}\n{text}"
    return replace(message, content=text, step=step)


def _was_run(step: CallStep) -> bool:
    unrun = (CallState.REPEATED, CallState.DECLINED)
    return isinstance(step.call, CodeCall) and step.state not in unrun


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"
