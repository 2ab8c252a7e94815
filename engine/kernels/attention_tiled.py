"""Attention of prompts by AMX tiles: tokens of a sequence against what is cached of it.

A unit of work is up to 32 tokens that follow each other, with query heads that share a KV head.
Its context is walked in slices of DEEP positions, whose keys and values are widened to bfloat16
tiles in the thread's L2 cache, and all the heads go over them. Each token keeps its largest score
so far, and its sums relative to that: M. Milakov, N. Gimelshein, Online normalizer calculation for
softmax, 2018.

A token's bits depend neither on its neighbours nor on how a prompt is cut: slices begin at fixed
positions, sums run in the order of positions, and what a token may not see adds zeros.
"""

from collections import namedtuple
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from engine.kernels.attention import PAGE, block_address
from engine.kernels.dot import AMX, TOKENS
from engine.kernels.elementwise import exp
from engine.kernels.formats import F16, F32
from engine.kernels.team import take
from engine.kernels.tiles import (
    SUMS,
    TILE,
    clear_sums,
    configure,
    load_sums,
    multiply,
    pair_rows,
    release,
    save_sums,
)
from engine.kernels.vector import (
    IsaType,
    fma,
    lanes_below,
    load_f16,
    load_f32,
    load_i8,
    maximum,
    reduce_max,
    reduce_sum,
    scalar_f16,
    splat_f32,
    store,
    store_bf16,
)

DEEP = 512  # positions of a slice
UNIT_TOKENS = 2 * TOKENS

# A unit: its segment (row of the page table), its first query head and how many, its first token
# in the batch and how many, and that token's position.
SEGMENT, HEAD, HEADS, TOKEN, COUNT, POSITION = range(6)
UNIT_FIELDS = 6

# Addresses in a thread's scratch. Tiles of a slice: keys [16 positions][32 dims], values
# [32 positions][16 dims]; of a head: queries [16 tokens][32 dims], scores as sums of 32 tokens
# with 32 positions, weights [32 positions][16 tokens]. `heads`: what each head of the unit keeps
# between slices, for each token its largest score and its sum of exponentials, 64 bytes both, then
# its sums of values [32 dims].
_Room = namedtuple("_Room", "keys values queries scores weights heads by_head")

_STATE = 128 * UNIT_TOKENS


def room_bytes(head_dim: int, heads: int) -> int:
    """A thread's scratch for units of so many heads."""
    room = _room.py_func(0, head_dim)
    return int(room.heads + heads * room.by_head)


@njit
def _room(start: int, head_dim: int) -> Any:
    keys = start
    values = keys + 2 * DEEP * head_dim
    queries = values + 2 * DEEP * head_dim
    scores = queries + 2 * UNIT_TOKENS * head_dim
    weights = scores + DEEP // 32 * SUMS
    heads = weights + DEEP // 32 * 2 * TILE
    return _Room(keys, values, queries, scores, weights, heads, _STATE + head_dim // 32 * SUMS)


@njit
def _widen(kind: int, source: int, scales: int, by_row: bool, out: int) -> None:
    """32 rows of 16 cached values to a tile. 8-bit ones have a scale a column, or `by_row`."""
    for row in range(0, 32, 2):
        at = out + 32 * row
        if kind == F16:
            pair_rows(load_f16(source + 32 * row), load_f16(source + 32 * row + 32), at)
        elif kind == F32:
            pair_rows(load_f32(source + 64 * row), load_f32(source + 64 * row + 64), at)
        elif by_row:
            first, second = scalar_f16(scales + 2 * row), scalar_f16(scales + 2 * row + 2)
            first_row = load_i8(source + 16 * row) * splat_f32(first)
            pair_rows(first_row, load_i8(source + 16 * row + 16) * splat_f32(second), at)
        else:
            scale = load_f16(scales)
            first_row = load_i8(source + 16 * row) * scale
            pair_rows(first_row, load_i8(source + 16 * row + 16) * scale, at)


@njit
def _widen_slice(h: Any, where: Any, start: int, blocks: int, room: Any) -> None:
    """Keys and values of so many times 32 positions from `start` on."""
    pages, layer, kv_head = where
    dims, size = h.head_dim // 32, PAGE * h.head_dim * h.width // 16
    for block in range(blocks):
        page, slot = pages[(start + 32 * block) // PAGE], 32 * block % PAGE
        keys = block_address(page, h, layer, kv_head, 0)
        values = block_address(page, h, layer, kv_head, 1)
        for d in range(dims):
            for half in range(2):
                part = slot // 16 + half
                source = keys + (part * h.head_dim + 32 * d) * h.width
                scales = keys + size + 32 * (part * dims + d)
                out = room.keys + ((2 * block + half) * dims + d) * TILE
                _widen(h.kind, source, scales, False, out)
                source = values + ((2 * d + half) * PAGE + slot) * h.width
                scales = values + size + 2 * (PAGE * d + slot)
                out = room.values + ((dims * block + d) * 2 + half) * TILE
                _widen(h.kind, source, scales, True, out)


@njit
def _widen_queries(h: Any, query: Any, count: int, room: Any) -> None:
    """One head's of so many tokens; `query` = (address, bytes a token)."""
    dims = h.head_dim // 32
    for token in range(count):
        source = query[0] + query[1] * token
        out = room.queries + token // TOKENS * dims * TILE + token % TOKENS * 64
        for d in range(dims):
            store_bf16(out + d * TILE, load_f32(source + 128 * d))
            store_bf16(out + d * TILE + 32, load_f32(source + 128 * d + 64))


@njit
def _score(h: Any, blocks: int, room: Any) -> None:
    """Products of the head's queries with the keys of the slice."""
    dims = h.head_dim // 32
    for block in range(blocks):
        keys = room.keys + 2 * block * dims * TILE
        clear_sums()
        for at in range(0, dims * TILE, TILE):
            tokens = (room.queries + at, room.queries + dims * TILE + at)
            multiply(tokens, (keys + at, keys + dims * TILE + at))
        save_sums(room.scores + block * SUMS)


@njit
def _largest(row: int, blocks: int, seen: int, scale: Any) -> float:
    """Of a token's scores of the slice, which are scaled, and masked but for the first `seen`."""
    largest = splat_f32(np.float32(-np.inf))
    for block in range(blocks):
        for half in range(2):
            at = row + block * SUMS + half * TILE
            value = lanes_below(load_f32(at) * scale, seen - 32 * block - 16 * half)
            store(at, value)
            largest = maximum(largest, value)
    return reduce_max(largest)


@njit
def _weigh(row: int, blocks: int, top: Any, out: int) -> Any:
    """Exponentials of a token's scores less the largest, to the tiles; lanes of their sum."""
    total = splat_f32(np.float32(0))
    for block in range(blocks):
        for half in range(2):
            weight = exp(load_f32(row + block * SUMS + half * TILE) - top)
            total = total + weight
            store_bf16(out + block * 2 * TILE + 32 * half, weight)
    return total


@njit
def _scale_sums(sums: int, dims: int, factor: Any) -> None:
    """A token's sums of values."""
    for d in range(dims):
        for half in range(2):
            at = sums + d * SUMS + half * TILE
            store(at, load_f32(at) * factor)


@njit
def _by_token(token: int) -> int:
    """Where in sums of 32 tokens with 32 others those of one begin."""
    return token // TOKENS * 2 * TILE + token % TOKENS * 64


@njit
def _softmax(h: Any, span: Any, count: int, blocks: int, room: Any, head: int) -> None:
    """Weights of the slice for the tokens of a head, whose sums so far are brought in line.

    `span` = (first position of the slice, position of the first token).
    """
    start, position = span
    scale = splat_f32(np.float32(1.0 / np.sqrt(np.float64(h.head_dim))))
    for token in range(count):
        row, state = room.scores + _by_token(token), head + 128 * token
        out = room.weights + token // TOKENS * TILE + token % TOKENS * 64
        top = splat_f32(_largest(row, blocks, position + token + 1 - start, scale))
        if start == 0:
            total = _weigh(row, blocks, top, out)
        else:
            top = maximum(load_f32(state), top)
            factor = exp(load_f32(state) - top)
            total = fma(load_f32(state + 64), factor, _weigh(row, blocks, top, out))
            _scale_sums(head + _STATE + _by_token(token), h.head_dim // 32, factor)
        store(state, top)
        store(state + 64, total)


@njit
def _add_values(h: Any, start: int, blocks: int, room: Any, head: int) -> None:
    """Add the slice's values times the weights of a head's tokens to their sums."""
    dims = h.head_dim // 32
    for d in range(dims):
        at = head + _STATE + d * SUMS
        if start == 0:
            clear_sums()
        else:
            load_sums(at)
        for block in range(blocks):
            weights = room.weights + block * 2 * TILE
            values = room.values + (dims * block + d) * 2 * TILE
            multiply((weights, weights + TILE), (values, values + TILE))
        save_sums(at)


@njit
def _write(h: Any, count: int, head: int, out: int) -> None:
    """A head's attention from its sums; `out` float32 [token][heads][head_dim]."""
    for token in range(count):
        # Divided as vectors: a scalar division by the 0 of a damaged row would raise.
        total = splat_f32(reduce_sum(load_f32(head + 128 * token + 64)))
        inverse = splat_f32(np.float32(1)) / total
        sums = head + _STATE + _by_token(token)
        for d in range(h.head_dim // 32):
            at = out + 4 * h.heads * h.head_dim * token + 128 * d
            store(at, load_f32(sums + d * SUMS) * inverse)
            store(at + 64, load_f32(sums + d * SUMS + TILE) * inverse)


@njit
def _attend_unit(unit: Any, h: Any, where: Any, qkv: Any, out: int, room: Any) -> None:
    count, position = unit[COUNT], unit[POSITION]
    end, width = position + count, 4 * h.head_dim
    query = qkv[0] + unit[TOKEN] * qkv[1] + unit[HEAD] * width
    for start in range(0, end, DEEP):
        blocks = (min(DEEP, end - start) + 31) // 32
        _widen_slice(h, where, start, blocks, room)
        for i in range(unit[HEADS]):
            head = room.heads + room.by_head * i
            _widen_queries(h, (query + width * i, qkv[1]), count, room)
            _score(h, blocks, room)
            _softmax(h, (start, position), count, blocks, room, head)
            _add_values(h, start, blocks, room, head)
    target = out + (unit[TOKEN] * h.heads + unit[HEAD]) * width
    for i in range(unit[HEADS]):
        _write(h, count, room.heads + room.by_head * i, target + width * i)


@njit
def attend_tiled(
    team: Any, work: Any, h: Any, layer: int, pages: Any, qkv: Any, out: int, scratch: Any
) -> None:
    """Attention of all units. `work` = (units, count); `out` is float32 [token][heads][head_dim].

    `pages` int64 [segment][pages of the context]; `qkv` = (address, bytes a token); `scratch` =
    addresses of the tiles' configuration and of this thread's room, see `room_bytes`.
    """
    control, phase, _ = team
    units, count = work
    room = _room(scratch[1], h.head_dim)
    configure(scratch[0])
    while True:
        index = take(control, phase, 1)
        if index >= count:
            break
        unit = units[index]
        where = (pages[unit[SEGMENT]], layer, unit[HEAD] // (h.heads // h.kv_heads))
        _attend_unit(unit, h, where, qkv, out, room)
    release()


def attend_long(
    isa: Any, team: Any, work: Any, h: Any, layer: int, pages: Any, qkv: Any, out: int, scratch: Any
) -> None:
    """`attend_tiled` where the processor has tiles; elsewhere there are no units for it."""
    raise NotImplementedError  # compiled code only


@overload(attend_long)
def _attend_long(
    isa: Any, team: Any, work: Any, h: Any, layer: Any, pages: Any, qkv: Any, out: Any, scratch: Any
) -> Any:
    assert isinstance(isa, IsaType)

    def by_tiles(
        isa: Any, team: Any, work: Any, h: Any, layer: Any, pages: Any, qkv: Any, out: Any,
        scratch: Any
    ) -> None:  # fmt: skip
        attend_tiled(team, work, h, layer, pages, qkv, out, scratch)

    def nothing(
        isa: Any, team: Any, work: Any, h: Any, layer: Any, pages: Any, qkv: Any, out: Any,
        scratch: Any
    ) -> None:  # fmt: skip
        return

    return by_tiles if isa.variant == AMX else nothing
