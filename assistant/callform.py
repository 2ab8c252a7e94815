"""How the models of a format write a call: what stands around the tool's name and its arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Spelling(Enum):
    """How arguments and the values in them are written."""

    JSON = auto()  # {"city": "北京", "days": 3}
    PYTHON = auto()  # (city='北京', days=3)


@dataclass(frozen=True)
class CallForm:
    """One way to write a call: `before` NAME `between` ARGUMENTS `behind`.

    A call is certain where a place that `opens` matches is followed by an offered name, or by
    `mark`, and then by the character `last`. `opens` is a regular expression; `joined` is one of
    what may stand behind `last` in one token with it.
    """

    before: str
    between: str
    behind: str
    spelling: Spelling
    opens: str
    last: str
    joined: str = ""
    mark: str = ""


@dataclass(frozen=True)
class CallSyntax:
    """The forms of a format; the first is the one its models were taught. Where a call could be
    of several, it is of the first of them.

    `markers` are control tokens that stand for themselves in a form, by spelling. `end_ids` end
    an answer that is a call. Where `several`, more text or calls may follow one. `header` is
    whether a message's first line is a tool's name, one of `beside`, or else empty.
    """

    forms: Sequence[CallForm]
    markers: dict[str, int]
    end_ids: frozenset[int]
    several: bool
    header: bool = False
    beside: Sequence[str] = ()
