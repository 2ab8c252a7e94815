"""Where tools come from: a folder, an MCP server, a person's own definitions. One interface."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from assistant.errors import AssistantError
from assistant.outputs import Output
from assistant.toolspec import ToolSpec


class Effects(StrEnum):
    """What a tool does to the world, by its author's word."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    NETWORK = "network"


@dataclass(frozen=True)
class ToolInfo:
    """A tool that can be offered. `source` is a file's name or a server's."""

    spec: ToolSpec
    source: str
    effects: Effects
    time_limit: float = 30.0  # seconds for one call
    result_limit: int = 4000  # characters that the model reads of a result

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class Trouble:
    """A source that gives no tools, or a tool that cannot be offered: a red row."""

    source: str
    reason: str  # one line, in English
    detail: str = ""  # a traceback, or what was found and expected
    error: AssistantError | None = field(default=None, compare=False)  # says it in any language

    @classmethod
    def of(cls, source: str, error: AssistantError, detail: str = "") -> "Trouble":
        return cls(source, str(error), detail, error)


@dataclass(frozen=True)
class ToolResult:
    """What a call gave. With `is_error` the model is told that it failed, and why."""

    outputs: tuple[Output, ...]
    is_error: bool = False


class ToolSource(Protocol):
    """Safe to use from any thread; `tools` and `troubles` return at once."""

    def tools(self) -> Sequence[ToolInfo]: ...

    def troubles(self) -> Sequence[Trouble]: ...

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        """Runs one call within its tool's limits; every fault of the tool is a result.

        `folder` is the conversation's, the only one that a tool may read from. Setting
        `cancelled` ends the call.
        """
        ...

    def close(self) -> None: ...
