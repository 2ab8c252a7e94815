"""What is going on, in words: for the page and for the terminal alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.calls import Call, CallError, CodeCall, ToolCall
from assistant.events import Progress
from assistant.faults import in_chinese
from assistant.items import CallItem
from assistant.jobs import Snapshot
from assistant.loading import Compiling, Fetching, Loading, ModelState
from assistant.messages import CallStep, Ended, Message
from assistant.sandbox.level import Level
from assistant.sandbox.session import SessionStatus
from assistant.texts import Language, duration, say, size, text
from assistant.toolsource import Trouble
from engine import FinishReason

LINE = 80  # characters of arguments that one line shows


@dataclass(frozen=True)
class Stage:
    """What goes on, and how much of it is done, from 0 to 1, if that is known."""

    text: str
    share: float | None


def stage(state: ModelState, language: Language) -> Stage:
    """Where the model is on its way."""
    match state:
        case Fetching(done, total, source, seconds_left):
            words = text(language, "fetching", done=size(done), total=size(total), source=source)
            return Stage(words + time_left(seconds_left, language), share(done, total))
        case Compiling(done, total):
            return Stage(text(language, "compiling"), share(done, total))
        case Loading(done, total, seconds_left):
            words = text(language, "loading", done=size(done), total=size(total))
            return Stage(words + time_left(seconds_left, language), share(done, total))
        case _:
            return Stage(text(language, "starting"), None)


def prefill(progress: Progress, language: Language) -> Stage:
    """How much of the prompt has been read."""
    words = text(language, "prefill", done=progress.done, total=progress.total)
    left = time_left(progress.seconds_left, language)
    return Stage(words + left, share(progress.done, progress.total))


def cut_reason(ended: Ended, language: Language) -> str:
    """Why an answer was cut, or nothing if it was not."""
    match ended:
        case Ended(FinishReason.STOP):
            return ""
        case Ended(FinishReason.CANCELLED):
            return text(language, "cut_stopped")
        case Ended(FinishReason.LENGTH, context_full=True):
            return text(language, "cut_context")
        case Ended(FinishReason.LENGTH):
            return text(language, "cut_limit")
    error = "" if ended.error is None else say(ended.error, language)
    return text(language, "cut_error", error=error)


def dropped(n_turns: int, language: Language) -> str:
    """That the oldest turns no longer fit, or nothing."""
    return text(language, "dropped_turns", count=n_turns) if n_turns else ""


def rounds_note(ended: Ended, language: Language) -> str:
    """That the model was not let call any more, or nothing."""
    return text(language, "rounds_used_up") if ended.rounds_used_up else ""


def call_line(call: Call, language: Language) -> str:
    """A call in one line: its name and its arguments."""
    match call:
        case ToolCall(name, arguments):
            listed = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            whole = f"{name}({listed if len(listed) <= LINE else listed[:LINE] + '…'})"
            return whole.replace("\n", " ")
        case CodeCall():
            return "Python"
        case CallError(name=name):
            return text(language, "call_unreadable", name=name or "?")


def trouble_line(trouble: Trouble, language: Language) -> str:
    """Why a source gives no tools."""
    return trouble.reason if trouble.error is None else say(trouble.error, language)


def ended_session(status: SessionStatus, language: Language) -> str:
    """Why a conversation's Python is gone, what went with it, and what brings it back."""
    why = status.why if language is Language.ENGLISH else in_chinese(status.why)
    lost = text(language, "python_lost", names=", ".join(status.lost)) if status.lost else ""
    return text(language, "python_ended", why=why, lost=lost)


def spoken(messages: Sequence[Message], now: Snapshot | None, language: Language) -> str:
    """What somebody has to be told who hears the page: what goes on, or how it ended."""
    if now is None:
        last = messages[-1] if messages else None
        if last is None or (last.step is None and last.ended is None):
            return ""
        if last.step is not None:
            return _spoken_call(last.step, language)
        return (last.ended and cut_reason(last.ended, language)) or text(language, "says_done")
    if now.items and isinstance(now.items[-1], CallItem):
        return _spoken_call(now.items[-1].step, language)
    return text(language, "says_writing")


def _spoken_call(step: CallStep, language: Language) -> str:
    state = text(language, f"call_{step.state.value}")
    return text(language, "says_call", name=call_line(step.call, language), state=state)


def level_words(level: str, language: Language) -> str:
    """What a level of isolation is called; nothing for what is none."""
    known = {str(each) for each in Level}
    return Level(level).words(language.value) if level in known else level


def figures(ended: Ended, language: Language) -> str:
    """Tokens, speed and waiting time of an answer."""
    stats = ended.stats
    if stats is None or not stats.output_tokens:
        return ""
    return text(
        language,
        "stats",
        tokens=stats.output_tokens,
        speed=stats.tokens_per_second,
        first=stats.time_to_first_token,
    )


def time_left(seconds: float | None, language: Language) -> str:
    if seconds is None:
        return ""
    return text(language, "left", time=duration(seconds, language))


def share(done: int, total: int) -> float | None:
    return min(done / total, 1.0) if total > 0 else None
