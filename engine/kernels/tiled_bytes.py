"""Matrix products of a few tokens by AMX tiles of bytes: answers beside each other, guesses, and
short prompts.

In steps, each two neighbouring runs of k that have scales of their own: 32 k, or 16 in Q6_K. A
step is opened to bytes, multiplied in the tile unit, and its integer products are scaled and added
to the tokens' sums. A processor does these three for three neighbouring steps at the same time.

The integers are those of `linear`, and the additions are in its order: a token gets the same bits.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from engine.kernels.dot import (
    BYTES,
    NIBBLES,
    NIBBLES_AND_BIT,
    NIBBLES_AND_PAIR,
    TILE,
    TOKENS,
    add_products,
    open_block,
    zeros,
)
from engine.kernels.formats import (
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
    outer_k,
    outer_q6,
)
from engine.kernels.linear import (
    ADDRESS,
    BLOCK_BYTES,
    COLUMNS,
    KIND,
    LOOKAHEAD,
    PANEL,
    ROWS,
    ask,
    share,
    token_block,
    token_halves,
    write_tile,
)
from engine.kernels.team import take
from engine.kernels.tiles import TILE as TILE_BYTES
from engine.kernels.tiles import configure, for_bytes, multiply_one, multiply_two, release
from engine.kernels.vector import IsaType, copy_16, splat_f32, store

_OPENED = 1024  # bytes of a step's opened weights
_RING = 4  # steps whose weights and products are kept, a power of two
_LAG = 2  # steps from opening to adding
ROOM = 2 * _RING * (_OPENED + TILE_BYTES)  # bytes of a thread's scratch


def _simple_steps(packing: int, quants_bytes: int, chunk_bytes: int, outer: Any, inner: Any) -> Any:
    """How a step of one packed type is opened, and its products added."""

    @njit(inline="always")
    def open_step(quants: int, whole: bool, out: int) -> None:
        open_block(packing, quants, out)
        second = quants + quants_bytes if whole else quants  # what comes of it is not added
        open_block(packing, second, out + _OPENED // 2)

    @njit(inline="always")
    def add_step(tile: Any, scales: Any, step: int, whole: bool, x: Any, sums: Any) -> Any:
        unit, block = scales[0] + (step >> 2) * chunk_bytes, 2 * step
        if step & 3 == 0:
            ask(unit + scales[1], chunk_bytes)
        shared = outer(unit)
        at = token_block(x[0], x[1], block)
        tile = add_products(tile, sums[0], inner(unit, block & 7, shared), at)
        if whole:
            at = token_block(x[0], x[1], block + 1)
            tile = add_products(tile, sums[1], inner(unit, (block & 7) + 1, shared), at)
        return tile

    return _streams_of(32, 2 * quants_bytes, open_step, add_step)


@njit(inline="always")
def _open_q6_k(quants: int, _whole: bool, out: int) -> None:
    open_block(NIBBLES_AND_PAIR, quants, out)


@njit(inline="always")
def _add_q6_k(tile: Any, scales: Any, step: int, _whole: bool, x: Any, sums: Any) -> Any:
    unit, half = scales[0] + (step >> 3) * 288, 2 * (step & 7)
    if step & 7 == 0:
        ask(unit + scales[1], 288)
    outer = outer_q6(unit)
    first, second = token_halves(x[0], x[1], step)
    tile = add_products(tile, sums[0], inner_q6(unit, half, outer), first)
    return add_products(tile, sums[1], inner_q6(unit, half + 1, outer), second)


def _streams_of(run: int, step_bytes: int, open_step: Any, add_step: Any) -> Any:
    """The kernels of one packed type: two panels with 8 tokens, and one with 16.

    `open_step(quants, whole, out)`; `add_step(tile, (scales, bytes ahead to ask for), step, whole,
    (vectors, token), sums of both runs)`. The last step is not `whole` if it has one run only.
    """
    stride, second = 2 * run, 32 * TOKENS if run == 32 else run

    @njit
    def stream_two(w: Any, panels: Any, x: Any, apart: int, room: int) -> Any:
        one, two = zeros(8), zeros(8)
        runs = w[COLUMNS] // run
        steps = (runs + 1) // 2
        a, b = w[ADDRESS] + panels[0] * w[PANEL], w[ADDRESS] + panels[1] * w[PANEL]
        quants_bytes = w[COLUMNS] // 32 * w[BLOCK_BYTES]
        a_scales, b_scales = (a + quants_bytes, 2 * w[PANEL]), (b + quants_bytes, 2 * w[PANEL])
        for step in range(steps + _LAG):
            if step < steps:
                here, whole = room + (step & 3) * 2 * _OPENED, 2 * step + 1 < runs
                ask(a + LOOKAHEAD, step_bytes)
                ask(b + LOOKAHEAD, step_bytes)
                open_step(a, whole, here)
                open_step(b, whole, here + _OPENED)
                a, b = a + step_bytes, b + step_bytes
            now = step - 1
            if now >= 0 and now < steps:
                here = room + (now & 3) * 2 * _OPENED
                out = room + 2 * (_RING * _OPENED + (now & 3) * TILE_BYTES)
                if now & 1 == 0:
                    multiply_two(0, stride, apart + now * 32 * run, here, out)
                else:
                    multiply_two(1, stride, apart + now * 32 * run, here, out)
            now = step - _LAG
            if now >= 0:
                out = room + 2 * (_RING * _OPENED + (now & 3) * TILE_BYTES)
                whole, half = 2 * now + 1 < runs, TILE_BYTES // 2
                one = add_step(one, a_scales, now, whole, (x, 0), (out, out + half))
                out += TILE_BYTES
                two = add_step(two, b_scales, now, whole, (x, 0), (out, out + half))
        return one, two

    @njit
    def stream_one(w: Any, panel: int, x: Any, token: int, room: int) -> Any:
        tile = zeros(16)
        runs = w[COLUMNS] // run
        steps = (runs + 1) // 2
        quants = w[ADDRESS] + panel * w[PANEL]
        scales = (quants + w[COLUMNS] // 32 * w[BLOCK_BYTES], w[PANEL])
        tokens = token_block(x, token, 0)[0]
        for step in range(steps + _LAG):
            if step < steps:
                ask(quants + LOOKAHEAD, step_bytes)
                open_step(quants, 2 * step + 1 < runs, room + (step & 3) * _OPENED)
                quants += step_bytes
            now = step - 1
            if now >= 0 and now < steps:
                here = room + (now & 3) * _OPENED
                out = room + _RING * _OPENED + (now & 3) * 2 * TILE_BYTES
                at = tokens + now * 32 * run
                other = at + second if 2 * now + 1 < runs else at
                if now & 1 == 0:
                    multiply_one(0, 32, at, here, out)
                    multiply_one(1, 32, other, here + 16 * run, out + TILE_BYTES)
                else:
                    multiply_one(2, 32, at, here, out)
                    multiply_one(3, 32, other, here + 16 * run, out + TILE_BYTES)
            now = step - _LAG
            if now >= 0:
                out = room + _RING * _OPENED + (now & 3) * 2 * TILE_BYTES
                sums = (out, out + TILE_BYTES)
                tile = add_step(tile, scales, now, 2 * now + 1 < runs, (x, token), sums)
        return tile

    return stream_two, stream_one


_STREAMS = {
    Q4_0: _simple_steps(NIBBLES, 256, 256, no_outer, inner_by_8),
    Q4_1: _simple_steps(NIBBLES, 256, 512, no_outer, inner_with_minima),
    Q5_0: _simple_steps(NIBBLES_AND_BIT, 320, 256, no_outer, inner_by_16),
    Q5_1: _simple_steps(NIBBLES_AND_BIT, 320, 512, no_outer, inner_with_minima),
    Q8_0: _simple_steps(BYTES, 512, 256, no_outer, inner_by_128),
    Q4_K: _simple_steps(NIBBLES, 256, 320, outer_k, inner_k),
    Q5_K: _simple_steps(NIBBLES_AND_BIT, 320, 320, outer_k, inner_k),
    Q6_K: _streams_of(16, 384, _open_q6_k, _add_q6_k),
}


@cache
def _streams(packed: str, which: int) -> Any:
    return by_kind({kind: _STREAMS[kind][which] for kind in TYPES[packed]})


def _stream_two(isa: Any, w: Any, panels: Any, x: Any, apart: int, room: int) -> Any:
    """The sums of two panels with 8 tokens, which `_lay_apart` laid at `apart`."""
    raise NotImplementedError  # compiled code only


@overload(_stream_two)
def _two(isa: Any, w: Any, panels: Any, x: Any, apart: int, room: int) -> Any:
    assert isinstance(isa, IsaType)
    stream = _streams(isa.packed, 0)

    def stream_two(isa: Any, w: Any, panels: Any, x: Any, apart: int, room: int) -> Any:
        return stream(w[KIND], w, panels, x, apart, room)

    return stream_two


def _stream_one(isa: Any, w: Any, panel: int, x: Any, token: int, room: int) -> Any:
    """The sums of a panel with 16 tokens."""
    raise NotImplementedError  # compiled code only


@overload(_stream_one)
def _one(isa: Any, w: Any, panel: int, x: Any, token: int, room: int) -> Any:
    assert isinstance(isa, IsaType)
    stream = _streams(isa.packed, 1)

    def stream_one(isa: Any, w: Any, panel: int, x: Any, token: int, room: int) -> Any:
        return stream(w[KIND], w, panel, x, token, room)

    return stream_one


@njit
def _lay_apart(x: Any, run: int, out: int) -> None:
    """The first 8 tokens as a tile for each step, so that one product has the sums of both runs.

    The runs lie in a diagonal with zeros beside it: 8 rows of tokens with the first, 8 with the
    second.
    """
    nothing = splat_f32(np.float32(0))
    for at in range(0, 16 * x.k, 64):
        store(out + at, nothing)
    for number in range(x.k // run):
        source = token_block(x, 0, number * run // 32)[0] + number * run % 32
        row = out + number // 2 * 32 * run + number % 2 * (2 * run * TILE + run)
        for token in range(TILE):
            for part in range(0, run, 16):
                copy_16(source + 32 * token + part, row + 2 * run * token + part)


@njit
def _few_tokens(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    for panel in range(span[0], span[1], 2):
        second = min(panel + 1, span[1] - 1)  # the last alone is done twice
        one, two = _stream_two(isa, w, (panel, second), x, room[1], room[2])
        write_tile(one, w, panel, y, (0, tokens))
        if second > panel:
            write_tile(two, w, second, y, (0, tokens))


@njit
def _more_tokens(isa: Any, w: Any, span: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    for panel in range(span[0], span[1]):
        for token in range(0, tokens, TOKENS):
            tile = _stream_one(isa, w, panel, x, token, room[2])
            write_tile(tile, w, panel, y, (token, min(TOKENS, tokens - token)))


@njit
def linear_tiled_bytes(isa: Any, team: Any, w: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    """As `linear`, to the same bits, of packed weights.

    `room` = (configuration, 16 bytes for each k of whole steps, ROOM bytes), addresses of this
    thread's scratch.
    """
    control, phase, threads = team
    panels, run = (w[ROWS] + 15) // 16, 16 if w[KIND] == Q6_K else 32
    if tokens <= TILE:
        _lay_apart(x, run, room[1])
        configure(room[0] + for_bytes(2 * run))
    else:
        configure(room[0] + for_bytes(run))
    while True:
        span = share(take(control, phase, 1), panels, threads)
        if span[0] >= panels:
            break
        if tokens <= TILE:
            _few_tokens(isa, w, span, x, y, tokens, room)
        else:
            _more_tokens(isa, w, span, x, y, tokens, room)
    release()
