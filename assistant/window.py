"""What of a conversation the model still sees: when it outgrows the context, whole oldest turns
are left out, never the system prompt and never half a turn.

Which ones depends on the messages alone, and several turns go at once: the prompts after that
begin alike again, so the engine finds them in its cache and need not read everything anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from assistant.formats import ChatFormat
from assistant.messages import CallState, Message, Role
from assistant.toolspec import ToolSpec

KEPT = 3 / 4  # how full the context may be after turns were left out
ANSWER_SHARE = 1 / 4  # of a context is kept free for the answer, if it may become that long


@dataclass(frozen=True)
class Window:
    """The prompt, and how many of the oldest turns are not in it."""

    prompt: list[int]
    dropped_turns: int


def fit(
    chat_format: ChatFormat,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    context_length: int,
    max_new_tokens: int,
) -> Window:
    """The prompt that fits. The newest turn always stays; the engine refuses what is too long."""
    whole = chat_format.encode_prompt(messages, tools)
    room = context_length - min(max_new_tokens, int(context_length * ANSWER_SHARE))
    if len(whole) <= room:
        return Window(whole, 0)
    head, turns = split_turns(messages)
    sizes = [[len(chat_format.encode_message(message)) for message in turn] for turn in turns]
    room -= len(chat_format.encode_prompt(head, tools))
    first = first_turn(sizes, room)
    kept = [message for turn in turns[first:] for message in turn]
    return Window(chat_format.encode_prompt([*head, *kept], tools), first)


def without_repeats(messages: Sequence[Message]) -> list[Message]:
    """Leaves out rounds whose calls had all been answered before: a model that sees them goes on
    repeating itself."""
    kept: list[Message] = []
    for _, group in groupby(messages, key=_RoundCounter()):
        round_ = list(group)
        states = {message.step.state for message in round_ if message.step is not None}
        if states != {CallState.REPEATED}:
            kept += round_
    return kept


class _RoundCounter:
    """Numbers messages so that a call's observations have the number of the message it is in."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, message: Message) -> int:
        self._number += message.step is None
        return self._number


def split_turns(messages: Sequence[Message]) -> tuple[Sequence[Message], list[Sequence[Message]]]:
    """The system prompt, and the turns: each is a user's message and all up to the next."""
    n_head = 1 if messages and messages[0].role is Role.SYSTEM else 0
    rest = messages[n_head:]
    starts = [at for at, message in enumerate(rest) if at == 0 or message.role is Role.USER]
    ends = [*starts, len(rest)][1:]
    return messages[:n_head], [rest[a:b] for a, b in zip(starts, ends, strict=True)]


def first_turn(sizes: Sequence[Sequence[int]], room: int) -> int:
    """The oldest turn that stays, given the sizes of each turn's messages.

    Lives the conversation through again: at each turn it stays what it was until the prompt of
    that turn did not fit, and then moves on until it is well within.
    """
    before = [0, *accumulate(sum(turn) for turn in sizes)]
    first = 0
    for number, turn in enumerate(sizes):
        # The last prompt of a turn ends before its last answer; the newest has none yet.
        asked = sum(turn[:-1]) if number < len(sizes) - 1 and len(turn) > 1 else sum(turn)
        end = before[number] + asked
        if end - before[first] > room:
            while first < number and end - before[first] > room * KEPT:
                first += 1
    return first
