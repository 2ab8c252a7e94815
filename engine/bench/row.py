"""One figure of a report, and what it is measured with."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.engine import Engine


@dataclass(frozen=True)
class Row:
    """One figure: its rounds, `share` of the read ceiling where that means something."""

    name: str
    what: str
    unit: str
    values: tuple[float, ...]
    share: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def percentile(self, share: int) -> float:
        """The least value that so many per cent do not exceed."""
        return sorted(self.values)[math.ceil(len(self.values) * share / 100) - 1]


@dataclass(frozen=True)
class Bench:
    """An engine under measurement. `ceiling` in bytes/s; `say` tells what is going on."""

    engine: Engine
    repeat: int
    ceiling: float
    weight_bytes: int
    say: Callable[[str], None]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def prompt(self, length: int) -> list[int]:
        """A new one each time, so that no part of it is cached."""
        return [int(each) for each in self.rng.integers(0, self.engine.config.vocab_size, length)]

    def fitting(self, length: int, output: int) -> int:
        """The length, or what of it the context holds beside an answer."""
        return max(1, min(length, self.engine.context_length - output - 1))

    def rounds(self, what: str, once: Callable[[], float]) -> tuple[float, ...]:
        """What `once` gives, a first time for warming up not counted."""
        self.say(f"{what}: one warm-up, then {self.repeat} rounds")
        once()
        return tuple(once() for _ in range(self.repeat))

    def share(self, steps: float) -> float:
        """Of the ceiling, when every weight is read so many times a second."""
        return steps * self.weight_bytes / self.ceiling


@dataclass(frozen=True)
class Sizes:
    """What the command line asks for."""

    prompts: Sequence[int]
    outputs: Sequence[int]
    at_once: Sequence[int]
    contexts: Sequence[int]
