"""Matrix products of many tokens by AMX tiles: how prompts are read where the processor has them.

A thread takes a group of panels (16 rows of weights each). For every slice of DEPTH blocks of k the
group's weights are widened to bfloat16, which stay in the thread's L2 cache, and all tokens walk
over them; meanwhile the next slice is widened, for a tile unit leaves the vectors idle. The sums of
the group wait in memory between slices.

A token's sums do not depend on the other tokens, nor on how many there are.
"""

from functools import cache
from typing import Any

from numba import njit
from numba.extending import overload

from engine.kernels.dot import AMX, BYTES, NIBBLES, NIBBLES_AND_BIT, NIBBLES_AND_PAIR, TOKENS
from engine.kernels.elementwise import silu, swiglu
from engine.kernels.formats import (
    CHUNK,
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
    BIAS,
    BLOCK_BYTES,
    COLUMNS,
    FEW,
    KIND,
    PANEL,
    ROWS,
    linear,
)
from engine.kernels.team import barrier, take
from engine.kernels.tiled_bytes import linear_tiled_bytes
from engine.kernels.tiles import (
    AHEAD,
    DEPTH,
    SUMS,
    TILE,
    clear_sums,
    configure,
    load_sums,
    multiply,
    multiply_and_widen,
    release,
    save_sums,
    tile_pairs,
    token_tile,
    widen_block,
)
from engine.kernels.vector import IsaType, load_f32, store, store_bf16

GROUP = 16  # most panels a thread takes at a time
ROOM_WEIGHTS = 2 * GROUP * DEPTH * TILE  # bytes of a thread's scratch for widened weights


def sums_bytes(tokens: int) -> int:
    """Bytes of a thread's scratch for the sums of a group."""
    return GROUP // 2 * tile_pairs(tokens) * SUMS


@njit
def _scales_q6_k(scales: int, block: int) -> Any:
    unit, half = scales + block // CHUNK * 288, 2 * (block % CHUNK)
    outer = outer_q6(unit)
    return inner_q6(unit, half, outer), inner_q6(unit, half + 1, outer)


def _scales(chunk_bytes: int, outer: Any, inner: Any) -> Any:
    """(d, m) of both halves of a block, for a type that has one for both."""

    @njit(inline="always")
    def scales_of(scales: int, block: int) -> Any:
        unit = scales + block // CHUNK * chunk_bytes
        dm = inner(unit, block % CHUNK, outer(unit))
        return dm, dm

    return scales_of


def _adder(packing: int, quants_bytes: int, scales_of: Any) -> Any:
    """Adds a slice of a group of panels of one packed type to the sums of all tokens.

    Blocks to widen are a `task`: (first panel, first block, blocks of each panel, address of the
    tiles); number n of it is block n % blocks of panel n // blocks.

    Inlined where vectors would be handed over in memory, in the middle of the tiles' work.
    """

    @njit(inline="always")
    def widening(w: Any, task: Any, number: int) -> Any:
        """What one block of a task is widened from and to: (quants, scales, tile)."""
        panel, block = number // task[2], number % task[2]
        quants = w[ADDRESS] + (task[0] + panel) * w[PANEL]
        scales = scales_of(quants + w[COLUMNS] // 32 * w[BLOCK_BYTES], task[1] + block)
        out = task[3] + (panel * DEPTH + block) * TILE
        return quants + (task[1] + block) * quants_bytes, scales, out

    @njit
    def widen(w: Any, task: Any, done: int, todo: int) -> None:
        for number in range(done, todo):
            quants, scales, out = widening(w, task, number)
            widen_block(packing, quants, scales, out)

    @njit(inline="always")
    def multiply_slice(
        w: Any, task: Any, done: int, todo: int, tokens: int, rows: int, depth: int
    ) -> int:
        """32 tokens with two panels, and as much of the task as fits beside it."""
        at = 0
        while at + AHEAD * TILE <= depth * TILE and done < todo:
            left = (tokens + at, tokens + depth * TILE + at)
            right = (rows + at, rows + DEPTH * TILE + at)
            quants, scales, out = widening(w, task, done)
            multiply_and_widen(left, right, packing, quants, scales, out)
            at += AHEAD * TILE
            done += 1
        while at < depth * TILE:
            left = (tokens + at, tokens + depth * TILE + at)
            multiply(left, (rows + at, rows + DEPTH * TILE + at))
            at += TILE
        return done

    @njit
    def add(w: Any, group: Any, wide: int, pairs: int, start: int, rooms: Any, sums: int) -> None:
        """`rooms`: widened tiles of this slice, made here if it is the first; and of the next."""
        first, count = group
        left = w[COLUMNS] // 32 - start
        depth, ahead = min(DEPTH, left), max(0, min(DEPTH, left - DEPTH))
        task, done, todo = (first, start + DEPTH, ahead, rooms[1]), 0, count * ahead
        if start == 0:
            widen(w, (first, start, depth, rooms[0]), 0, count * depth)
        for pair in range(pairs):
            tokens = wide + (start * pairs + pair * depth) * 2 * TILE
            for panel in range(0, count, 2):
                at = sums + (pair * (GROUP // 2) + panel // 2) * SUMS
                rows = rooms[0] + panel * DEPTH * TILE
                if start == 0:
                    clear_sums()
                else:
                    load_sums(at)
                done = multiply_slice(w, task, done, todo, tokens, rows, depth)
                save_sums(at)
        widen(w, task, done, todo)

    return add


_ADDERS = {
    Q4_0: _adder(NIBBLES, 256, _scales(256, no_outer, inner_by_8)),
    Q4_1: _adder(NIBBLES, 256, _scales(512, no_outer, inner_with_minima)),
    Q5_0: _adder(NIBBLES_AND_BIT, 320, _scales(256, no_outer, inner_by_16)),
    Q5_1: _adder(NIBBLES_AND_BIT, 320, _scales(512, no_outer, inner_with_minima)),
    Q8_0: _adder(BYTES, 512, _scales(256, no_outer, inner_by_128)),
    Q4_K: _adder(NIBBLES, 256, _scales(320, outer_k, inner_k)),
    Q5_K: _adder(NIBBLES_AND_BIT, 320, _scales(320, outer_k, inner_k)),
    Q6_K: _adder(NIBBLES_AND_PAIR, 384, _scales_q6_k),
}


@cache
def _adders(packed: str) -> Any:
    return by_kind({kind: _ADDERS[kind] for kind in TYPES[packed]})


@njit
def _write_group(w: Any, group: Any, y: Any, span: Any, sums: int) -> None:
    """A group's sums, with the bias, to the rows of the tokens they belong to.

    Token by token: their rows lie pages apart.
    """
    out, stride, accumulate = y
    first, count = group
    for token in range(span[1] - span[0]):
        pair, half = token // (2 * TOKENS), token // TOKENS % 2
        row = sums + pair * (GROUP // 2) * SUMS + 2 * half * TILE + token % TOKENS * 64
        target = out + (span[0] + token) * stride + 64 * first
        for panel in range(count):
            value = load_f32(row + panel // 2 * SUMS + panel % 2 * TILE)
            if w[BIAS] != 0:
                value = value + load_f32(w[BIAS] + 64 * (first + panel))
            if accumulate:
                value = value + load_f32(target + 64 * panel)
            store(target + 64 * panel, value)


def _add_group(isa: Any, w: Any, group: Any, wide: int, pairs: int, room: Any) -> None:
    """The whole sums of a group of panels with all tokens."""
    raise NotImplementedError  # compiled code only


@overload(_add_group)
def _add_slices(isa: Any, w: Any, group: Any, wide: int, pairs: int, room: Any) -> Any:
    assert isinstance(isa, IsaType)
    add = _adders(isa.packed)

    def add_group(isa: Any, w: Any, group: Any, wide: int, pairs: int, room: Any) -> None:
        here, spare = room[0], room[0] + ROOM_WEIGHTS // 2
        for start in range(0, w[COLUMNS] // 32, DEPTH):
            add(w[KIND], w, group, wide, pairs, start, (here, spare), room[1])
            here, spare = spare, here

    return add_group


@njit
def linear_tiled(isa: Any, team: Any, w: Any, wide: int, y: Any, span: Any, room: Any) -> None:
    """y[token] (+)= w @ x[token] + bias for tokens span[0] up to span[1], shared by the team.

    `wide`: address of their vectors, see `token_tile`. `room` = (configuration, weights, sums),
    addresses of this thread's scratch. `team`, `w`, `y` as of `linear`; packed weights only.
    """
    control, phase, threads = team
    panels = (w[ROWS] + 15) // 16
    size = max(2, min(GROUP, panels // (4 * threads) // 2 * 2))
    pairs = tile_pairs(span[1] - span[0])
    configure(room[0])
    while True:
        first = take(control, phase, size)
        if first >= panels:
            break
        group = (first, min(size, panels - first))
        _add_group(isa, w, group, wide, pairs, (room[1], room[2]))
        _write_group(w, group, y, span, room[2])
    release()


@njit
def _activate(gate: Any, up: Any, block: int, v: Any, span: Any, sums: Any) -> None:
    """Two panels' worth of silu(gate) * up, to the tiles of the tokens they belong to."""
    tokens = span[1] - span[0]
    for token in range(tokens):
        pair, half = token // (2 * TOKENS), token // TOKENS % 2
        row = pair * (GROUP // 2) * SUMS + 2 * half * TILE + token % TOKENS * 64
        at = v.wide + token_tile(tokens, v.k // 32, token, block)
        for panel in range(2):
            g, u = load_f32(sums[0] + row + panel * TILE), load_f32(sums[1] + row + panel * TILE)
            if gate[BIAS] != 0:
                g = g + load_f32(gate[BIAS] + 64 * (2 * block + panel))
            if up[BIAS] != 0:
                u = u + load_f32(up[BIAS] + 64 * (2 * block + panel))
            store_bf16(at + 32 * panel, silu(g) * u)


@njit
def gated_tiled(
    isa: Any, team: Any, gate: Any, up: Any, wide: int, v: Any, span: Any, room: Any
) -> None:
    """silu(gate @ x) * (up @ x) of tokens span[0] up to span[1], to the tiles of `v`.

    In one go: the two products are several times larger than what comes of them, and would be
    written to memory and read again. `team`, `wide` and `room` as of `linear_tiled`.
    """
    control, phase, threads = team
    panels = gate[ROWS] // 16
    size = max(2, min(GROUP // 2, panels // (4 * threads) // 2 * 2))
    pairs = tile_pairs(span[1] - span[0])
    sums = (room[2], room[2] + GROUP // 4 * SUMS)
    configure(room[0])
    while True:
        first = take(control, phase, size)
        if first >= panels:
            break
        group = (first, min(size, panels - first))
        _add_group(isa, gate, group, wide, pairs, (room[1], sums[0]))
        _add_group(isa, up, group, wide, pairs, (room[1], sums[1]))
        for panel in range(0, group[1], 2):
            here = (sums[0] + panel // 2 * SUMS, sums[1] + panel // 2 * SUMS)
            _activate(gate, up, (first + panel) // 2, v, span, here)
    release()


@njit
def _few_tokens(isa: Any, team: Any, w: Any, x: Any, y: Any, tokens: int, room: Any) -> None:
    """`linear`, where there are tiles: to the same bits, by those where they are faster."""
    if tokens > FEW and w[BLOCK_BYTES] > 0:
        linear_tiled_bytes(isa, team, w, x, y, tokens, (room[3], room[0], room[4]))
    else:
        linear(isa, team, w, x, y, tokens, (room[0], room[1], room[2]))


def product(isa: Any, team: Any, w: Any, x: Any, y: Any, span: Any, room: Any) -> None:
    """y[token] (+)= w @ x[token] + bias: `linear` for the first span[0] of span[1] tokens.

    The others, of which there are only if `isa` has tiles and all weights are packed, go by those.
    The team's phase and the
    one after it are this product's. `room` = (bytes, d, m, configuration, weights, sums).
    """
    raise NotImplementedError  # compiled code only


@overload(product)
def _product(isa: Any, team: Any, w: Any, x: Any, y: Any, span: Any, room: Any) -> Any:
    assert isinstance(isa, IsaType)

    def by_vectors(isa: Any, team: Any, w: Any, x: Any, y: Any, span: Any, room: Any) -> None:
        linear(isa, team, w, x, y, span[1], (room[0], room[1], room[2]))

    def by_both(isa: Any, team: Any, w: Any, x: Any, y: Any, span: Any, room: Any) -> None:
        if span[0] > 0:
            _few_tokens(isa, team, w, x, y, span[0], room)
        if span[0] < span[1]:
            tiled_room = (room[3], room[4], room[5])
            after = (team[0], team[1] + 1, team[2])
            linear_tiled(isa, after, w, x.wide, y, span, tiled_room)

    return by_both if isa.variant == AMX else by_vectors


def gated(isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any) -> None:
    """v = silu(w[0] @ x) * (w[1] @ x) for all tokens, ready for the next product.

    Takes four phases, and ends with a barrier. `scratch` = (gate, up, bytes per token), float32.
    """
    raise NotImplementedError  # compiled code only


def _both(multiply: Any) -> Any:
    """Gate and up of the same tokens, each by a product such as `linear`."""

    @njit
    def both(isa: Any, team: Any, w: Any, x: Any, room: Any, tokens: int, scratch: Any) -> None:
        gate, up, row = scratch
        multiply(isa, (team[0], team[1], team[2]), w[0], x, (gate, row, False), tokens, room)
        multiply(isa, (team[0], team[1] + 1, team[2]), w[1], x, (up, row, False), tokens, room)

    return both


_gated_by_vectors, _gated_few = _both(linear), _both(_few_tokens)


@overload(gated)
def _gated(isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any) -> Any:
    assert isinstance(isa, IsaType)
    has_tiles = isa.variant == AMX

    def by_vectors(
        isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any
    ) -> None:
        _gated_by_vectors(isa, team, w, x, (room[0], room[1], room[2]), span[1], scratch)
        barrier(team[0], team[2])
        swiglu((team[0], team[1] + 3, team[2]), scratch[0], scratch[1], v, span, span[1])
        barrier(team[0], team[2])

    def by_both(
        isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any
    ) -> None:
        if span[0] > 0:
            _gated_few(isa, team, w, x, room, span[0], scratch)
        if span[0] < span[1]:
            after, tiled_room = (team[0], team[1] + 2, team[2]), (room[3], room[4], room[5])
            gated_tiled(isa, after, w[0], w[1], x.wide, v, span, tiled_room)
        barrier(team[0], team[2])
        if span[0] > 0:
            swiglu((team[0], team[1] + 3, team[2]), scratch[0], scratch[1], v, span, span[0])
            barrier(team[0], team[2])

    return by_both if has_tiles else by_vectors
