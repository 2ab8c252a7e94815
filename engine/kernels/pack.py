"""From a file's rows of blocks to packed panels (see formats.py), once, at load.

Each `_read_*` opens one row's block of the file into plain unsigned quants, in k order; `_place_*`
lays 32 of them into a panel. Block layouts are the GGML project's (FORMATS: quants.py).
"""

from typing import Any

import numpy as np
from numba import njit

from engine.kernels.formats import (
    BLOCK,
    CHUNK,
    FLOATS,
    LAYOUTS,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    ROWS,
    panel_bytes,
)
from engine.quants import QuantType, row_bytes

# --- a file's blocks ----------------------------------------------------------------------------


@njit
def _read_nibbles(raw: Any, at: int, q: Any, first: int) -> None:
    """16 bytes: low nibbles are k 0..15, high nibbles k 16..31."""
    for i in range(16):
        q[first + i] = raw[at + i] & 15
        q[first + 16 + i] = raw[at + i] >> 4


@njit
def _read_fifth_bits(raw: Any, at: int, q: Any) -> None:
    """32 bits, bit k is the fifth bit of quant k."""
    for k in range(32):
        q[k] |= ((raw[at + k // 8] >> (k % 8)) & 1) << 4


@njit
def _read_k_nibbles(raw: Any, at: int, q: Any) -> None:
    """128 bytes: each 32 hold 64 k, low nibbles first."""
    for quarter in range(4):
        for i in range(32):
            byte = raw[at + 32 * quarter + i]
            q[64 * quarter + i] = byte & 15
            q[64 * quarter + 32 + i] = byte >> 4


@njit
def _read_k_fifth_bits(raw: Any, at: int, q: Any) -> None:
    """32 bytes: bit b of byte i is the fifth bit of k = 32 b + i."""
    for b in range(8):
        for i in range(32):
            q[32 * b + i] |= ((raw[at + i] >> b) & 1) << 4


@njit
def _read_q6(raw: Any, at: int, q: Any) -> None:
    """128 bytes of low nibbles and 64 of high pairs, in halves of 128 k."""
    for half in range(2):
        low, high, out = at + 64 * half, at + 128 + 32 * half, 128 * half
        for i in range(32):
            pairs = raw[high + i]
            q[out + i] = (raw[low + i] & 15) | ((pairs & 3) << 4)
            q[out + 32 + i] = (raw[low + 32 + i] & 15) | (((pairs >> 2) & 3) << 4)
            q[out + 64 + i] = (raw[low + i] >> 4) | (((pairs >> 4) & 3) << 4)
            q[out + 96 + i] = (raw[low + 32 + i] >> 4) | (((pairs >> 6) & 3) << 4)


@njit
def _read_quants(kind: int, raw: Any, at: int, q: Any) -> None:
    """32 or (K types) 256 quants of a file block, but for the types that `_move_plain` moves."""
    if kind == Q5_0:
        _read_nibbles(raw, at + 6, q, 0)
        _read_fifth_bits(raw, at + 2, q)
    elif kind == Q5_1:
        _read_nibbles(raw, at + 8, q, 0)
        _read_fifth_bits(raw, at + 4, q)
    elif kind == Q8_0:
        for i in range(32):
            q[i] = raw[at + 2 + i] ^ 128
    elif kind == Q4_K:
        _read_k_nibbles(raw, at + 16, q)
    elif kind == Q5_K:
        _read_k_nibbles(raw, at + 48, q)
        _read_k_fifth_bits(raw, at + 16, q)
    elif kind == Q6_K:
        _read_q6(raw, at, q)


# --- a panel ------------------------------------------------------------------------------------


@njit
def _place_nibbles(words: Any, first: int, row: int, out: Any, at: int) -> None:
    """32 quants as 8 words of 4 k each -> 4 nibble words of this row; `at` counts words."""
    for pair in range(4):
        low = words[first + 2 * pair] & 0x0F0F0F0F
        high = words[first + 2 * pair + 1] & 0x0F0F0F0F
        out[at + 16 * pair + row] = low | (high << 4)


@njit
def _place_fifth_bits(words: Any, first: int, row: int, out: Any, at: int) -> None:
    plane = np.uint32(0)
    for group in range(8):
        plane |= ((words[first + group] >> 4) & 0x01010101) << group
    out[at + row] = plane


@njit
def _place_two_bits(words: Any, first: int, row: int, out: Any, at: int) -> None:
    for half in range(2):
        plane = np.uint32(0)
        for group in range(4):
            plane |= ((words[first + 4 * half + group] >> 4) & 0x03030303) << (2 * group)
        out[at + 16 * half + row] = plane


@njit
def _place_block(kind: int, words: Any, first: int, row: int, out: Any, at: int) -> None:
    if kind == Q8_0:
        for group in range(8):
            out[at + 16 * group + row] = words[first + group]
        return
    _place_nibbles(words, first, row, out, at)
    if kind == Q6_K:
        _place_two_bits(words, first, row, out, at + 64)
    elif kind in (Q5_0, Q5_1, Q5_K):
        _place_fifth_bits(words, first, row, out, at + 64)


@njit
def _copy2(raw: Any, at: int, out: Any, to: int) -> None:
    out[to] = raw[at]
    out[to + 1] = raw[at + 1]


@njit
def _place_k_scales(raw: Any, at: int, row: int, out: Any, to: int) -> None:
    """12 bytes hold 8 six-bit scales and 8 six-bit minima; see formats._open_k_scales."""
    s = at + 4
    for j in range(4):
        out[to + 16 * j + row] = raw[s + j] & 63
        out[to + 128 + 16 * j + row] = raw[s + 4 + j] & 63
        high_scale, high_min = raw[s + j] >> 6, raw[s + 4 + j] >> 6
        out[to + 16 * (j + 4) + row] = (raw[s + 8 + j] & 15) | (high_scale << 4)
        out[to + 128 + 16 * (j + 4) + row] = (raw[s + 8 + j] >> 4) | (high_min << 4)
    _copy2(raw, at, out, to + 256 + 2 * row)
    _copy2(raw, at + 2, out, to + 288 + 2 * row)


@njit
def _place_scales(kind: int, raw: Any, at: int, row: int, out: Any, to: int) -> None:
    """The scales of one file block; `to` is the byte offset of their unit in the panel."""
    if kind in (Q4_K, Q5_K):
        _place_k_scales(raw, at, row, out, to)
    elif kind == Q6_K:
        for j in range(16):
            out[to + 16 * j + row] = raw[at + 192 + j]
        _copy2(raw, at + 208, out, to + 256 + 2 * row)
    else:
        _copy2(raw, at, out, to + 2 * row)
        if kind in (Q4_1, Q5_1):
            _copy2(raw, at + 2, out, to + 32 + 2 * row)


@njit
def _word(raw: Any, at: int) -> Any:
    """4 bytes as they lie."""
    low = np.uint32(raw[at]) | np.uint32(raw[at + 1]) << 8
    return low | np.uint32(raw[at + 2]) << 16 | np.uint32(raw[at + 3]) << 24


@njit
def _move_nibbles(raw: Any, at: int, out: Any, to: int) -> None:
    """`_read_nibbles` and `_place_nibbles` in one: half the types' blocks are only nibbles.

    The file's byte i holds k = i and k = i + 16, ours k = i and k = i + 4 of each 8.
    """
    low, high = np.uint32(0x0F0F0F0F), np.uint32(0xF0F0F0F0)
    for pair in range(2):
        even, odd = _word(raw, at + 8 * pair), _word(raw, at + 8 * pair + 4)
        out[to + 16 * pair] = (even & low) | ((odd & low) << 4)
        out[to + 16 * (pair + 2)] = ((even >> 4) & low) | (odd & high)


@njit
def _move_plain(raw: Any, head: int, sizes: Any, out: Any, panel: Any) -> None:
    """One row of Q4_0 or Q4_1: `head` bytes of scales, then nibbles. panel = (address, row)."""
    _, file_block, file_row, _, quants, scales = sizes
    words, blocks = out.view(np.uint32), file_row // file_block
    base, row, start = panel
    scales_at = base + blocks * quants + 2 * row
    for b in range(blocks):
        at = start + b * file_block
        _move_nibbles(raw, at + head, words, (base + b * quants) // 4 + row)
        for i in range(0, head, 2):
            _copy2(raw, at + i, out, scales_at + b * scales + 16 * i)


@njit(nogil=True)
def pack_panels(kind: int, raw: Any, shape: Any, sizes: Any, out: Any, span: Any) -> None:
    """Fill panels span[0]..span[1] of `out` (bytes); see `pack` for the sizes."""
    rows, k = shape
    k_per_block, file_block, file_row, panel, quants, scales = sizes
    words_out = out.view(np.uint32)
    q = np.zeros(k_per_block, np.uint8)
    words = q.view(np.uint32)
    per_block = k_per_block // 32
    scales_at = k // 32 * quants
    for p in range(span[0], span[1]):
        for row in range(min(16, rows - 16 * p)):
            start = (16 * p + row) * file_row
            if kind in (Q4_0, Q4_1):
                head = 2 if kind == Q4_0 else 4
                _move_plain(raw, head, sizes, out, (p * panel, row, start))
                continue
            for b in range(k // k_per_block):
                at = start + b * file_block
                _read_quants(kind, raw, at, q)
                for i in range(per_block):
                    place = (p * panel + (b * per_block + i) * quants) // 4
                    _place_block(kind, words, 8 * i, row, words_out, place)
                _place_scales(kind, raw, at, row, out, p * panel + scales_at + b * scales)


@njit(nogil=True)
def pack_floats(raw: Any, shape: Any, panel: int, out: Any, span: Any) -> None:
    """Transpose rows into [k][16]; `raw` and `out` are of the weights' own width."""
    rows, k = shape
    for p in range(span[0], span[1]):
        for row in range(min(16, rows - 16 * p)):
            for column in range(k):
                out[p * panel + 16 * column + row] = raw[(16 * p + row) * k + column]


def pack(kind: QuantType, raw: np.ndarray, shape: tuple[int, int], out: np.ndarray) -> None:
    """Pack a whole matrix: `raw` uint8 of the file, `shape` [rows, k], `out` uint8, zeroed.

    `out` holds ceil(rows / 16) * panel_bytes(kind, k) bytes, 4-byte aligned.
    """
    pack_span(kind, raw, shape, out, (0, -(-shape[0] // ROWS)))


def pack_span(
    kind: QuantType, raw: np.ndarray, shape: tuple[int, int], out: np.ndarray, span: tuple[int, int]
) -> None:
    """As `pack`, for the panels from span[0] up to span[1] only: threads share the work so."""
    rows, k = shape
    panel = panel_bytes(kind, k)
    assert raw.dtype == out.dtype == np.uint8
    assert raw.size == rows * row_bytes(kind, k)
    assert out.size == -(-rows // ROWS) * panel
    if kind in FLOATS:
        width = np.uint32 if kind == QuantType.F32 else np.uint16
        step = panel // np.dtype(width).itemsize
        pack_floats(raw.view(width), shape, step, out.view(width), span)
        return
    layout = LAYOUTS[kind]
    k_per_block = BLOCK * (CHUNK if layout.unit == CHUNK else 1)
    file_block = row_bytes(kind, k_per_block)
    sizes = (k_per_block, file_block, row_bytes(kind, k), panel, layout.quants, layout.scales)
    pack_panels(int(kind), raw, shape, sizes, out, span)
