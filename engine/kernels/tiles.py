"""AMX: products of tiles, for processors that have them (Intel Xeon from 2023 on).

A tile is a register of 16 rows of 64 bytes, or of less. Of bfloat16, one `multiply` adds the
products of 32 tokens with 32 rows of weights over 32 k to four tiles of float32 sums (0 to 3), with
the tokens in tiles 4 and 5 and the weights in 6 and 7. In memory, all of them contiguous:

    tokens    1024 bytes: [16 tokens][32 k] bfloat16
    weights   1024 bytes: [16 pairs of k][16 rows][2 k] bfloat16
    sums      4096 bytes: [2 by tokens][2 by rows][16 tokens][16 rows] float32

The tokens' tiles of a batch lie slice by slice of DEPTH blocks of k, see `token_tile`: what is read
together lies together.

Of bytes, one product is of 16 tokens with 16 rows of weights over 16, 32 or 64 k:

    tokens    [16 tokens][k] int8
    weights   [k / 4][16 rows][4 k] uint8, as `dot.open_block` writes them
    sums      1024 bytes: [16 tokens][16 rows] int32

A thread says how big its tiles are (`configure`) before it uses them, and `release`s them after:
until then the system saves 8 KB more whenever it takes the core away.

Instructions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.kernels.dot import PACKINGS, TOKENS
from engine.kernels.vector import (
    F32,
    I8,
    I16,
    I32T,
    I64,
    LANES,
    V_F32,
    _call,
    _constant,
    _fma,
    _offset,
    _pointer,
    _store,
)

SUMS = 4096  # bytes of the sums of 32 tokens with 32 rows
TILE = 1024  # bytes of a tile
AHEAD = 8  # blocks that are multiplied while one is widened
DEPTH = 16  # blocks of 32 k in a slice, whole superblocks: two token tiles of it fit L1


_BYTES = (16, 32, 64)  # k of a product of bytes


def configuration() -> npt.NDArray[np.uint8]:
    """What `configure` reads, one after the other: for bfloat16, and for bytes of each k."""
    sums = [(TOKENS, 64)] * 4
    of_bytes = [_tiles([*sums, *[(TOKENS, k)] * 2, *[(k // 4, 64)] * 2]) for k in _BYTES]
    return np.concatenate([_tiles([(TOKENS, 64)] * 8), *of_bytes])


def _tiles(sizes: list[tuple[int, int]]) -> npt.NDArray[np.uint8]:
    """Palette 1, and the rows of each of the 8 tiles and their bytes."""
    table = np.zeros(64, np.uint8)
    table[0] = 1
    table[16:32:2] = [row for _, row in sizes]
    table[48:56] = [rows for rows, _ in sizes]
    return table


@njit
def for_bytes(k: int) -> int:
    """Where in the configuration the sizes for products of bytes over 16, 32 or 64 k are."""
    return 64 * (1 + k // 32)


@njit
def tile_pairs(tokens: int) -> int:
    """Tiles of tokens come in pairs, the last perhaps half empty."""
    return (tokens + 2 * TOKENS - 1) // (2 * TOKENS)


@njit
def token_tile(tokens: int, blocks: int, token: int, block: int) -> int:
    """Where in a batch's tiles the 32 k of one token's block begin, in bytes."""
    first = block // DEPTH * DEPTH
    depth = min(DEPTH, blocks - first)
    slice_at = first * 2 * tile_pairs(tokens)
    tile = token // TOKENS * depth + block - first
    return (slice_at + tile) * TILE + token % TOKENS * 64


class _BFloat16(ir.Type):
    """LLVM's type, which llvmlite does not name."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


_V_BF16 = ir.VectorType(_BFloat16(), 2 * LANES)
_WORDS = ir.VectorType(I16, 2 * LANES)


def _do(b: ir.IRBuilder, name: str, *args: ir.Value) -> None:
    _call(b, f"llvm.x86.{name}", ir.VoidType(), *args)


def _number(tile: int) -> ir.Constant:
    return ir.Constant(I8, tile)


def _load_tile(b: ir.IRBuilder, tile: int, address: ir.Value, stride: int = 64) -> None:
    _do(b, "tileloadd64", _number(tile), _pointer(b, address, I8), ir.Constant(I64, stride))


def _store_tile(b: ir.IRBuilder, tile: int, address: ir.Value) -> None:
    _do(b, "tilestored64", _number(tile), _pointer(b, address, I8), ir.Constant(I64, 64))


@intrinsic
def configure(_typing: Any, address: Any) -> Any:
    """Give this thread's tiles the sizes of the `configuration` at an address."""

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _do(b, "ldtilecfg", _pointer(b, args[0], I8))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def release(_typing: Any) -> Any:
    def codegen(context: Any, b: Any, _signature: Any, _args: Any) -> Any:
        _do(b, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def clear_sums(_typing: Any) -> Any:
    def codegen(context: Any, b: Any, _signature: Any, _args: Any) -> Any:
        for tile in range(4):
            _do(b, "tilezero", _number(tile))
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def load_sums(_typing: Any, address: Any) -> Any:
    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        for tile in range(4):
            _load_tile(b, tile, _offset(b, args[0], TILE * tile))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def save_sums(_typing: Any, address: Any) -> Any:
    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        for tile in range(4):
            _store_tile(b, tile, _offset(b, args[0], TILE * tile))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def emit_multiply(b: ir.IRBuilder, tokens: list[ir.Value], rows: list[ir.Value]) -> None:
    """Four products of two tiles with two, given their addresses."""
    for index in range(2):
        _load_tile(b, 4 + index, tokens[index])
        _load_tile(b, 6 + index, rows[index])
    for tile in range(4):
        parts = (_number(tile), _number(4 + tile // 2), _number(6 + tile % 2))
        _do(b, "tdpbf16ps", *parts)


@intrinsic
def multiply(_typing: Any, tokens: Any, rows: Any) -> Any:
    """Add 32 k: `tokens` and `rows` are pairs of addresses of tiles."""

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        emit_multiply(b, *([b.extract_value(pair, index) for index in range(2)] for pair in args))
        return context.get_dummy_value()

    pair = types.UniTuple(types.int64, 2)
    return types.void(pair, pair), codegen


def emit_bytes(
    b: ir.IRBuilder,
    slots: Sequence[int],
    stride: int,
    tokens: ir.Value,
    weights: ir.Value,
    sums: ir.Value,
) -> None:
    """One tile of bytes with as many tiles of weights as there are slots, of 0 to 3."""
    left = 4 + (slots[0] if len(slots) == 1 else slots[0] // 2) % 2
    _load_tile(b, left, tokens, stride)
    for index, slot in enumerate(slots):
        right = 6 + slot % 2
        _load_tile(b, right, _offset(b, weights, TILE * index))
        _do(b, "tilezero", _number(slot))
        _do(b, "tdpbsud", *(_number(tile) for tile in (slot, left, right)))
        _store_tile(b, slot, _offset(b, sums, TILE * index))


@intrinsic(prefer_literal=True)
def multiply_one(_typing: Any, slot: Any, stride: Any, tokens: Any, weights: Any, sums: Any) -> Any:
    """Write the products of one tile of bytes with one. `slot`: 0 to 3; `stride`: bytes from token
    to token; both literals. Neighbours with different slots do not wait for each other.
    """

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        emit_bytes(b, [slot.literal_value], stride.literal_value, *args[2:])
        return context.get_dummy_value()

    return types.void(slot, stride, types.int64, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def multiply_two(_typing: Any, turn: Any, stride: Any, tokens: Any, weights: Any, sums: Any) -> Any:
    """As `multiply_one` with two tiles of weights that follow each other. `turn`: 0 or 1."""

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        first = 2 * turn.literal_value
        emit_bytes(b, [first, first + 1], stride.literal_value, *args[2:])
        return context.get_dummy_value()

    return types.void(turn, stride, types.int64, types.int64, types.int64), codegen


def emit_pairs(b: ir.IRBuilder, first: ir.Value, second: ir.Value, address: ir.Value) -> None:
    """Two k of 16 rows as pairs of bfloat16, each rounded to even."""
    name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
    words = b.bitcast(_call(b, name, _V_BF16, second, first), _WORDS)
    order = [lane + half * LANES for lane in range(LANES) for half in range(2)]
    mask = ir.Constant(ir.VectorType(I32T, 2 * LANES), order)
    _store(b, b.shuffle_vector(words, words, mask), address)


@intrinsic
def pair_rows(_typing: Any, first: Any, second: Any, address: Any) -> Any:
    """Write two rows of 16 as one of a tile of weights: 16 pairs of bfloat16."""

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        emit_pairs(b, *args)
        return context.get_dummy_value()

    return types.void(F32, F32, types.int64), codegen


_PAIR = types.UniTuple(F32, 2)


@intrinsic(prefer_literal=True)
def widen_block(_typing: Any, packing: Any, weights: Any, scales: Any, target: Any) -> Any:
    """Write a packed block of 32 k of 16 rows as a tile of weights.

    `scales`: ((d, m), (d, m)) of the first and of the second 16 k; a weight is d * quant + m.
    """

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _, address, halves, out = args
        for group, quants in enumerate(PACKINGS[packing.literal_value](b, address)):
            _widen_group(b, group, quants, halves, out)
        return context.get_dummy_value()

    pairs = types.UniTuple(_PAIR, 2)
    return types.void(packing, types.int64, pairs, types.int64), codegen


@intrinsic(prefer_literal=True)
def multiply_and_widen(
    _typing: Any, tokens: Any, rows: Any, packing: Any, weights: Any, scales: Any, target: Any
) -> Any:
    """`multiply` of AHEAD blocks that follow each other, and `widen_block` of another on the way.

    Tiles are multiplied in a unit of their own: while it works, the vectors widen for free.
    """

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        left, right, _, address, halves, out = args
        for group, quants in enumerate(PACKINGS[packing.literal_value](b, address)):
            pairs = [
                [_offset(b, b.extract_value(pair, index), TILE * group) for index in range(2)]
                for pair in (left, right)
            ]
            emit_multiply(b, *pairs)
            _widen_group(b, group, quants, halves, out)
        return context.get_dummy_value()

    pair, pairs = types.UniTuple(types.int64, 2), types.UniTuple(_PAIR, 2)
    return types.void(pair, pair, packing, types.int64, pairs, types.int64), codegen


def _widen_group(
    b: ir.IRBuilder, group: int, quants: ir.Value, halves: ir.Value, out: ir.Value
) -> None:
    """4 k of a block, of which group number `group` was opened to `quants`."""
    half = b.extract_value(halves, group // 4)
    d, m = b.extract_value(half, 0), b.extract_value(half, 1)
    values = [_fma(b, _byte(b, quants, index), d, m) for index in range(4)]
    emit_pairs(b, values[0], values[1], _offset(b, out, 128 * group))
    emit_pairs(b, values[2], values[3], _offset(b, out, 128 * group + 64))


def _byte(b: ir.IRBuilder, quants: ir.Value, index: int) -> ir.Value:
    """One of the 4 bytes of each lane as float32."""
    moved = b.lshr(quants, _constant(8 * index)) if index else quants
    return b.sitofp(b.and_(moved, _constant(0xFF)), V_F32)
