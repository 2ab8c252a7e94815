"""A job: one answer in the making. It belongs to the assistant, and any number of readers tail it.

A page's script dies with its connection; a job does not, so a refresh, a second tab or another
device finds the same answer growing.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assistant.errors import AssistantError, InternalError
from assistant.events import Event, Progress, TextDelta, TurnFinished
from assistant.messages import Ended, Message
from assistant.turn import Turn
from engine import EngineError, FinishReason

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A job as it stands: the answer so far, and how it ended once it has."""

    text: str
    progress: Progress | None  # while the prompt is being read
    ended: Ended | None
    dropped_turns: int = 0  # the oldest ones, which the model does not see


class Job:
    """Runs a turn in a thread of its own and keeps what it reports."""

    def __init__(self, turn: Turn, commit: Callable[["Job", Message], None]) -> None:
        self._turn = turn
        self._commit = commit
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="answer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Stops the engine; what has been written stays."""
        self._turn.cancel()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(self._is_done)

    def events(self, after: int = 0) -> Iterator[Event]:
        """Every event from index `after` on, as they come, up to the last."""
        while not isinstance(event := self._wait_event(after), TurnFinished):
            yield event
            after += 1
        yield event

    def snapshot(self) -> Snapshot:
        with self._changed:
            events = tuple(self._events)
        deltas = [event.text for event in events if isinstance(event, TextDelta)]
        last = events[-1] if events else None
        return Snapshot(
            text=self._turn.earlier.content + "".join(deltas),
            progress=last if isinstance(last, Progress) else None,
            ended=last.ended if isinstance(last, TurnFinished) else None,
            dropped_turns=self._turn.dropped_turns,
        )

    def _wait_event(self, index: int) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > index)
            return self._events[index]

    def _is_done(self) -> bool:
        return bool(self._events) and isinstance(self._events[-1], TurnFinished)

    def _run(self) -> None:
        try:
            for event in self._turn.events():
                self._record(event)
        except (EngineError, AssistantError) as error:
            self._record(TurnFinished(Ended(FinishReason.ERROR, error=error)))
        except Exception as error:  # the thread's edge: a reader must never wait for ever
            log.exception("A turn failed")
            failure = InternalError(kind=type(error).__name__)
            self._record(TurnFinished(Ended(FinishReason.ERROR, error=failure)))

    def _record(self, event: Event) -> None:
        # The answer joins its conversation before any reader learns that it has ended.
        if isinstance(event, TurnFinished):
            self._commit(self, self._turn.answer(event.ended))
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
