"""What the files of a folder offer together, and what keeps some of it from being offered."""

import builtins
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from assistant.calls import CALLEE
from assistant.errors import AssistantError, ToolNameReserved, ToolNameTaken
from assistant.toolsource import ToolInfo, Trouble
from assistant.toolworker import Offered, ToolWorker

# What ChatGLM3 writes where a tool's name stands, and means something else by.
_MODEL_WORDS = frozenset({CALLEE, "interpreter"})


class Trial(StrEnum):
    """How a tool's examples went."""

    NONE = "none"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Examples:
    """A tool's examples: how they went, and what was wrong with those that failed."""

    trial: Trial
    count: int = 0
    faults: tuple[str, ...] = ()

    @classmethod
    def untried(cls, count: int) -> "Examples":
        return cls(Trial.RUNNING if count else Trial.NONE, count)

    @classmethod
    def tried(cls, count: int, faults: tuple[str, ...]) -> "Examples":
        return cls(Trial.FAILED if faults else Trial.PASSED, count, faults)


@dataclass(frozen=True)
class LoadedFile:
    """One file as it was loaded: its tools, or why it gives none."""

    name: str
    worker: ToolWorker
    found: tuple[Offered, ...] | Trouble
    examples: Mapping[str, Examples] = field(default_factory=dict)

    @property
    def offered(self) -> tuple[Offered, ...]:
        return () if isinstance(self.found, Trouble) else self.found


@dataclass(frozen=True)
class Catalog:
    """What is offered now, and by which worker."""

    tools: tuple[ToolInfo, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    examples: Mapping[str, Examples] = field(default_factory=dict)
    workers: Mapping[str, tuple[ToolInfo, ToolWorker]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[LoadedFile]) -> "Catalog":
        """A name that is reserved, or defined by two files, is offered by none."""
        files = sorted(files, key=lambda file: file.name)
        owners: dict[str, list[str]] = defaultdict(list)
        for file in files:
            for each in file.offered:
                owners[each.info.name].append(file.name)
        troubles = [file.found for file in files if isinstance(file.found, Trouble)]
        workers: dict[str, tuple[ToolInfo, ToolWorker]] = {}
        examples: dict[str, Examples] = {}
        for file in files:
            for each in file.offered:
                name = each.info.name
                if refusal := _refusal(name, file.name, owners[name]):
                    troubles.append(Trouble.of(file.name, refusal))
                else:
                    workers[name] = (each.info, file.worker)
                    examples[name] = file.examples[name]
        names = sorted(workers)
        tools = tuple(workers[name][0] for name in names)
        return cls(tools, tuple(troubles), {name: examples[name] for name in names}, workers)


def _refusal(name: str, file: str, owners: list[str]) -> AssistantError | None:
    if name in _MODEL_WORDS or hasattr(builtins, name):
        return ToolNameReserved(name=name)
    others = ", ".join(owner for owner in owners if owner != file)
    return ToolNameTaken(name=name, others=others) if others else None
