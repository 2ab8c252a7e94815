"""Asking a person before a call is run: the question, its answers, and the wait between them."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from assistant.errors import BadArguments, NothingAsked
from assistant.foreign_schema import mistake
from assistant.literals import Value
from assistant.toolsource import Effects, ToolInfo


class Permission(StrEnum):
    """What a person lets a tool do in a conversation."""

    ASK = "ask"
    ALWAYS = "always"
    NEVER = "never"


class Wanted(StrEnum):
    APPROVAL = "approval"
    RESULT = "result"  # of a tool that the person plays


@dataclass(frozen=True)
class Question:
    """`unsaid` are the arguments whose values appear nowhere in the conversation."""

    id: str  # the call's
    tool: ToolInfo
    arguments: Mapping[str, Value]
    unsaid: frozenset[str] = frozenset()
    wanted: Wanted = Wanted.APPROVAL


@dataclass(frozen=True)
class Approved:
    """Run it, with these arguments."""

    arguments: Mapping[str, Value]


@dataclass(frozen=True)
class Declined:
    """Do not run it."""


@dataclass(frozen=True)
class Typed:
    """The result, typed by a person."""

    result: str


Decision = Approved | Declined | Typed


def default_permission(effects: Effects) -> Permission:
    """What only looks runs at once; what changes or tells others something asks first."""
    return Permission.ALWAYS if effects in (Effects.NONE, Effects.READ) else Permission.ASK


class Desk:
    """Where a turn waits for a person. Any thread may answer or close it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._question: Question | None = None
        self._decision: Decision | None = None
        self._closed = False

    def put(self, question: Question) -> None:
        """Lays a question down; from now on it may be answered."""
        with self._changed:
            self._question, self._decision = question, None

    def wait(self) -> Decision | None:
        """The answer, or None when nobody will give one any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._decision is not None or self._closed)
            self._question = None
            return None if self._closed else self._decision

    def answer(self, question_id: str, decision: Decision) -> None:
        """The first answer counts. One with arguments that the tool cannot take is refused."""
        with self._changed:
            question = self._question
            if question is None or question.id != question_id or self._decision is not None:
                raise NothingAsked()
            if isinstance(decision, Approved):
                wrong = mistake(question.tool.spec.parameters, decision.arguments)
                if wrong:
                    raise BadArguments(reason=wrong)
            self._decision = decision
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def as_json(arguments: Mapping[str, Value]) -> dict[str, Value]:
    """Arguments with JSON's kinds only: tuples as lists, keys as text."""
    return {name: _as_json(value) for name, value in arguments.items()}


def unsaid(arguments: Mapping[str, Value], said: Sequence[str]) -> frozenset[str]:
    """The arguments with a value that stands nowhere in what was said."""
    text = "\n".join(said).casefold()
    return frozenset(
        name
        for name, value in arguments.items()
        if not all(_stands_in(leaf, text) for leaf in _leaves(value))
    )


def _as_json(value: Value) -> Value:
    if isinstance(value, dict):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return value


def _leaves(value: Value) -> Iterator[str | int | float]:
    """The words and numbers in a value. Nobody says true, false or null in so many words."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def _stands_in(leaf: str | int | float, text: str) -> bool:
    if isinstance(leaf, str):
        return leaf.strip().casefold() in text
    number = re.escape(f"{leaf:.15g}" if isinstance(leaf, float) else str(leaf))
    return re.search(rf"(?<![\d.]){number}(?!\.?\d)", text) is not None
