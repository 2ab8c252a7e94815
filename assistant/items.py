"""What of a turn can be drawn: its texts and its calls, in order, while it runs and afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assistant.approval import Question
from assistant.calls import CodeCall
from assistant.events import (
    ApprovalAsked,
    CallDelta,
    CallFinished,
    CallProgress,
    CallStarted,
    Event,
    RoundStarted,
    TextDelta,
)
from assistant.messages import CallStep, Message, Role


@dataclass(frozen=True)
class TextItem:
    text: str


@dataclass(frozen=True)
class DraftItem:
    """A call that is still being written."""

    raw: str


@dataclass(frozen=True)
class CallItem:
    """`question` is there while a person has to answer it."""

    step: CallStep
    question: Question | None = None


Item = TextItem | DraftItem | CallItem


def run_numbers(messages: Iterable[Message], items: Iterable[Item] = ()) -> dict[str, int]:
    """Which run of code each call is, by its id, from 1 on; `items` are those under way."""
    steps = [message.step for message in messages if message.step is not None]
    steps += [item.step for item in items if isinstance(item, CallItem)]
    ids = [step.id for step in steps if isinstance(step.call, CodeCall)]
    return {step_id: number for number, step_id in enumerate(dict.fromkeys(ids), 1)}


def items_of_messages(messages: Iterable[Message]) -> tuple[Item, ...]:
    """A finished turn's."""
    items: list[Item] = []
    for message in messages:
        if message.step is not None:
            items.append(CallItem(message.step))
        elif message.role is Role.ASSISTANT and message.content.strip():
            items.append(TextItem(message.content))
    return tuple(items)


def items_of_events(earlier: str, events: Sequence[Event]) -> tuple[Item, ...]:
    """Those of a turn that runs; `earlier` is the text that it carries on."""
    items: list[Item] = [TextItem(earlier)]
    for event in events:
        match event:
            case TextDelta(text):
                _grow_text(items, text)
            case CallDelta(text):
                draft = items.pop() if isinstance(items[-1], DraftItem) else DraftItem("")
                assert isinstance(draft, DraftItem)
                items.append(DraftItem(draft.raw + text))
            case CallStarted(step) | CallProgress(step) | CallFinished(step):
                _put_call(items, CallItem(step))
            case ApprovalAsked(step, question):
                _put_call(items, CallItem(step, question))
            case RoundStarted():
                items.append(TextItem(""))
    return tuple(item for item in items if not isinstance(item, TextItem) or item.text.strip())


def _grow_text(items: list[Item], text: str) -> None:
    """A draft that came back as text was no call."""
    last = items[-1]
    if isinstance(last, DraftItem):
        items.pop()
    if isinstance(items[-1], TextItem):
        before = items.pop()
        assert isinstance(before, TextItem)
        items.append(TextItem(before.text + text))
    else:
        items.append(TextItem(text))


def _put_call(items: list[Item], call: CallItem) -> None:
    """In the place of the same call's earlier state, or of its draft."""
    for at, item in enumerate(items):
        if isinstance(item, CallItem) and item.step.id == call.step.id:
            items[at] = call
            return
    items[:] = [item for item in items if not isinstance(item, DraftItem)]
    items.append(call)
