"""Attention over a paged KV cache.

A page holds PAGE positions of every layer. For one layer and KV head it is two blocks: keys as
[PAGE / 16][head_dim][16 positions], values as [head_dim / 16][PAGE][16 dims]. Both are "panels of
floats" as in formats.py, so scores and sums of values use the same products as the weights do.
8-bit ones have half-precision scales behind them, one for 32 dims of one position: of keys
[PAGE / 16][head_dim / 32][16], of values [head_dim / 32][PAGE].

Work comes in units of rows that share a KV head: query heads of one token (decode), or up to 8
tokens of one query head (prefill). A row's context is cut into slices of SLICE positions. Each
gives its largest score, and its sums relative to that; they are combined in the order of slices.
So several threads can share a long context, and a row's bits depend neither on how they do that
nor on which rows it shares a unit with.
"""

from collections import namedtuple
from typing import Any

import numpy as np
from numba import njit

from engine.kernels.dot import TILE, add_float, add_scaled, lane_sums, zeros
from engine.kernels.elementwise import exp, rotate, take_tokens
from engine.kernels.formats import F16, F32, I8, Q8_0
from engine.kernels.team import _fetch_add, take
from engine.kernels.vector import (
    absolute,
    fma,
    lanes_below,
    load_f16,
    load_f32,
    maximum,
    nearest,
    prefetch,
    reduce_max,
    reduce_sum,
    splat_f32,
    store,
    store_f16,
    store_floats,
    store_halves,
    store_octets,
    to_i32,
)

PAGE = 64
SLICE = 512
_SCORES = 4 * SLICE  # bytes of a row's scores

# A unit of work: its segment (row of the page table), query head of its first row, its first
# token in the batch, number of rows, whether its rows are tokens (1) or heads (0), the position of
# its first token; the slices to do, from one up to another, the address of all its slices' sums
# (0: the thread's own room), the unit that counts the finished ones of those that share sums, and
# that count.
SEGMENT, HEAD, TOKEN, ROWS, BY_TOKEN, POSITION, FIRST, END, SUMS, COUNTER, FINISHED = range(11)
UNIT_FIELDS = 11

# heads, kv_heads, head_dim, type of cached values, bytes of 16 of them and of a block, and the
# rotary tables [position][angle].
Heads = namedtuple("Heads", "heads kv_heads head_dim kind width block cos sin halves")

WIDTHS = {F32: 64, F16: 32, Q8_0: 16}


def cached_bytes(kind: int, head_dim: int) -> int:
    """Size of a block: PAGE positions' keys, or values, of one layer and KV head."""
    scales = 2 * -(-head_dim // 32) if kind == Q8_0 else 0
    return PAGE * (head_dim * WIDTHS[kind] // 16 + scales)


def slices_for(length: int) -> int:
    return -(-length // SLICE)


def sums_bytes(head_dim: int, rows: int, context: int) -> int:
    """Room for the sums of so many rows: largest score, sum of exponentials, weighted values."""
    return rows * slices_for(context) * (128 + 4 * head_dim)


def room_bytes(head_dim: int, rows: int, context: int) -> int:
    """A thread's own: a tile's scores over a slice, the same scaled, then its rows' sums."""
    return 2 * TILE * _SCORES + sums_bytes(head_dim, rows, context)


# --- writing ------------------------------------------------------------------------------------


@njit
def block_address(page: int, h: Any, layer: int, kv_head: int, values: int) -> int:
    """Address of a page's keys (values=0) or values (1) of one layer and KV head."""
    return page + ((layer * h.kv_heads + kv_head) * 2 + values) * h.block


@njit
def _cache_floats(source: int, h: Any, block: int, slot: int, by_16: int, by_1: int) -> None:
    """A head's values to their places: `by_16` and `by_1` are the steps of 16 dims and of one."""
    for part in range(h.head_dim // 16):
        value, at = load_f32(source + 64 * part), slot + by_16 * part
        if h.kind == F16:
            store_halves(block + 2 * at, value, 2 * by_1)
        else:
            store_floats(block + 4 * at, value, 4 * by_1)


@njit
def _cache_scaled(
    source: int, h: Any, quants: int, scales: int, by_16: int, by_1: int, by_scale: int
) -> None:
    """A head's values as int8: steps of a 127th of the largest of 32, whose size is the scale."""
    for block in range((h.head_dim + 31) // 32):
        largest = damage = splat_f32(np.float32(0))
        parts = range(2 * block, min(2 * block + 2, h.head_dim // 16))
        for part in parts:
            x = load_f32(source + 64 * part)
            largest, damage = maximum(largest, absolute(x)), damage + (x - x)
        top = reduce_max(largest)
        # The maximum passes over NaN and int8 cannot hold it, so the scale must: 0 or NaN is added.
        store_f16(scales + by_scale * block, top / np.float32(127) + reduce_sum(damage))
        inverse = splat_f32(np.float32(127) / top if top > 0 else np.float32(0))
        for part in parts:
            steps = to_i32(nearest(load_f32(source + 64 * part) * inverse))
            store_octets(quants + by_16 * part, steps, by_1)


@njit
def _cache_token(qkv: int, h: Any, layer: int, page: int, slot: int) -> None:
    """Write one token's rotated keys and its values to their slot of a page."""
    by_scale = (h.head_dim + 31) // 32
    for kv_head in range(h.kv_heads):
        keys = block_address(page, h, layer, kv_head, 0)
        values = block_address(page, h, layer, kv_head, 1)
        key = qkv + 4 * h.head_dim * (h.heads + kv_head)
        value = key + 4 * h.head_dim * h.kv_heads
        at = slot // 16 * h.head_dim * 16 + slot % 16
        if h.kind == Q8_0:
            scale = keys + PAGE * h.head_dim + 2 * (slot // 16 * by_scale * 16 + slot % 16)
            _cache_scaled(key, h, keys + at, scale, 256, 16, 32)
            scale = values + PAGE * h.head_dim + 2 * slot
            _cache_scaled(value, h, values + 16 * slot, scale, PAGE * 16, 1, 2 * PAGE)
        else:
            _cache_floats(key, h, keys, at, 256, 16)
            _cache_floats(value, h, values, 16 * slot, PAGE * 16, 1)


@njit
def rotate_and_cache(team: Any, qkv: int, h: Any, layer: int, batch: Any, tokens: int) -> None:
    """Rotate every token's queries and keys and write keys and values to the cache."""
    segments, positions, pages = batch
    row = 4 * h.head_dim * (h.heads + 2 * h.kv_heads)
    while True:
        first, end = take_tokens(team, tokens)
        if first == end:
            return
        for token in range(first, end):
            position, at = positions[token], qkv + row * token
            for head in range(h.heads + h.kv_heads):
                rotate(at + 4 * h.head_dim * head, h.cos[position], h.sin[position], h.halves)
            page = pages[segments[token], position // PAGE]
            _cache_token(at, h, layer, page, position % PAGE)


# --- reading ------------------------------------------------------------------------------------


@njit
def _scores(zero: Any, h: Any, keys: int, scales: int, query: Any, soon: Any) -> Any:
    """Products of 16 cached keys with the rows' queries, `query` = (address, bytes a row).

    `soon`: two addresses of as many cached values to have brought close meanwhile.
    """
    tile = part = zero
    for d in range(0, h.head_dim, 4):
        for line in range(h.width * d, h.width * (d + 4), 64):
            prefetch(soon[0] + line)
            prefetch(soon[1] + line)
        if h.kind == F16:
            for i in range(d, d + 4):
                tile = add_float(tile, F16, keys + 32 * i, query[0] + 4 * i, query[1])
        elif h.kind == F32:
            for i in range(d, d + 4):
                tile = add_float(tile, F32, keys + 64 * i, query[0] + 4 * i, query[1])
        else:
            for i in range(d, d + 4):
                part = add_float(part, I8, keys + 16 * i, query[0] + 4 * i, query[1])
            if (d + 4) % 32 == 0 or d + 4 == h.head_dim:
                tile, part = add_scaled(tile, part, load_f16(scales + d // 32 * 32)), zero
    return tile


@njit
def _weighted(tile: Any, h: Any, values: int, weights: int, count: int) -> Any:
    """Add `count` cached positions' 16 dims, times the rows' weights."""
    if h.kind == F16:
        for t in range(count):
            tile = add_float(tile, F16, values + 32 * t, weights + 4 * t, _SCORES)
    elif h.kind == F32:
        for t in range(count):
            tile = add_float(tile, F32, values + 64 * t, weights + 4 * t, _SCORES)
    else:
        for t in range(count):
            tile = add_float(tile, I8, values + 16 * t, weights + 4 * t, _SCORES)
    return tile


@njit
def _exponentials(row: int, groups: int, sums: int) -> None:
    """Of a row of scores less the largest, in place; masked ones, which are -inf, become 0."""
    largest = load_f32(row)
    for g in range(1, groups):
        largest = maximum(largest, load_f32(row + 64 * g))
    top = splat_f32(reduce_max(largest))
    total = splat_f32(np.float32(0))
    for g in range(groups):
        e = exp(load_f32(row + 64 * g) - top)
        store(row + 64 * g, e)
        total = total + e
    store(sums, top)
    store(sums + 64, total)


@njit
def _scale_weights(
    h: Any, where: Any, block: int, rows: int, start: int, groups: int, room: int
) -> None:
    """Behind the rows' weights: the same times the scales of their positions, for 32 dims."""
    pages, layer, kv_head = where
    for g in range(groups):
        position = start + 16 * g
        values = block_address(pages[position // PAGE], h, layer, kv_head, 1)
        at = values + PAGE * h.head_dim + 2 * (PAGE * block + position % PAGE)
        scale = load_f16(at)
        for r in range(rows):
            weights = room + _SCORES * r + 64 * g
            store(weights + TILE * _SCORES, load_f32(weights) * scale)


@njit
def _score_slice(zero: Any, h: Any, where: Any, query: Any, rows: int, span: Any, room: int) -> int:
    """Scores of a tile's rows over a slice, and how many groups of 16 positions there are.

    `span` = (first position, how many positions from it on the first row sees, how many more each
    row after it).
    """
    pages, layer, kv_head = where
    start, seen, grows = span
    groups = (min(SLICE, seen + grows * (rows - 1)) + 15) // 16
    scale = splat_f32(np.float32(1.0 / np.sqrt(np.float64(h.head_dim))))
    panel = h.head_dim * h.width
    for g in range(groups):
        at = start // 16 + g
        page, part = pages[at // (PAGE // 16)], at % (PAGE // 16)
        keys = block_address(page, h, layer, kv_head, 0)
        after = pages[min((at + 1) // (PAGE // 16), len(pages) - 1)]
        soon = block_address(after, h, layer, kv_head, 0) + (at + 1) % (PAGE // 16) * panel
        values = keys + h.block + part * panel
        scales = keys + PAGE * h.head_dim + part * ((h.head_dim + 31) // 32) * 32
        tile = _scores(zero, h, keys + part * panel, scales, query, (soon, values))
        for r in range(rows):
            visible = seen + grows * r - 16 * g
            store(room + _SCORES * r + 64 * g, lanes_below(lane_sums(tile, r) * scale, visible))
    return groups


@njit
def _attend_tile(
    zero: Any, h: Any, where: Any, query: Any, rows: int, span: Any, sums: Any, room: int
) -> None:
    """A slice's sums of up to 8 rows. `sums` = (address of the first row's, bytes a row)."""
    pages, layer, kv_head = where
    start = span[0]
    groups = _score_slice(zero, h, where, query, rows, span, room)
    for r in range(rows):
        _exponentials(room + _SCORES * r, groups, sums[0] + sums[1] * r)
    for d in range(h.head_dim // 16):
        weights, tile = room, zero
        if h.kind == Q8_0:
            if d % 2 == 0:
                _scale_weights(h, where, d // 2, rows, start, groups, room)
            weights += TILE * _SCORES
        for first in range(0, groups * 16, PAGE):
            page = pages[(start + first) // PAGE]
            values = block_address(page, h, layer, kv_head, 1) + d * PAGE * h.width
            count = min(PAGE, 16 * groups - first)
            tile = _weighted(tile, h, values, weights + 4 * first, count)
        for r in range(rows):
            store(sums[0] + sums[1] * r + 128 + 64 * d, lane_sums(tile, r))


@njit
def _combine(h: Any, sums: int, slices: int, out: int) -> None:
    """A row's attention from the sums of its slices."""
    size = 128 + 4 * h.head_dim
    top, total = load_f32(sums), splat_f32(np.float32(0))
    for s in range(1, slices):
        top = maximum(top, load_f32(sums + size * s))
    for d in range(0, 4 * h.head_dim, 64):
        store(out + d, total)
    for at in range(sums, sums + size * slices, size):
        share = exp(load_f32(at) - top)
        total = fma(share, load_f32(at + 64), total)
        for d in range(0, 4 * h.head_dim, 64):
            store(out + d, fma(share, load_f32(at + 128 + d), load_f32(out + d)))
    # Divided as vectors: a scalar division by the 0 of a damaged row would raise, in one thread.
    inverse = splat_f32(np.float32(1)) / splat_f32(reduce_sum(total))
    for d in range(0, 4 * h.head_dim, 64):
        store(out + d, load_f32(out + d) * inverse)


@njit
def _attend_unit(
    unit: Any, h: Any, layer: int, pages: Any, query: Any, sums: Any, room: int
) -> None:
    """The sums of a unit's slices; all its tiles for one slice before the next, which is near."""
    where = (pages, layer, unit[HEAD] // (h.heads // h.kv_heads))
    grows = unit[BY_TOKEN]
    for s in range(unit[FIRST], unit[END]):
        start = s * SLICE
        for row in range(0, unit[ROWS], TILE):
            rows = min(TILE, unit[ROWS] - row)
            span = (start, unit[POSITION] + 1 + grows * row - start, grows)
            at = (sums[0] + sums[1] * row + s * (128 + 4 * h.head_dim), sums[1])
            asked = (query[0] + query[1] * row, query[1])
            if rows <= 4:
                _attend_tile(zeros(4), h, where, asked, rows, span, at, room)
            else:
                _attend_tile(zeros(8), h, where, asked, rows, span, at, room)


@njit
def _is_last(units: Any, unit: Any, slices: int) -> bool:
    """Whether this unit's slices were the last missing of all those that it is a part of."""
    done = unit[END] - unit[FIRST]
    if done == slices:
        return True
    counter = units.ctypes.data + 8 * (UNIT_FIELDS * unit[COUNTER] + FINISHED)
    if _fetch_add(counter, done) + done < slices:
        return False
    units[unit[COUNTER], FINISHED] = 0  # for the next layer
    return True


@njit
def attend(
    team: Any, work: Any, h: Any, layer: int, pages: Any, qkv: Any, out: int, room: int
) -> None:
    """Attention of all units. `work` = (units, count); `out` is float32 [token][heads][head_dim].

    `pages` int64 [segment][pages of the context]; `qkv` = (address, bytes a token); `room` this
    thread's own, see `room_bytes`.
    """
    units, count = work
    control, phase, _ = team
    width = 4 * h.head_dim
    while True:
        index = take(control, phase, 1)
        if index >= count:
            return
        unit = units[index]
        by_token = unit[BY_TOKEN]
        length = unit[POSITION] + (unit[ROWS] if by_token else 1)
        slices = (length + SLICE - 1) // SLICE
        by_row = slices * (128 + width)
        sums = unit[SUMS] if unit[SUMS] else room + 2 * TILE * _SCORES
        query = qkv[0] + unit[TOKEN] * qkv[1] + unit[HEAD] * width
        asked = (query, qkv[1] if by_token else width)
        _attend_unit(unit, h, layer, pages[unit[SEGMENT]], asked, (sums, by_row), room)
        if _is_last(units, unit, slices):
            target = out + (unit[TOKEN] * h.heads + unit[HEAD]) * width
            for row in range(unit[ROWS]):
                seen = (unit[POSITION] + by_token * row) // SLICE + 1
                at = target + row * (h.heads * width if by_token else width)
                _combine(h, sums + by_row * row, seen, at)
