"""What a converter writes: a model's shape, and its tensors with where their numbers come from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.config import ModelConfig
from engine.ggml import Family
from engine.quants import QuantType

Floats = npt.NDArray[np.float32]
Rows = Callable[[int, int], Floats]  # the rows from one number up to another, in float32


@dataclass(frozen=True)
class Weight:
    """A tensor to be written, by its GGUF name. `open` maps its source, which is then read by rows.

    A vector is one row. `source` names what the checkpoint calls it. `type` is the one to write
    it as, where that is not the whole file's.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    open: Callable[[], Rows] = field(repr=False)
    type: QuantType | None = None

    @property
    def rows(self) -> int:
        return int(np.prod(self.shape[:-1], dtype=np.int64))

    @property
    def columns(self) -> int:
        return self.shape[-1]


@dataclass(frozen=True)
class Plan:
    """A model as it is to be written; `family` is None for what GGML containers cannot hold."""

    config: ModelConfig
    weights: tuple[Weight, ...] = field(repr=False)
    family: Family | None
    eos_ids: tuple[int, ...]
    pad_id: int | None
    virtual_tokens: int = 0
