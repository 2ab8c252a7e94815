"""Whether the model may call tools, must, or must not: chosen for each conversation."""

from dataclasses import dataclass
from enum import StrEnum


class ChoiceMode(StrEnum):
    AUTO = "auto"  # the model decides
    REQUIRED = "required"  # the answer is a call
    NAMED = "named"  # the answer is a call of one tool
    NONE = "none"


@dataclass(frozen=True)
class ToolChoice:
    """`name` is the tool's, and only for `named`."""

    mode: ChoiceMode = ChoiceMode.AUTO
    name: str = ""

    def __post_init__(self) -> None:
        assert bool(self.name) == (self.mode is ChoiceMode.NAMED), self

    @property
    def must_call(self) -> bool:
        return self.mode in (ChoiceMode.REQUIRED, ChoiceMode.NAMED)
