"""A sequence's tokens in a cache of the tests' own, and attention over them by the kernels."""

import naive
import numpy as np
from kernel_memory import Floats, Pages, Shape, aligned, solo

from engine.kernels.attention import FINISHED, PAGE, attend, room_bytes, rotate_and_cache
from engine.kernels.dot import TILE
from engine.quants import QuantType

POSITIONS = 1088
LAYER = 1
KINDS = (QuantType.F16, QuantType.F32, QuantType.Q8_0)


def angles(count: int) -> tuple[Floats, Floats]:
    turns = np.outer(np.arange(POSITIONS), np.linspace(0.01, 1, count))
    return np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)


class Sequence:
    """Some tokens' queries, keys and values, rotated and cached by the kernel."""

    def __init__(self, shape: Shape, halves: bool = True, count: int = 200) -> None:
        self.shape, self.cos_sin = shape, angles(shape.head_dim // 2)
        self.heads = shape.for_kernels(*self.cos_sin, halves)
        self.pages = Pages(shape, -(-count // PAGE))
        rng = np.random.default_rng(shape.heads)
        self.raw = rng.normal(0, 1, (count, shape.width)).astype(np.float32)
        self.qkv = aligned(4 * (count + 8) * shape.width, 0xFF).view(np.float32)
        self.qkv = self.qkv.reshape(-1, shape.width)  # NaN past the last token
        self.qkv[:count] = self.raw
        batch = (np.zeros(count, np.int64), np.arange(count), self.pages.table)
        rotate_and_cache(solo(), self.qkv.ctypes.data, self.heads, LAYER, batch, count)

    def part(self, rows: Floats, first: int, count: int) -> Floats:
        """Some heads of tokens' rows: [tokens][heads][head_dim]."""
        dim = self.shape.head_dim
        return rows[:, first * dim : (first + count) * dim].reshape(len(rows), count, dim)

    def attend(self, units: list[list[int]], tokens: int, first: int) -> Floats:
        """Attention of `tokens` tokens from position `first` on."""
        shape = self.shape
        out = np.full((tokens + 1, shape.heads, shape.head_dim), 7, np.float32)
        rows = max(TILE, shape.heads // shape.kv_heads)
        room = aligned(room_bytes(shape.head_dim, rows, POSITIONS), 0xFF)
        work = (np.array(units, np.int64), len(units))
        qkv = (self.qkv[first:].ctypes.data, self.qkv.strides[0])
        table, at = self.pages.table, room.ctypes.data
        attend(solo(), work, self.heads, LAYER, table, qkv, out.ctypes.data, at)
        assert not work[0][:, FINISHED].any()  # as the next layer wants them
        assert (out[tokens] == 7).all()
        return out[:tokens]

    def assert_attended(self, got: Floats, first: int) -> None:
        shape = self.shape
        queries = self.part(self.qkv, 0, shape.heads)
        for token, rows in enumerate(got):
            length = first + token + 1
            for head in range(shape.heads):
                kv_head = head // (shape.heads // shape.kv_heads)
                keys = self.pages.keys(length, LAYER, kv_head)
                values = self.pages.values(length, LAYER, kv_head)
                expected = naive.attention(queries[first + token, head], keys, values)
                assert np.abs(rows[head] - expected).max() <= 2e-6 * np.abs(values).max()
