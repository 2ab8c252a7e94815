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

    `begins` is a regular expression of an answer's text up to where a call is certain, `NAMES`
    standing for the offered ones. It has the group `name` if that much is certain then; it takes
    in the first character of `between`.
    """

    before: str
    between: str
    behind: str
    spelling: Spelling
    begins: str


@dataclass(frozen=True)
class CallSyntax:
    """The forms of a format; the first is the one its models were taught.

    `markers` are control tokens that stand for themselves in a form, by spelling. `end_ids` end
    an answer that is a call. Where `several`, more text or calls may follow one.
    """

    forms: Sequence[CallForm]
    markers: dict[str, int]
    end_ids: frozenset[int]
    several: bool
