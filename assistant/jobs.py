"""A job: one answer in the making. It belongs to the assistant, and any number of readers tail it.

A page's script dies with its connection; a job does not, so a refresh, a second tab or another
device finds the same answer growing.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from assistant.approval import Decision, Desk, Question
from assistant.errors import AssistantError, InternalError
from assistant.events import Event, Progress, TurnFinished
from assistant.items import CallItem, Item, TextItem, items_of_events
from assistant.messages import Ended, Message
from engine import EngineError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A job as it stands: what there is to draw, and how it ended once it has."""

    items: tuple[Item, ...]
    progress: Progress | None  # while a prompt is being read
    ended: Ended | None
    dropped_turns: int = 0  # the oldest ones, which the model does not see

    @property
    def text(self) -> str:
        return "\n\n".join(item.text for item in self.items if isinstance(item, TextItem))

    @property
    def question(self) -> Question | None:
        """What a person has to answer before the job goes on."""
        last = self.items[-1] if self.items else None
        return last.question if isinstance(last, CallItem) else None


class Work(Protocol):
    """What a job does: a turn, or a person's own code."""

    desk: Desk
    earlier_text: str  # that it carries on
    dropped_turns: int

    def run(self, report: Callable[[Event], None]) -> None:
        """Reports every event, the end last."""
        ...

    def cancel(self) -> None: ...

    def broken(self, error: EngineError | AssistantError) -> Ended: ...

    def messages(self, ended: Ended) -> tuple[Message, ...]:
        """What joins the conversation."""
        ...


class Job:
    """Does its work in a thread of its own and keeps what that reports."""

    def __init__(self, work: Work, commit: Callable[["Job", tuple[Message, ...]], None]) -> None:
        self._work = work
        self._commit = commit
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="answer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Stops the engine, tool or code; what has been written stays."""
        self._work.cancel()

    def decide(self, question_id: str, decision: Decision) -> None:
        """A person's answer to a question that the job waits with."""
        self._work.desk.answer(question_id, decision)

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
        last = events[-1] if events else None
        return Snapshot(
            items=items_of_events(self._work.earlier_text, events),
            progress=last if isinstance(last, Progress) else None,
            ended=last.ended if isinstance(last, TurnFinished) else None,
            dropped_turns=self._work.dropped_turns,
        )

    def _wait_event(self, index: int) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > index)
            return self._events[index]

    def _is_done(self) -> bool:
        return bool(self._events) and isinstance(self._events[-1], TurnFinished)

    def _run(self) -> None:
        try:
            self._work.run(self._record)
        except (EngineError, AssistantError) as error:
            self._record(TurnFinished(self._work.broken(error)))
        except Exception as error:  # the thread's edge: a reader must never wait for ever
            log.exception("A turn failed")
            failure = InternalError(kind=type(error).__name__)
            self._record(TurnFinished(self._work.broken(failure)))

    def _record(self, event: Event) -> None:
        # The answer joins its conversation before any reader learns that it has ended.
        if isinstance(event, TurnFinished):
            self._commit(self, self._work.messages(event.ended))
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
