"""Numpy arrays laid out at addresses as the kernels want them, and kernels' parts made callable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import naive
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import njit

from engine.kernels import attention, team
from engine.kernels.dot import TILE, TOKENS, add_quantized, lane_sums, zeros
from engine.kernels.elementwise import exp
from engine.kernels.formats import FLOATS, block_bytes, panel_bytes, unit_bytes
from engine.kernels.linear import Vectors
from engine.kernels.pack import pack
from engine.kernels.vector import load_f32, splat_f32, store, store_halves
from engine.quants import QuantType, row_bytes, unpack

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

K_TYPES = (QuantType.Q4_K, QuantType.Q5_K, QuantType.Q6_K)
QUANTIZED = [kind for kind in QuantType if int(kind) not in FLOATS]

_HALVES_AT = {  # where a block keeps its half-precision scales
    QuantType.Q4_0: (0,),
    QuantType.Q4_1: (0, 2),
    QuantType.Q5_0: (0,),
    QuantType.Q5_1: (0, 2),
    QuantType.Q8_0: (0,),
    QuantType.Q4_K: (0, 2),
    QuantType.Q5_K: (0, 2),
    QuantType.Q6_K: (208,),
}


def aligned(size: int, fill: int = 0) -> Bytes:
    """`size` bytes that begin a cache line."""
    memory = np.full(size + 64, fill, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def amx_assembly(emit: Callable[..., None], addresses: int) -> str:
    """What `emit(builder, *addresses)` becomes for a processor that has AMX."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * addresses)
    function = ir.Function(module, kind, "step")
    builder = ir.IRBuilder(function.append_basic_block())
    emit(builder, *function.args)
    builder.ret_void()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    features = "+amx-tile,+amx-bf16,+amx-int8,+avx512f,+avx512bw,+avx512bf16"
    target = binding.Target.from_triple(module.triple)
    return str(target.create_target_machine(features=features, opt=3).emit_assembly(parsed))


def solo(phases: int = 1) -> tuple[npt.NDArray[np.int64], int, int]:
    """A team of one thread at its first phase."""
    return np.zeros(team.COUNTERS + phases, np.int64), 0, 1


def random_blocks(kind: QuantType, rows: int, k: int, seed: int = 0) -> Bytes:
    """A matrix's bytes as in a file, every bit pattern possible, but scales of sane size."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (rows, k)).astype(np.float32)
    if kind is QuantType.BF16:
        return (values.view(np.uint32) >> 16).astype(np.uint16).reshape(-1).view(np.uint8)
    if int(kind) in FLOATS:
        return (
            values.astype(np.float16 if kind is QuantType.F16 else np.float32)
            .reshape(-1)
            .view(np.uint8)
        )
    size = row_bytes(kind, 256 if kind in K_TYPES else 32)
    blocks = rng.integers(0, 256, (rows * row_bytes(kind, k) // size, size), dtype=np.uint8)
    for at in _HALVES_AT[kind]:
        blocks[:, at : at + 2] = rng.normal(0, 1, (len(blocks), 1)).astype("<f2").view(np.uint8)
    return blocks.reshape(-1)


class Matrix:
    """A packed matrix, its row in the model's table, and its weights in float32."""

    def __init__(self, kind: QuantType, rows: int, k: int, *, bias: bool = False) -> None:
        raw = random_blocks(kind, rows, k)
        self.weights = unpack(kind, raw).reshape(rows, k)
        panel, padded = panel_bytes(int(kind), k), -(-rows // 16) * 16
        self._memory = aligned(padded // 16 * panel)
        pack(kind, raw, (rows, k), self._memory)
        self._bias = np.zeros(padded, np.float32)
        self._bias[:rows] = np.arange(rows) - rows / 2 if bias else 0
        self.bias = self._bias[:rows]
        sizes = (panel, block_bytes(int(kind)), unit_bytes(int(kind)))
        at = self._bias.ctypes.data if bias else 0
        self.row = np.array([kind, self._memory.ctypes.data, rows, k, *sizes, at], np.int64)


class TokenVectors:
    """Token vectors as the kernels keep them. What nobody wrote is NaN, to be seen if used."""

    def __init__(self, tokens: int, k: int) -> None:
        tiles = -(-tokens // TOKENS)
        self.values = aligned(4 * tiles * TOKENS * k, 0xFF).view(np.float32).reshape(-1, k)
        quants = aligned(tiles * TOKENS * k, 0x55).view(np.int8)
        self.quants = quants.reshape(tiles, k // 32, TOKENS, 32)
        self.scales = self._floats(tiles, k // 32)
        self.sums32 = self._floats(tiles, k // 32)
        self.sums16 = self._floats(tiles, k // 16)
        pairs = -(-tokens // 32)
        self.wide = aligned(pairs * 64 * k, 0xFF).view(np.uint16)
        arrays = (self.values, self.quants, self.scales, self.sums32, self.sums16, self.wide)
        self.vectors = Vectors._make((*addresses(arrays), k))

    def _floats(self, tiles: int, count: int) -> Floats:
        floats = aligned(4 * tiles * count * TOKENS, 0xFF).view(np.float32)
        return floats.reshape(tiles, count, TOKENS)

    def write(self, token: int, values: Floats) -> Doubles:
        """Put a token's vector in place, quantized too; returns what the quants stand for."""
        quants, scales = naive.quantize(values)
        tile, lane = divmod(token, TOKENS)
        self.values[token] = values
        self.quants[tile, :, lane] = quants.reshape(-1, 32)
        self.scales[tile, :, lane] = scales
        for sums, width in ((self.sums32, 32), (self.sums16, 16)):
            totals = quants.reshape(-1, width).sum(1, dtype=np.float32)
            sums[tile, :, lane] = np.repeat(scales, 32 // width) * totals
        return naive.dequantize(quants, scales)

    def read(self, token: int) -> tuple[npt.NDArray[np.int8], Floats, Floats, Floats]:
        """A token's quants [k], scales, sums of 32 and sums of 16."""
        tile, lane = divmod(token, TOKENS)
        quants, scales = self.quants[tile, :, lane].reshape(-1), self.scales[tile, :, lane]
        return quants, scales, self.sums32[tile, :, lane], self.sums16[tile, :, lane]


class Room:
    """One thread's scratch of `linear` and `open_blocks`: bytes, d, m."""

    def __init__(self, k: int) -> None:
        columns = -(-k // 256) * 256
        self.bytes = aligned(16 * columns)
        self.d = aligned(4 * columns).view(np.float32).reshape(-1, 16)
        self.m = aligned(4 * columns).view(np.float32).reshape(-1, 16)
        self.addresses = tuple(array.ctypes.data for array in (self.bytes, self.d, self.m))


@dataclass(frozen=True)
class Shape:
    """Of the attention under test."""

    heads: int
    kv_heads: int
    head_dim: int
    kind: QuantType
    layers: int = 2

    @property
    def width(self) -> int:
        """Values of a token's queries, keys and values."""
        return self.head_dim * (self.heads + 2 * self.kv_heads)

    def for_kernels(self, cos: Floats, sin: Floats, halves: bool = True) -> attention.Heads:
        kind, dim = int(self.kind), self.head_dim
        sizes = (attention.WIDTHS[kind], attention.cached_bytes(kind, dim))
        return attention.Heads(self.heads, self.kv_heads, dim, kind, *sizes, cos, sin, halves)


class Pages:
    """Cached pages of one sequence, and what they hold."""

    def __init__(self, shape: Shape, count: int) -> None:
        self._shape = shape
        block = attention.cached_bytes(int(shape.kind), shape.head_dim)
        self._pages = [aligned(shape.layers * shape.kv_heads * 2 * block) for _ in range(count)]
        self.table = np.array([[page.ctypes.data for page in self._pages]], np.int64)

    def block(self, position: int, layer: int, kv_head: int, values: int) -> Bytes:
        shape = self._shape
        page = self._pages[position // attention.PAGE]
        return page.reshape(shape.layers, shape.kv_heads, 2, -1)[layer, kv_head, values]

    def keys(self, length: int, layer: int, kv_head: int) -> Floats:
        blocks = [self.block(at, layer, kv_head, 0) for at in range(0, length, attention.PAGE)]
        return np.concatenate(
            [naive.cached_keys(b, self._shape.kind, self._shape.head_dim) for b in blocks]
        )[:length]

    def values(self, length: int, layer: int, kv_head: int) -> Floats:
        blocks = [self.block(at, layer, kv_head, 1) for at in range(0, length, attention.PAGE)]
        shape = self._shape
        rows = [naive.cached_values(b, shape.kind, shape.head_dim) for b in blocks]
        return np.concatenate(rows)[:length]


def units_by_tokens(shape: Shape, tokens: int, first: int) -> list[list[int]]:
    """Tokens of one head, up to 8 a unit; `first` is the position of token 0."""
    return [
        [0, head, at, count, 1, first + at, 0, attention.slices_for(first + at + count), 0, 0, 0]
        for head in range(shape.heads)
        for at in range(0, tokens, TILE)
        for count in [min(TILE, tokens - at)]
    ]


def units_by_heads(shape: Shape, tokens: int, first: int) -> list[list[int]]:
    """Heads of one token that share a KV head; `first` is the position of token 0."""
    group = shape.heads // shape.kv_heads
    return [
        [0, head, token, group, 0, first + token, 0, end, 0, 0, 0]
        for token in range(tokens)
        for end in [attention.slices_for(first + token + 1)]
        for head in range(0, shape.heads, group)
    ]


# --- parts of kernels that take registers, made callable ----------------------------------------


@njit
def exp_lanes(source: int, target: int, count: int) -> None:
    for at in range(0, 4 * count, 64):
        store(target + at, exp(load_f32(source + at)))


@njit
def spread_halves(source: int, target: int, stride: int) -> None:
    store_halves(target, load_f32(source), stride)


@njit
def dot_tile(isa: Any, weights: int, x: Any, out: int) -> None:
    """Products of a block's bytes with 8 tokens: [token][row], d = 1 and m = 0."""
    dm = (splat_f32(np.float32(1)), splat_f32(np.float32(0)))
    tile = add_quantized(isa, zeros(8), weights, dm, x, 8)
    for token in range(8):
        store(out + 64 * token, lane_sums(tile, token))


@njit
def _labour(x: int) -> int:
    """Some microseconds, so that threads overlap and are interrupted between take and mark."""
    for _ in range(5000):
        x = (x * x + 12345) & 0x7FFFFFFF  # no compiler folds this
    return x


@njit(nogil=True)
def work_in_phases(control: Any, threads: int, done: Any, wrong: Any, thread: int) -> int:
    """Each phase marks its pieces; behind a barrier all must see all of them, marked once."""
    effort = 0
    phases, pieces = done.shape
    for phase in range(phases):
        while True:
            first = team.take(control, phase, 3)
            if first >= pieces:
                break
            for piece in range(first, min(first + 3, pieces)):
                effort = _labour(effort)
                done[phase, piece] += 1
        team.barrier(control, threads)
        for piece in range(pieces):
            if done[phase, piece] != 1:
                wrong[thread] += 1
    return effort


@njit(nogil=True)
def lead_steps(control: Any, threads: int, steps: int, log: Any) -> None:
    """The owner's side of `steps` steps; in each, every thread writes the step's number."""
    for step in range(1, steps + 1):
        team.open_step(control)
        log[step, 0] = step
        team.barrier(control, threads)
        team.await_helpers(control, threads - 1)


@njit(nogil=True)
def follow_steps(control: Any, threads: int, thread: int, log: Any, seen: int) -> int:
    """A helper's side, until it is told to sleep; returns the last step it saw."""
    while True:
        epoch = team.await_epoch(control, seen)
        if epoch == seen:
            return seen
        log[epoch, thread] = epoch
        team.barrier(control, threads)
        team.finish(control)
        seen = epoch


def addresses(arrays: Sequence[npt.NDArray[Any]]) -> tuple[int, ...]:
    return tuple(array.ctypes.data for array in arrays)
