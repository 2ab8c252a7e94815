"""Matrix products: packed weights times a batch of token vectors.

A thread takes some panels at a time. For a few tokens (decode) it opens 256 columns of a panel at
a time and adds them to every token's sums; for many (prefill) it opens the whole panel once into
its own scratch and walks the tokens in tiles of 8 over it. Both add in the same order.
"""

from collections import namedtuple
from typing import Any

from numba import njit

from engine.kernels.dot import TILE, add_float, add_quantized, lane_sums, zeros
from engine.kernels.formats import BF16, CHUNK, F16, F32, Q6_K, open_blocks
from engine.kernels.team import take
from engine.kernels.vector import load_f32, prefetch, store

# A matrix in the model's table is a row of these int64 fields.
KIND, ADDRESS, ROWS, COLUMNS, PANEL, BLOCK_BYTES, UNIT_BYTES, BIAS = range(8)
FIELDS = 8

# Token vectors as the kernels read them: addresses of float32 values [token][k] and of the same
# quantized in tiles of 8 tokens: int8 [tile][k / 4][8][4], scales and scale * sum per 32 k
# [tile][k / 32][8], scale * sum per 16 k [tile][k / 16][8]; and k.
Vectors = namedtuple("Vectors", "values quants scales sums32 sums16 k")

_AHEAD = 1536  # bytes of a weight stream to ask for before they are needed


@njit
def _add_chunk(isa: Any, tile: Any, kind: int, opened: Any, x: Any, where: Any) -> Any:
    """Add `blocks` opened blocks; `where` = (first token of a tile, first block, blocks)."""
    quants, d, m = opened
    token, first, blocks = where
    x_quants = x.quants + token * x.k + 256 * first
    x_scale = x.scales + token * (x.k // 8) + 32 * first
    if kind == Q6_K:
        x_sum = x.sums16 + token * (x.k // 4) + 64 * first
        for half in range(2 * blocks):
            at = (x_quants + 128 * half, x_scale + 32 * (half // 2), x_sum + 32 * half)
            dm = (load_f32(d + 64 * half), load_f32(m + 64 * half))
            tile = add_quantized(isa, tile, quants + 256 * half, dm, at, 4)
    else:
        x_sum = x.sums32 + token * (x.k // 8) + 32 * first
        for block in range(blocks):
            at = (x_quants + 256 * block, x_scale + 32 * block, x_sum + 32 * block)
            dm = (load_f32(d + 64 * block), load_f32(m + 64 * block))
            tile = add_quantized(isa, tile, quants + 512 * block, dm, at, 8)
    return tile


@njit
def _stream_panel(isa: Any, tile: Any, w: Any, panel: int, x: Any, token: int, room: Any) -> Any:
    """Open a panel chunk by chunk and add each to the tile at once."""
    kind, blocks = w[KIND], w[COLUMNS] // 32
    quants = w[ADDRESS] + panel * w[PANEL]
    scales = quants + blocks * w[BLOCK_BYTES]
    step = CHUNK * w[BLOCK_BYTES]
    for first in range(0, blocks, CHUNK):
        count = min(CHUNK, blocks - first)
        for line in range(0, step, 64):
            prefetch(quants + _AHEAD + line)
        opened = open_blocks(kind, quants, scales, count, room)
        tile = _add_chunk(isa, tile, kind, (opened, room[1], room[2]), x, (token, first, count))
        quants += step
        scales += w[UNIT_BYTES]
    return tile


@njit
def _add_panel(isa: Any, tile: Any, w: Any, opened: Any, x: Any, token: int) -> Any:
    """Add a whole opened panel to a tile."""
    return _add_chunk(isa, tile, w[KIND], opened, x, (token, 0, w[COLUMNS] // 32))


@njit
def _float_panel(tile: Any, w: Any, panel: int, x: Any, token: int) -> Any:
    at, values = w[ADDRESS] + panel * w[PANEL], x.values + 4 * token * x.k
    kind = w[KIND]
    if kind == F32:
        for k in range(w[COLUMNS]):
            tile = add_float(tile, F32, at + 64 * k, values + 4 * k, 4 * x.k)
    elif kind == F16:
        for k in range(w[COLUMNS]):
            tile = add_float(tile, F16, at + 32 * k, values + 4 * k, 4 * x.k)
    else:
        for k in range(w[COLUMNS]):
            tile = add_float(tile, BF16, at + 32 * k, values + 4 * k, 4 * x.k)
    return tile


@njit
def _write_tile(tile: Any, w: Any, panel: int, y: Any, where: Any) -> None:
    """Add the bias and store; y = (address, bytes per token, add to what is there)."""
    token, tokens = where
    out, stride, accumulate = y
    for t in range(tokens):
        at = out + (token + t) * stride + 64 * panel
        value = lane_sums(tile, t)
        if w[BIAS] != 0:
            value = value + load_f32(w[BIAS] + 64 * panel)
        if accumulate:
            value = value + load_f32(at)
        store(at, value)


@njit
def _few_tokens(isa: Any, tile: Any, w: Any, panel: int, x: Any, y: Any, where: Any) -> None:
    token, _, room = where
    if w[BLOCK_BYTES] == 0:
        tile = _float_panel(tile, w, panel, x, token)
    else:
        tile = _stream_panel(isa, tile, w, panel, x, token, room)
    _write_tile(tile, w, panel, y, where[:2])


@njit
def _open_panel(w: Any, panel: int, room: Any) -> Any:
    """Open every block of a panel into the thread's scratch."""
    kind, blocks = w[KIND], w[COLUMNS] // 32
    quants = w[ADDRESS] + panel * w[PANEL]
    scales = quants + blocks * w[BLOCK_BYTES]
    out, d, m = room
    per_chunk = 1024 if kind == Q6_K else 512
    opened = out
    for chunk in range((blocks + CHUNK - 1) // CHUNK):
        count = min(CHUNK, blocks - chunk * CHUNK)
        here = (out + 4096 * chunk, d + per_chunk * chunk, m + per_chunk * chunk)
        source = quants + CHUNK * w[BLOCK_BYTES] * chunk
        at = open_blocks(kind, source, scales + w[UNIT_BYTES] * chunk, count, here)
        if chunk == 0:
            opened = at
    return opened, d, m


@njit
def _many_tokens(isa: Any, w: Any, panel: int, x: Any, y: Any, tokens: int, room: Any) -> None:
    floats = w[BLOCK_BYTES] == 0
    opened = room
    if not floats:
        opened = _open_panel(w, panel, room)
    for token in range(0, tokens, TILE):
        tile = zeros(8)
        if floats:
            tile = _float_panel(tile, w, panel, x, token)
        else:
            tile = _add_panel(isa, tile, w, opened, x, token)
        _write_tile(tile, w, panel, y, (token, min(TILE, tokens - token)))


@njit
def linear(isa: Any, team: Any, w: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    """y[token] (+)= w @ x[token] + bias, shared by the team.

    `team` = (control, phase, threads); `w` a row of the model's table; `y` = (address, bytes per
    token, accumulate); `room` = this thread's scratch (bytes, d, m). Token vectors are readable up
    to the next multiple of TILE tokens, and y's rows up to the next multiple of 16 values.
    """
    control, phase, threads = team
    panels = (w[ROWS] + 15) // 16
    chunk = max(1, min(16, panels // (threads * 8)))
    while True:
        first = take(control, phase, chunk)
        if first >= panels:
            return
        for panel in range(first, min(first + chunk, panels)):
            if tokens == 1:
                _few_tokens(isa, zeros(1), w, panel, x, y, (0, 1, room))
            elif tokens == 2:
                _few_tokens(isa, zeros(2), w, panel, x, y, (0, 2, room))
            elif tokens <= 4:
                _few_tokens(isa, zeros(4), w, panel, x, y, (0, tokens, room))
            elif tokens <= TILE:
                _few_tokens(isa, zeros(8), w, panel, x, y, (0, tokens, room))
            else:
                _many_tokens(isa, w, panel, x, y, tokens, room)
