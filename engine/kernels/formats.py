"""Packed weights: what a quantized matrix looks like in memory, and how a block of it opens.

A matrix is cut into panels of 16 rows. A panel is two streams, each read front to back once per
step: the quants of all its blocks of 32 k, then their scales. Within a block, 64 bytes hold 4
consecutive k ("a group") of the 16 rows, so one load feeds one dot-product instruction:

    nibbles   4 x 64 bytes: low halves are group 2i, high halves group 2i + 1
    fifth bit 64 bytes after them: bit g of a byte belongs to group g            (5-bit types)
    two bits  2 x 64 bytes after them: bits 2(g % 4) of half g / 4               (6-bit type)
    bytes     8 x 64 bytes, offset by 128 so that they are unsigned              (8-bit type)

`pack` writes this from a file's blocks, once, at load; `open_blocks` turns some of it into plain
unsigned bytes and float32 scales: weight = d * quant + m. The 4- and 5-bit K types grow by 4 bytes
a row of 256, which has 144 and 176 (their 6-bit scales become bytes); all others keep their size.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from engine.kernels.dot import NIBBLES, NIBBLES_AND_BIT, NIBBLES_AND_PAIR, open_block
from engine.kernels.vector import (
    load_bf16,
    load_f16,
    load_f32,
    load_i8,
    load_u8,
    splat_f32,
    store,
)
from engine.quants import QuantType

ROWS = 16
BLOCK = 32
CHUNK = 8  # blocks that are opened at a time: one K superblock

F32 = int(QuantType.F32)
F16 = int(QuantType.F16)
BF16 = int(QuantType.BF16)
I8 = 24  # GGML's number of plain bytes, which cached values are; no file of ours has them
Q4_0 = int(QuantType.Q4_0)
Q4_1 = int(QuantType.Q4_1)
Q5_0 = int(QuantType.Q5_0)
Q5_1 = int(QuantType.Q5_1)
Q8_0 = int(QuantType.Q8_0)
Q4_K = int(QuantType.Q4_K)
Q5_K = int(QuantType.Q5_K)
Q6_K = int(QuantType.Q6_K)

# Kernels for packed types are what takes long to compile, and a file has types of one kind mostly.
TYPES: dict[str, tuple[int, ...]] = {
    "q4_0": (Q4_0,),
    "q4_k_m": (Q4_K, Q6_K),
    "simple": (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0),
    "k": (Q4_K, Q5_K, Q6_K),
    "all": (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K),
}


def types_for(kinds: Collection[int]) -> str:
    """The least key of `TYPES` that covers the packed ones among these types."""
    packed = set(kinds) & set(TYPES["all"])
    return next(name for name, types in TYPES.items() if packed.issubset(types))


def by_kind(functions: Mapping[int, Any]) -> Any:
    """A compiled function f(kind, *arguments) that calls the function of that kind."""
    (kind, function), *others = functions.items()
    if not others:
        return _anyway(function)
    rest = by_kind(dict(others))

    @njit
    def choose(wanted: int, *arguments: Any) -> Any:
        if wanted == kind:
            return function(*arguments)
        return rest(wanted, *arguments)

    return choose


def _anyway(function: Any) -> Any:
    @njit
    def call(_wanted: int, *arguments: Any) -> Any:
        return function(*arguments)

    return call


@dataclass(frozen=True)
class Layout:
    """Sizes of one packed type, in bytes for the 16 rows of a panel."""

    quants: int  # a block of 32 k
    scales: int  # a unit of scales
    unit: int  # blocks that share a unit: 1, or 8 in the K types


FLOATS = {F32: 64, F16: 32, BF16: 32}  # bytes of 16 weights at one k
LAYOUTS = {
    Q4_0: Layout(256, 32, 1),
    Q4_1: Layout(256, 64, 1),
    Q5_0: Layout(320, 32, 1),
    Q5_1: Layout(320, 64, 1),
    Q8_0: Layout(512, 32, 1),
    Q4_K: Layout(256, 320, 8),
    Q5_K: Layout(320, 320, 8),
    Q6_K: Layout(384, 288, 8),
}


def panel_bytes(kind: int, k: int) -> int:
    """Size of one packed panel of k columns, a multiple of 64."""
    if kind in FLOATS:
        return -(-k * FLOATS[kind] // 64) * 64
    layout, blocks = LAYOUTS[kind], k // BLOCK
    return blocks * layout.quants + -(-blocks // layout.unit * layout.scales // 64) * 64


def block_bytes(kind: int) -> int:
    """Distance between the quants of one block and the next within a panel."""
    return LAYOUTS[kind].quants if kind in LAYOUTS else 0


def unit_bytes(kind: int) -> int:
    """Bytes of scales for CHUNK blocks."""
    return LAYOUTS[kind].scales * CHUNK // LAYOUTS[kind].unit if kind in LAYOUTS else 0


# --- opening ------------------------------------------------------------------------------------


# Scales of a chunk: `outer_*` reads what its blocks share, `inner_*` a block's own (d, m).


@njit
def no_outer(_scales: int) -> int:
    return 0


@njit
def _inner_by(scales: int, block: int, offset: float) -> Any:
    """One f16 scale a block; the minimum is -offset scales."""
    d = load_f16(scales + 32 * block)
    return d, d * splat_f32(np.float32(-offset))


@njit
def inner_by_8(scales: int, block: int, _outer: int) -> Any:
    return _inner_by(scales, block, 8.0)


@njit
def inner_by_16(scales: int, block: int, _outer: int) -> Any:
    return _inner_by(scales, block, 16.0)


@njit
def inner_by_128(scales: int, block: int, _outer: int) -> Any:
    return _inner_by(scales, block, 128.0)


@njit
def inner_with_minima(scales: int, block: int, _outer: int) -> Any:
    """Two f16 a block."""
    return load_f16(scales + 64 * block), load_f16(scales + 64 * block + 32)


@njit
def outer_k(scales: int) -> Any:
    """A superblock: 8 x 16 scale bytes, 8 x 16 minimum bytes, f16 d, f16 dmin."""
    return load_f16(scales + 256), splat_f32(np.float32(0)) - load_f16(scales + 288)


@njit
def inner_k(scales: int, block: int, outer: Any) -> Any:
    d = outer[0] * load_u8(scales + 16 * block)
    return d, outer[1] * load_u8(scales + 128 + 16 * block)


@njit
def outer_q6(scales: int) -> Any:
    """A superblock: 16 x 16 signed scale bytes (one per 16 k), f16 d; quants are offset by 32."""
    return load_f16(scales + 256)


@njit
def inner_q6(scales: int, half: int, outer: Any) -> Any:
    d = outer * load_i8(scales + 16 * half)
    return d, d * splat_f32(np.float32(-32))


@njit
def _block_scales(kind: int, scales: int, block: int) -> Any:
    """(d, m) of block number `block` of a chunk; not for Q6_K, which has them by halves."""
    if kind == Q4_0:
        return inner_by_8(scales, block, 0)
    if kind == Q5_0:
        return inner_by_16(scales, block, 0)
    if kind == Q8_0:
        return inner_by_128(scales, block, 0)
    if kind in (Q4_1, Q5_1):
        return inner_with_minima(scales, block, 0)
    return inner_k(scales, block, outer_k(scales))


@njit
def open_blocks(kind: int, quants: int, scales: int, blocks: int, room: Any) -> int:
    """Open at most CHUNK blocks into `room` = (bytes, d, m) and return where the bytes are.

    bytes: blocks x 512, unsigned; d, m: blocks x 64 bytes of float32 (twice that for Q6_K, which
    has a scale per 16 k). K types come in whole chunks.
    """
    out, d, m = room
    if kind == Q6_K:
        for half in range(2 * blocks):
            pair = inner_q6(scales, half, outer_q6(scales))
            store(d + 64 * half, pair[0])
            store(m + 64 * half, pair[1])
    else:
        for block in range(blocks):
            pair = _block_scales(kind, scales, block)
            store(d + 64 * block, pair[0])
            store(m + 64 * block, pair[1])
    if kind == Q8_0:
        return quants
    for block in range(blocks):
        if kind == Q6_K:
            open_block(NIBBLES_AND_PAIR, quants + 384 * block, out + 512 * block)
        elif kind in (Q5_0, Q5_1, Q5_K):
            open_block(NIBBLES_AND_BIT, quants + 320 * block, out + 512 * block)
        else:
            open_block(NIBBLES, quants + 256 * block, out + 512 * block)
    return out


@njit
def load_float(kind: int, address: int) -> Any:
    """16 weights of a float panel at one k."""
    if kind == F16:
        return load_f16(address)
    if kind == BF16:
        return load_bf16(address)
    return load_f32(address)
