"""What a conversation is made of: frozen messages, and how an answer ended."""

from dataclasses import dataclass
from enum import StrEnum

from assistant.errors import AssistantError
from engine import EngineError, FinishReason, GenerationStats


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    OBSERVATION = "observation"


@dataclass(frozen=True)
class Ended:
    """How a generation ended. `stats` is None when it failed before the engine could count."""

    reason: FinishReason
    stats: GenerationStats | None = None
    context_full: bool = False  # says which limit a `length` is
    error: EngineError | AssistantError | None = None
    dropped_turns: int = 0  # the oldest ones, which the model did not see

    @property
    def was_cut(self) -> bool:
        return self.reason is not FinishReason.STOP


@dataclass(frozen=True)
class Message:
    """One message. `metadata` is ChatGLM3's word for what stands beside the role.

    `ids` are the tokens the model itself wrote: they are replayed as they are, since text
    encoded again may give other ids and miss the engine's prefix cache.
    """

    role: Role
    content: str
    metadata: str = ""
    ids: tuple[int, ...] = ()
    ended: Ended | None = None
