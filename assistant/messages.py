"""What a conversation is made of: frozen messages, the calls in them, and how an answer ended."""

from dataclasses import dataclass
from enum import StrEnum

from assistant.calls import Call
from assistant.errors import AssistantError
from assistant.outputs import Output
from engine import EngineError, FinishReason, GenerationStats


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    OBSERVATION = "observation"


class CallState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"  # for a person
    DONE = "done"
    FAILED = "failed"
    DECLINED = "declined"
    STOPPED = "stopped"
    REPEATED = "repeated"  # answered before in the same turn, and not run again


@dataclass(frozen=True)
class CallStep:
    """A call and what came of it, for a person to see whole."""

    id: str
    call: Call
    state: CallState
    outputs: tuple[Output, ...] = ()
    edited: bool = False  # a person changed the arguments or code; `call` is what was run
    seconds: float = 0.0  # of code: how long it ran
    level: str = ""  # of code: how it was isolated
    new_files: tuple[str, ...] = ()  # of code: what it wrote


@dataclass(frozen=True)
class Ended:
    """How an answer ended. `stats` is None when it failed before the engine could count."""

    reason: FinishReason
    stats: GenerationStats | None = None
    context_full: bool = False  # says which limit a `length` is
    error: EngineError | AssistantError | None = None
    dropped_turns: int = 0  # the oldest ones, which the model does not see
    rounds_used_up: bool = False  # the model was not let call any more

    @property
    def was_cut(self) -> bool:
        return self.reason is not FinishReason.STOP


@dataclass(frozen=True)
class Message:
    """One message. `metadata` is ChatGLM3's word for what stands beside the role.

    `ids` are the tokens the model itself wrote: they are replayed as they are, since text
    encoded again may give other ids and miss the engine's prefix cache. An observation's
    `content` is what the model reads of its `step`. A question that came with files tells the
    model of them; `typed` is what the person wrote.
    """

    role: Role
    content: str
    metadata: str = ""
    ids: tuple[int, ...] = ()
    ended: Ended | None = None
    step: CallStep | None = None
    typed: str = ""
    uploaded: tuple[str, ...] = ()  # names of the files
