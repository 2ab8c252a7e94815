"""An answer's ids in, what they mean out: the few names that the parser of every format has.

Control tokens carry no text, so none can show up in it. What may be the beginning of a marker
is held back until it is one or is not, so the same ids give the same events however they come;
a call that cannot be read comes back as text, with an error behind it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.calls import CallError, CodeCall, ToolCall
from assistant.events import CallDelta as CallDelta
from assistant.events import TextDelta


@dataclass(frozen=True)
class Offer:
    """What a model may ask for in a turn: tools, by name, and to have its Python run."""

    tools: frozenset[str] = frozenset()
    code: bool = False

    def __bool__(self) -> bool:
        return self.code or bool(self.tools)


@dataclass(frozen=True)
class Metadata:
    """What stands beside the role, where the format has it: a message of the answer begins."""

    text: str


@dataclass(frozen=True)
class AnswerEnd:
    """The last event. `asks` says that the model waits for an observation."""

    asks: bool


ParseEvent = TextDelta | Metadata | CallDelta | ToolCall | CodeCall | CallError | AnswerEnd


class Parser(ABC):
    """Reads one answer of a model."""

    def __init__(self) -> None:
        self._asks = False

    def feed(self, token_id: int, text: str) -> list[ParseEvent]:
        """An id, and the text that became readable with it."""
        return self._noted(self._read(token_id, text))

    def finish(self, stop_id: int | None, text: str = "") -> list[ParseEvent]:
        """The end: the id that stopped the answer, None if it was cut, and the last text."""
        events = self._noted(self._close(stop_id, text))
        return [*events, AnswerEnd(self._asks)]

    @abstractmethod
    def _read(self, token_id: int, text: str) -> Iterator[ParseEvent]: ...

    @abstractmethod
    def _close(self, stop_id: int | None, text: str) -> Iterator[ParseEvent]: ...

    def _noted(self, events: Iterator[ParseEvent]) -> list[ParseEvent]:
        noted = list(events)
        self._asks |= any(isinstance(event, ToolCall | CodeCall | CallError) for event in noted)
        return noted


def text_delta(text: str) -> Iterator[TextDelta]:
    """Text, unless there is none."""
    if text:
        yield TextDelta(text)


def cut_off(raw: str, name: str = "") -> Iterator[ParseEvent]:
    """A call that was not written to its end must not be run."""
    yield from failed(CallError("it was cut off before its end", raw, name))


def failed(error: CallError) -> Iterator[ParseEvent]:
    yield from text_delta(error.raw)
    yield error
