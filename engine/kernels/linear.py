"""Matrix products: packed weights times a batch of token vectors.

A thread takes some panels at a time. For a few tokens (decode) it opens each block in registers on
its way from memory; for many (prefill) it opens the whole panel once into its own scratch and
walks the tokens over it in tiles of 8. Both add in the same order, so they give the same bits.
"""

from collections import namedtuple
from functools import cache
from typing import Any

from numba import njit
from numba.extending import overload

from engine.kernels.dot import (
    AMX,
    BYTES,
    NIBBLES,
    NIBBLES_AND_BIT,
    NIBBLES_AND_PAIR,
    TILE,
    TOKENS,
    add_float,
    add_packed,
    add_packed_halves,
    add_quantized,
    lane_sums,
    zeros,
)
from engine.kernels.formats import (
    BF16,
    CHUNK,
    F16,
    F32,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    TYPES,
    by_kind,
    inner_by_8,
    inner_by_16,
    inner_by_128,
    inner_k,
    inner_q6,
    inner_with_minima,
    no_outer,
    open_blocks,
    outer_k,
    outer_q6,
)
from engine.kernels.team import take
from engine.kernels.vector import IsaType, load_f32, prefetch, store

# A matrix in the model's table is a row of these int64 fields.
KIND, ADDRESS, ROWS, COLUMNS, PANEL, BLOCK_BYTES, UNIT_BYTES, BIAS = range(8)
FIELDS = 8

# Token vectors as the kernels read them: addresses of float32 values [token][k] and of the same
# quantized in tiles of 16 tokens: int8 [tile][k / 32][16][32], scales and scale * sum per 32 k
# [tile][k / 32][16], scale * sum per 16 k [tile][k / 16][16]; the tokens that go by bfloat16 have
# tiles at `wide` instead, see tiles.token_tile; and k.
Vectors = namedtuple("Vectors", "values quants scales sums32 sums16 wide k")

FEW = 4  # most tokens for which vectors are as fast as tiles of bytes
STREAMS = 4  # panels that a thread reads beside each other
LOOKAHEAD = 1024  # bytes of each to ask for before they are needed


@njit
def token_block(x: Any, token: int, block: int) -> Any:
    """Addresses of a token's quants, scale and sum for one block of 32 k; its neighbours follow."""
    at, lane = token // TOKENS * (x.k // 32) + block, token % TOKENS
    scale = 4 * (TOKENS * at + lane)
    return x.quants + 32 * (TOKENS * at + lane), x.scales + scale, x.sums32 + scale


@njit
def token_halves(x: Any, token: int, block: int) -> Any:
    """As `token_block`, for each 16 k of the block."""
    quants, scales, _ = token_block(x, token, block)
    at, lane = token // TOKENS * (x.k // 32) + block, token % TOKENS
    sums = x.sums16 + 4 * (2 * TOKENS * at + lane)
    return (quants, scales, sums), (quants + 16, scales, sums + 4 * TOKENS)


def _adder(packing: int, inner: Any) -> Any:
    """Adds one block of a panel, opened in registers, for the types with one scale for it."""

    @njit(inline="always")
    def add(
        isa: Any, tile: Any, quants: int, scales: int, shared: Any, x: Any, token: int, block: int
    ) -> Any:
        dm = inner(scales, block % CHUNK, shared)
        return add_packed(isa, tile, packing, quants, dm, token_block(x, token, block))

    return add


@njit(inline="always")
def _add_q6_k(
    isa: Any, tile: Any, quants: int, scales: int, shared: Any, x: Any, token: int, block: int
) -> Any:
    """As `_adder`'s, for the type that has a scale per 16 k."""
    half = 2 * (block % CHUNK)
    dms = inner_q6(scales, half, shared), inner_q6(scales, half + 1, shared)
    xs = token_halves(x, token, block)
    return add_packed_halves(isa, tile, NIBBLES_AND_PAIR, quants, dms, xs)


@njit
def ask(address: int, size: int) -> None:
    """Have so many bytes come from memory before they are needed."""
    for line in range(0, size, 64):
        prefetch(address + line)


def _streamer(add: Any, quants_bytes: int, chunk_bytes: int, outer: Any) -> Any:
    """The decode kernel of one packed type: open in registers, add, forget.

    STREAMS panels at a time, whose addresses are `starts`: memory gives several streams more.
    """

    @njit
    def stream(isa: Any, tile: Any, w: Any, starts: Any, x: Any, token: int) -> Any:
        a, b, c, d = starts
        one, two, three, four = tile, tile, tile, tile
        blocks = w[COLUMNS] // 32
        quants, scales = 0, blocks * quants_bytes
        for first in range(0, blocks, CHUNK):
            for start in starts:
                ask(start + scales + STREAMS * w[PANEL], chunk_bytes)
            in_a, in_b, in_c, in_d = a + scales, b + scales, c + scales, d + scales
            of_a, of_b, of_c, of_d = outer(in_a), outer(in_b), outer(in_c), outer(in_d)
            for block in range(first, min(first + CHUNK, blocks)):
                for start in starts:
                    ask(start + quants + LOOKAHEAD, quants_bytes)
                one = add(isa, one, a + quants, in_a, of_a, x, token, block)
                two = add(isa, two, b + quants, in_b, of_b, x, token, block)
                three = add(isa, three, c + quants, in_c, of_c, x, token, block)
                four = add(isa, four, d + quants, in_d, of_d, x, token, block)
                quants += quants_bytes
            scales += chunk_bytes
        return one, two, three, four

    return stream


_STREAMS = {
    Q4_0: _streamer(_adder(NIBBLES, inner_by_8), 256, 256, no_outer),
    Q4_1: _streamer(_adder(NIBBLES, inner_with_minima), 256, 512, no_outer),
    Q5_0: _streamer(_adder(NIBBLES_AND_BIT, inner_by_16), 320, 256, no_outer),
    Q5_1: _streamer(_adder(NIBBLES_AND_BIT, inner_with_minima), 320, 512, no_outer),
    Q8_0: _streamer(_adder(BYTES, inner_by_128), 512, 256, no_outer),
    Q4_K: _streamer(_adder(NIBBLES, inner_k), 256, 320, outer_k),
    Q5_K: _streamer(_adder(NIBBLES_AND_BIT, inner_k), 320, 320, outer_k),
    Q6_K: _streamer(_add_q6_k, 384, 288, outer_q6),
}


@cache
def _streams(packed: str) -> Any:
    return by_kind({kind: _STREAMS[kind] for kind in TYPES[packed]})


def _stream_panels(isa: Any, tile: Any, w: Any, starts: Any, x: Any, token: int) -> Any:
    """A tile's sums with STREAMS panels, for each of them."""
    raise NotImplementedError  # compiled code only


@overload(_stream_panels)
def _stream(isa: Any, tile: Any, w: Any, starts: Any, x: Any, token: int) -> Any:
    assert isinstance(isa, IsaType)
    stream = _streams(isa.packed)

    def stream_panels(isa: Any, tile: Any, w: Any, starts: Any, x: Any, token: int) -> Any:
        return stream(w[KIND], isa, tile, w, starts, x, token)

    return stream_panels


@njit
def _add_panel(isa: Any, tile: Any, w: Any, opened: Any, x: Any, token: int) -> Any:
    """Add a whole opened panel to a tile."""
    quants, d, m = opened
    if w[KIND] == Q6_K:
        for block in range(w[COLUMNS] // 32):
            halves = token_halves(x, token, block)
            for half in range(2):
                at = 64 * (2 * block + half)
                dm = (load_f32(d + at), load_f32(m + at))
                tile = add_quantized(isa, tile, quants + 4 * at, dm, halves[half], 4)
    else:
        for block in range(w[COLUMNS] // 32):
            dm = (load_f32(d + 64 * block), load_f32(m + 64 * block))
            at = token_block(x, token, block)
            tile = add_quantized(isa, tile, quants + 512 * block, dm, at, 8)
    return tile


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
def write_tile(tile: Any, w: Any, panel: int, y: Any, where: Any) -> None:
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
def _starts(w: Any, panel: int, last: int) -> Any:
    """Addresses of STREAMS panels; what would be after the last one is that once more."""
    at, step = w[ADDRESS], w[PANEL]
    return (
        at + panel * step,
        at + min(panel + 1, last) * step,
        at + min(panel + 2, last) * step,
        at + min(panel + 3, last) * step,
    )


@njit
def _few_tokens(isa: Any, tile: Any, w: Any, span: Any, x: Any, y: Any, where: Any) -> None:
    """Panels span[0] up to span[1] with the tokens of one tile."""
    token = where[0]
    if w[BLOCK_BYTES] == 0:
        for panel in range(span[0], span[1]):
            write_tile(_float_panel(tile, w, panel, x, token), w, panel, y, where)
        return
    for first in range(span[0], span[1], STREAMS):
        panel = first
        for sums in _stream_panels(isa, tile, w, _starts(w, first, span[1] - 1), x, token):
            if panel < span[1]:
                write_tile(sums, w, panel, y, where)
            panel += 1


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
    opened = _open_panel(w, panel, room)
    for token in range(0, tokens, TILE):
        tile = _add_panel(isa, zeros(8), w, opened, x, token)
        write_tile(tile, w, panel, y, (token, min(TILE, tokens - token)))


@njit
def share(index: int, panels: int, threads: int) -> Any:
    """Panels of the index-th piece of work: long runs first, which memory likes, and pairs at the
    end, so that no thread waits long for the last."""
    long = max(STREAMS, panels // (threads * 16) * STREAMS)
    n_long = panels * 7 // 8 // long
    if index < n_long:
        return index * long, (index + 1) * long
    first = n_long * long + 2 * (index - n_long)
    return first, min(first + 2, panels)


def _more_tokens(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    """Panels span[0] up to span[1] with more than FEW tokens."""
    raise NotImplementedError  # compiled code only


@njit
def _floats(w: Any, span: Any, x: Any, y: Any, tokens: int) -> None:
    for panel in range(span[0], span[1]):
        for token in range(0, tokens, TILE):
            tile = _float_panel(zeros(8), w, panel, x, token)
            write_tile(tile, w, panel, y, (token, min(TILE, tokens - token)))


@overload(_more_tokens)
def _more(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> Any:
    assert isinstance(isa, IsaType)

    def by_vectors(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
        if w[BLOCK_BYTES] == 0:
            _floats(w, span, x, y, tokens)
        elif tokens <= TILE:
            _few_tokens(isa, zeros(8), w, span, x, y, (0, tokens))
        else:
            for panel in range(span[0], span[1]):
                _many_tokens(isa, w, panel, x, y, tokens, room)

    def floats_only(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
        _floats(w, span, x, y, tokens)

    return floats_only if isa.variant == AMX else by_vectors


@njit
def linear(isa: Any, team: Any, w: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    """y[token] (+)= w @ x[token] + bias, shared by the team.

    `team` = (control, phase, threads); `w` a row of the model's table; `y` = (address, bytes per
    token, accumulate); `room` = this thread's scratch (bytes, d, m). Where there are AMX tiles, at
    most FEW tokens of packed weights: see tiled_bytes. Token vectors are readable up
    to the next multiple of TILE tokens, and y's rows up to the next multiple of 16 values.
    """
    control, phase, threads = team
    panels = (w[ROWS] + 15) // 16
    while True:
        span = share(take(control, phase, 1), panels, threads)
        if span[0] >= panels:
            return
        if tokens == 1:
            _few_tokens(isa, zeros(1), w, span, x, y, (0, 1))
        elif tokens <= FEW:
            _few_tokens(isa, zeros(4), w, span, x, y, (0, tokens))
        else:
            _more_tokens(isa, w, span, x, y, tokens, room)
