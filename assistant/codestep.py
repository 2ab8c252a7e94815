"""A piece of code from its start to what the model reads of it, whoever wrote it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from assistant.calls import CodeCall
from assistant.coderunner import CodeRunner
from assistant.events import CallProgress, Event
from assistant.messages import CallState, CallStep
from assistant.outputs import Output, observation

CODE_LIMIT = 4000  # characters that the model reads of what code gave
STOPPED_LIMIT = 500  # and of what it gave until it was stopped


def run_code(
    step: CallStep,
    runner: CodeRunner,
    cancelled: threading.Event,
    report: Callable[[Event], None],
) -> tuple[CallStep, str]:
    """The step as it ended, and what the model reads."""
    assert isinstance(step.call, CodeCall)

    def listen(outputs: Sequence[Output]) -> None:
        report(CallProgress(replace(step, outputs=tuple(outputs))))

    result = runner.run(step.call.code, cancelled, listen)
    done = replace(
        step,
        outputs=result.outputs,
        seconds=result.seconds,
        level=result.level,
        new_files=result.new_files,
    )
    if result.ended == "cancelled":
        return replace(done, state=CallState.STOPPED), stopped_text(result.outputs)
    state = CallState.DONE if result.ended == "ok" else CallState.FAILED
    text = observation(result.outputs, CODE_LIMIT)
    return replace(done, state=state), text or "The code ran and printed nothing."


def stopped_text(outputs: Sequence[Output]) -> str:
    text = observation(outputs, STOPPED_LIMIT)
    note = "The person stopped this call before it ended."
    return f"{text}\n{note}" if text else note
