"""What a turn reports while it runs: frozen values, read in order."""

from dataclasses import dataclass

from assistant.approval import Question
from assistant.messages import CallStep, Ended


@dataclass(frozen=True)
class Progress:
    """How much of the prompt the model has read."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True)
class RoundStarted:
    """The model goes on, with the results of its calls before it. The first is round 1."""

    number: int


@dataclass(frozen=True)
class TextDelta:
    """Text that joins the answer."""

    text: str


@dataclass(frozen=True)
class CallDelta:
    """Text of a call in the making. Joined, they are the `raw` of the call that follows."""

    text: str


@dataclass(frozen=True)
class CallStarted:
    """A call is whole, and its turn has come."""

    step: CallStep


@dataclass(frozen=True)
class ApprovalAsked:
    """A person has to answer `question` before the turn goes on."""

    step: CallStep
    question: Question


@dataclass(frozen=True)
class CallProgress:
    """A call runs, and has given the outputs in `step` so far."""

    step: CallStep


@dataclass(frozen=True)
class CallFinished:
    """A call's end, whatever it was."""

    step: CallStep


@dataclass(frozen=True)
class TurnFinished:
    """The last event of a turn."""

    ended: Ended


Event = (
    Progress
    | RoundStarted
    | TextDelta
    | CallDelta
    | CallStarted
    | ApprovalAsked
    | CallProgress
    | CallFinished
    | TurnFinished
)
