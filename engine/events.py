"""What a generation reports while it runs: frozen values, read in order."""

from dataclasses import dataclass
from enum import StrEnum

from engine.errors import EngineError


class FinishReason(StrEnum):
    STOP = "stop"  # the model ended its answer, or a stop string appeared
    LENGTH = "length"  # max_new_tokens or the context was used up
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True)
class GenerationStats:
    """Counts and times of one generation; times are seconds from its submission."""

    prompt_tokens: int
    cached_tokens: int  # of the prompt, found in the cache and not computed again
    output_tokens: int
    time_to_first_token: float
    tokens_per_second: float  # decoding only
    prefill_seconds: float


@dataclass(frozen=True)
class PromptProgress:
    """How much of the prompt has been read."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True)
class Token:
    """One id, and the text that became showable with it.

    `text` is empty while half a character or a possible stop string is held back, and for
    control ids.
    """

    id: int
    text: str


@dataclass(frozen=True)
class Finished:
    """The last event. `text` is what was still held back."""

    reason: FinishReason
    stats: GenerationStats
    error: EngineError | None = None
    text: str = ""
    stop_id: int | None = None  # the id that ended it; it is not reported as a Token


GenerationEvent = PromptProgress | Token | Finished
