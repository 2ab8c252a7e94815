"""What a person may set for a conversation: frozen, checked when made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import engine
from assistant.approval import Permission
from assistant.toolchoice import ToolChoice
from assistant.toolspec import ToolSpec


class Mode(StrEnum):
    """Which page a conversation belongs to."""

    CHAT = "chat"
    TOOLS = "tools"
    INTERPRETER = "interpreter"


@dataclass(frozen=True)
class ChatSettings:
    """How the model is asked. An empty `system_prompt` leaves the model's own in place."""

    system_prompt: str = ""
    temperature: float = 0.8
    top_p: float = 0.8
    repetition_penalty: float = 1.05
    max_new_tokens: int = 1024
    seed: int | None = None
    tools_on: bool = False
    tools_off: frozenset[str] = frozenset()  # all others that are registered are offered
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    permissions: Mapping[str, Permission] = field(default_factory=dict)  # by the tool's name
    constrain_calls: bool = True  # decode a call so that it cannot fail to be read
    manual_tools: tuple[ToolSpec, ...] = ()  # the person plays them
    code_on: bool = False

    def __post_init__(self) -> None:
        self.sampling(frozenset())  # the engine's own checks are the rules

    def sampling(self, stop_ids: frozenset[int]) -> engine.SamplingParams:
        return engine.SamplingParams(
            temperature=self.temperature,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            stop_ids=stop_ids,
        )
