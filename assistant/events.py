"""What a turn reports while it runs: frozen values, read in order."""

from dataclasses import dataclass

from assistant.messages import Ended


@dataclass(frozen=True)
class Progress:
    """How much of the prompt the model has read."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True)
class TextDelta:
    """Text that joins the answer."""

    text: str


@dataclass(frozen=True)
class TurnFinished:
    """The last event of a turn."""

    ended: Ended


Event = Progress | TextDelta | TurnFinished
