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

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from engine.kernels.vector import (
    load_bf16,
    load_f16,
    load_f32,
    load_i8,
    load_i32,
    load_u8,
    splat_f32,
    splat_i32,
    store,
)
from engine.quants import QuantType

ROWS = 16
BLOCK = 32
CHUNK = 8  # blocks that are opened at a time: one K superblock

F32 = int(QuantType.F32)
F16 = int(QuantType.F16)
BF16 = int(QuantType.BF16)
Q4_0 = int(QuantType.Q4_0)
Q4_1 = int(QuantType.Q4_1)
Q5_0 = int(QuantType.Q5_0)
Q5_1 = int(QuantType.Q5_1)
Q8_0 = int(QuantType.Q8_0)
Q4_K = int(QuantType.Q4_K)
Q5_K = int(QuantType.Q5_K)
Q6_K = int(QuantType.Q6_K)


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


@njit
def _open_nibbles(source: int, target: int) -> None:
    low = splat_i32(0x0F0F0F0F)
    four = splat_i32(4)
    for pair in range(4):
        both = load_i32(source + 64 * pair)
        store(target + 128 * pair, both & low)
        store(target + 128 * pair + 64, (both >> four) & low)


@njit
def _open_fifth_bits(source: int, target: int) -> None:
    plane = load_i32(source)
    one = splat_i32(0x01010101)
    for group in range(8):
        bit = ((plane >> splat_i32(group)) & one) << splat_i32(4)
        store(target + 64 * group, load_i32(target + 64 * group) | bit)


@njit
def _open_two_bits(source: int, target: int) -> None:
    three = splat_i32(0x03030303)
    for group in range(8):
        plane = load_i32(source + 64 * (group // 4))
        bits = ((plane >> splat_i32(2 * (group % 4))) & three) << splat_i32(4)
        store(target + 64 * group, load_i32(target + 64 * group) | bits)


@njit
def _open_scales(scales: int, blocks: int, offset: float, d: int, m: int) -> None:
    """One f16 scale a block; the minimum is -offset scales."""
    minus = splat_f32(np.float32(-offset))
    for block in range(blocks):
        scale = load_f16(scales + 32 * block)
        store(d + 64 * block, scale)
        store(m + 64 * block, scale * minus)


@njit
def _open_scales_minima(scales: int, blocks: int, d: int, m: int) -> None:
    for block in range(blocks):
        store(d + 64 * block, load_f16(scales + 64 * block))
        store(m + 64 * block, load_f16(scales + 64 * block + 32))


@njit
def _open_k_scales(scales: int, d: int, m: int) -> None:
    """A superblock: 8 x 16 scale bytes, 8 x 16 minimum bytes, f16 d, f16 dmin."""
    outer = load_f16(scales + 256)
    outer_min = splat_f32(np.float32(0)) - load_f16(scales + 288)
    for block in range(8):
        store(d + 64 * block, outer * load_u8(scales + 16 * block))
        store(m + 64 * block, outer_min * load_u8(scales + 128 + 16 * block))


@njit
def _open_q6_scales(scales: int, d: int, m: int) -> None:
    """A superblock: 16 x 16 signed scale bytes (one per 16 k), f16 d; quants are offset by 32."""
    outer = load_f16(scales + 256)
    minus = splat_f32(np.float32(-32))
    for half in range(16):
        scale = outer * load_i8(scales + 16 * half)
        store(d + 64 * half, scale)
        store(m + 64 * half, scale * minus)


@njit
def open_blocks(kind: int, quants: int, scales: int, blocks: int, room: Any) -> int:
    """Open at most CHUNK blocks into `room` = (bytes, d, m) and return where the bytes are.

    bytes: blocks x 512, unsigned; d, m: blocks x 64 bytes of float32 (twice that for Q6_K, which
    has a scale per 16 k). K types come in whole chunks.
    """
    out, d, m = room
    if kind == Q8_0:
        _open_scales(scales, blocks, 128.0, d, m)
        return quants
    if kind in (Q4_0, Q4_1, Q4_K):
        for block in range(blocks):
            _open_nibbles(quants + 256 * block, out + 512 * block)
    elif kind == Q6_K:
        for block in range(blocks):
            _open_nibbles(quants + 384 * block, out + 512 * block)
            _open_two_bits(quants + 384 * block + 256, out + 512 * block)
    else:
        for block in range(blocks):
            _open_nibbles(quants + 320 * block, out + 512 * block)
            _open_fifth_bits(quants + 320 * block + 256, out + 512 * block)
    if kind == Q4_0:
        _open_scales(scales, blocks, 8.0, d, m)
    elif kind == Q5_0:
        _open_scales(scales, blocks, 16.0, d, m)
    elif kind in (Q4_1, Q5_1):
        _open_scales_minima(scales, blocks, d, m)
    elif kind == Q6_K:
        _open_q6_scales(scales, d, m)
    else:
        _open_k_scales(scales, d, m)
    return out


@njit
def load_float(kind: int, address: int) -> Any:
    """16 weights of a float panel at one k."""
    if kind == F16:
        return load_f16(address)
    if kind == BF16:
        return load_bf16(address)
    return load_f32(address)
