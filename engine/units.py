"""A step's attention as units of work for kernels.attention: who computes what of it.

That is a matter of speed alone: a row's bits are the same whichever way it is cut.
"""

from itertools import pairwise

import numpy as np

from engine.config import ModelConfig
from engine.kernels import attention, attention_tiled
from engine.kernels.dot import TILE
from engine.weights import allocate

_SHARED_TOKENS = 16  # of a step, whose contexts threads may share; more are units enough
_UNITS = 4  # of prompts for each thread, so that none waits long for another
_PIECES = 16  # most parts that a token's context is cut into


def sums_bytes(config: ModelConfig, context: int, threads: int) -> int:
    """Memory for the sums of contexts that threads share."""
    rows = _SHARED_TOKENS * config.heads if threads > 1 else 0
    return attention.sums_bytes(config.head_dim, rows, context)


def thread_rows(config: ModelConfig) -> int:
    """The most rows of a unit, whose sums a thread has room for."""
    return max(TILE, config.heads // config.kv_heads)


class Units:
    """The table that kernels read; segments are added to it one by one."""

    def __init__(self, config: ModelConfig, tokens: int, context: int, threads: int) -> None:
        rows = tokens * config.heads + _SHARED_TOKENS * config.kv_heads * _PIECES
        self.table = np.zeros((rows, attention.UNIT_FIELDS), np.int64)
        self.count = 0
        self._config = config
        self._sums = allocate(sums_bytes(config, context, threads))
        self._taken = 0

    def clear(self) -> None:
        self.count = self._taken = 0

    def add(self, segment: int, token: int, count: int, first: int) -> None:
        """A segment of `count` tokens, its first number `token` of the step, at place `first`."""
        config = self._config
        group = config.heads // config.kv_heads
        if count >= TILE:
            for at in range(0, count, TILE):
                rows = min(TILE, count - at)
                end = attention.slices_for(first + at + rows)
                unit = [token + at, rows, 1, first + at, 0, end, 0, 0, 0]
                self._append([[segment, head, *unit] for head in range(config.heads)])
            return
        for at in range(count):
            for head in range(0, config.heads, group):
                self._share([segment, head, token + at, group, 0, first + at])

    def _share(self, unit: list[int]) -> None:
        """One token's heads of a KV head, in pieces if there are slices and room for their sums."""
        slices = attention.slices_for(unit[attention.POSITION] + 1)
        size = attention.sums_bytes(
            self._config.head_dim, unit[attention.ROWS], slices * attention.SLICE
        )
        sums, pieces = 0, 1
        if slices > 1 and self._taken + size <= len(self._sums):
            sums, pieces = self._sums.ctypes.data + self._taken, min(slices, _PIECES)
            self._taken += size
        edges = [slices * piece // pieces for piece in range(pieces + 1)]
        self._append([[*unit, *span, sums, self.count, 0] for span in pairwise(edges)])

    def _append(self, units: list[list[int]]) -> None:
        self.table[self.count : self.count + len(units)] = units
        self.count += len(units)


class LongUnits:
    """The same for segments that are read by tiles: kernels.attention_tiled."""

    def __init__(self, config: ModelConfig, tokens: int, sequences: int, threads: int) -> None:
        blocks = -(-tokens // attention_tiled.UNIT_TOKENS) + sequences
        self.table = np.zeros((blocks * config.heads, attention_tiled.UNIT_FIELDS), np.int64)
        self.count = 0
        self.possible = config.head_dim % 32 == 0
        self._config, self._threads = config, threads

    def clear(self) -> None:
        self.count = 0

    def add(self, segment: int, token: int, count: int, first: int) -> None:
        """As of `Units`. The last tokens, which see the most, come first."""
        size = attention_tiled.UNIT_TOKENS
        starts = range(0, count, size)
        heads = self._heads_of_a_unit(len(starts))
        for at in reversed(starts):
            for head in range(0, self._config.heads, heads):
                unit = [segment, head, heads, token + at, min(size, count - at), first + at]
                self.table[self.count] = unit
                self.count += 1

    def _heads_of_a_unit(self, blocks: int) -> int:
        """As many as share a KV head, which is widened for them once, if threads have enough."""
        heads = self._config.heads // self._config.kv_heads
        while heads % 2 == 0 and blocks * self._config.heads // heads < _UNITS * self._threads:
            heads //= 2
        return heads
