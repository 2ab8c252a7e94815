"""Matrix products of many tokens by AMX tiles: how prompts are read where the processor has them.

A thread takes a group of panels (16 rows of weights each). For every slice of DEPTH blocks of k it
widens the group's weights to bfloat16, which stay in its L2 cache, and walks all tokens over them;
the sums of the group wait in memory between slices.

A token's sums do not depend on the other tokens, nor on how many there are.
"""

from typing import Any

from numba import njit
from numba.extending import overload

from engine.kernels.dot import AMX, BYTES, NIBBLES, NIBBLES_AND_BIT, NIBBLES_AND_PAIR
from engine.kernels.elementwise import silu, swiglu
from engine.kernels.formats import (
    CHUNK,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q8_0,
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
    KIND,
    PANEL,
    ROWS,
    linear,
)
from engine.kernels.team import barrier, take
from engine.kernels.tiles import (
    DEPTH,
    SUMS,
    TILE,
    TOKENS,
    clear_sums,
    configure,
    load_sums,
    multiply,
    release,
    save_sums,
    tile_pairs,
    token_tile,
    widen_block,
)
from engine.kernels.vector import IsaType, load_f32, store, store_bf16

GROUP = 16  # most panels a thread takes at a time
ROOM_WEIGHTS = GROUP * DEPTH * TILE  # bytes of a thread's scratch for widened weights


def sums_bytes(tokens: int) -> int:
    """Bytes of a thread's scratch for the sums of a group."""
    return GROUP // 2 * tile_pairs(tokens) * SUMS


def _widener(packing: int, quants_bytes: int, chunk_bytes: int, outer: Any, inner: Any) -> Any:
    """Widens a slice of one panel of a packed type."""

    @njit
    def widen(quants: int, scales: int, first: int, count: int, out: int) -> None:
        quants += first * quants_bytes
        scales += first // CHUNK * chunk_bytes
        for start in range(0, count, CHUNK):
            shared = outer(scales)
            for block in range(min(CHUNK, count - start)):
                dm = inner(scales, block, shared)
                widen_block(packing, quants, (dm, dm), out)
                quants += quants_bytes
                out += TILE
            scales += chunk_bytes

    return widen


@njit
def _widen_q6_k(quants: int, scales: int, first: int, count: int, out: int) -> None:
    """As `_widener`'s, for the type that has a scale per 16 k."""
    for block in range(first, first + count):
        unit = scales + block // CHUNK * 288
        outer, half = outer_q6(unit), 2 * (block % CHUNK)
        dms = (inner_q6(unit, half, outer), inner_q6(unit, half + 1, outer))
        widen_block(NIBBLES_AND_PAIR, quants + 384 * block, dms, out)
        out += TILE


_widen_q4_0 = _widener(NIBBLES, 256, 256, no_outer, inner_by_8)
_widen_q4_1 = _widener(NIBBLES, 256, 512, no_outer, inner_with_minima)
_widen_q5_0 = _widener(NIBBLES_AND_BIT, 320, 256, no_outer, inner_by_16)
_widen_q5_1 = _widener(NIBBLES_AND_BIT, 320, 512, no_outer, inner_with_minima)
_widen_q8_0 = _widener(BYTES, 512, 256, no_outer, inner_by_128)
_widen_q4_k = _widener(NIBBLES, 256, 320, outer_k, inner_k)
_widen_q5_k = _widener(NIBBLES_AND_BIT, 320, 320, outer_k, inner_k)


@njit
def _widen(w: Any, panel: int, first: int, count: int, out: int) -> None:
    """`count` blocks from number `first` on of one panel, to tiles of weights."""
    kind = w[KIND]
    quants = w[ADDRESS] + panel * w[PANEL]
    scales = quants + w[COLUMNS] // 32 * w[BLOCK_BYTES]
    if kind == Q4_0:
        _widen_q4_0(quants, scales, first, count, out)
    elif kind == Q4_1:
        _widen_q4_1(quants, scales, first, count, out)
    elif kind == Q5_0:
        _widen_q5_0(quants, scales, first, count, out)
    elif kind == Q5_1:
        _widen_q5_1(quants, scales, first, count, out)
    elif kind == Q8_0:
        _widen_q8_0(quants, scales, first, count, out)
    elif kind == Q4_K:
        _widen_q4_k(quants, scales, first, count, out)
    elif kind == Q5_K:
        _widen_q5_k(quants, scales, first, count, out)
    else:
        _widen_q6_k(quants, scales, first, count, out)


@njit
def _multiply_slice(tokens: int, depth: int, weights: int, first: bool, sums: int) -> None:
    """Add a slice of k to the sums of 32 tokens with 32 rows."""
    if first:
        clear_sums()
    else:
        load_sums(sums)
    for block in range(depth):
        at = TILE * block
        left = (tokens + at, tokens + depth * TILE + at)
        multiply(left, (weights + at, weights + DEPTH * TILE + at))
    save_sums(sums)


@njit
def _add_slice(w: Any, group: Any, wide: int, pairs: int, start: int, room: Any) -> None:
    """Widen one slice of a group of panels and add it to the sums of all tokens."""
    first, count = group
    weights, sums = room
    depth = min(DEPTH, w[COLUMNS] // 32 - start)
    for panel in range(count):
        _widen(w, first + panel, start, depth, weights + panel * DEPTH * TILE)
    for pair in range(pairs):
        tokens = wide + (start * pairs + pair * depth) * 2 * TILE
        for panel in range(0, count, 2):
            at = sums + (pair * (GROUP // 2) + panel // 2) * SUMS
            slice_weights = weights + panel * DEPTH * TILE
            _multiply_slice(tokens, depth, slice_weights, start == 0, at)


@njit
def _write_panel(w: Any, panel: int, y: Any, span: Any, sums: int) -> None:
    """One panel's sums, with the bias, to the rows of the tokens they belong to."""
    out, stride, accumulate = y
    for token in range(span[1] - span[0]):
        pair, half = token // (2 * TOKENS), token // TOKENS % 2
        at = sums + pair * (GROUP // 2) * SUMS + 2 * half * TILE + token % TOKENS * 64
        value = load_f32(at)
        if w[BIAS] != 0:
            value = value + load_f32(w[BIAS] + 64 * panel)
        target = out + (span[0] + token) * stride + 64 * panel
        if accumulate:
            value = value + load_f32(target)
        store(target, value)


@njit
def _add_group(w: Any, group: Any, wide: int, pairs: int, room: Any) -> None:
    """The whole sums of a group of panels with all tokens."""
    for start in range(0, w[COLUMNS] // 32, DEPTH):
        _add_slice(w, group, wide, pairs, start, room)


@njit
def linear_tiled(team: Any, w: Any, wide: int, y: Any, span: Any, room: Any) -> None:
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
        count = min(size, panels - first)
        _add_group(w, (first, count), wide, pairs, (room[1], room[2]))
        for panel in range(count):
            at = room[2] + panel // 2 * SUMS + panel % 2 * TILE
            _write_panel(w, first + panel, y, span, at)
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
def gated_tiled(team: Any, gate: Any, up: Any, wide: int, v: Any, span: Any, room: Any) -> None:
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
        _add_group(gate, group, wide, pairs, (room[1], sums[0]))
        _add_group(up, group, wide, pairs, (room[1], sums[1]))
        for panel in range(0, group[1], 2):
            here = (sums[0] + panel // 2 * SUMS, sums[1] + panel // 2 * SUMS)
            _activate(gate, up, (first + panel) // 2, v, span, here)
    release()


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
            linear(isa, team, w, x, y, span[0], (room[0], room[1], room[2]))
        if span[0] < span[1]:
            tiled_room = (room[3], room[4], room[5])
            after = (team[0], team[1] + 1, team[2])
            linear_tiled(after, w, x.wide, y, span, tiled_room)

    return by_both if isa.variant == AMX else by_vectors


def gated(isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any) -> None:
    """v = silu(w[0] @ x) * (w[1] @ x) for all tokens, ready for the next product.

    Takes four phases, and ends with a barrier. `scratch` = (gate, up, bytes per token), float32.
    """
    raise NotImplementedError  # compiled code only


@njit
def _gated_by_vectors(
    isa: Any, team: Any, w: Any, x: Any, room: Any, tokens: int, scratch: Any
) -> None:
    gate, up, row = scratch
    panel = (room[0], room[1], room[2])
    linear(isa, (team[0], team[1], team[2]), w[0], x, (gate, row, False), tokens, panel)
    linear(isa, (team[0], team[1] + 1, team[2]), w[1], x, (up, row, False), tokens, panel)


@overload(gated)
def _gated(isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any) -> Any:
    assert isinstance(isa, IsaType)
    has_tiles = isa.variant == AMX

    def by_vectors(
        isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any
    ) -> None:
        _gated_by_vectors(isa, team, w, x, room, span[1], scratch)
        barrier(team[0], team[2])
        swiglu((team[0], team[1] + 3, team[2]), scratch[0], scratch[1], v, span, span[1])
        barrier(team[0], team[2])

    def by_both(
        isa: Any, team: Any, w: Any, x: Any, room: Any, span: Any, v: Any, scratch: Any
    ) -> None:
        if span[0] > 0:
            _gated_by_vectors(isa, team, w, x, room, span[0], scratch)
        if span[0] < span[1]:
            after, tiled_room = (team[0], team[1] + 2, team[2]), (room[3], room[4], room[5])
            gated_tiled(after, w[0], w[1], x.wide, v, span, tiled_room)
        barrier(team[0], team[2])
        if span[0] > 0:
            swiglu((team[0], team[1] + 3, team[2]), scratch[0], scratch[1], v, span, span[0])
            barrier(team[0], team[2])

    return by_both if has_tiles else by_vectors
