"""Attention over a paged KV cache.

A page holds PAGE positions of every layer. For one layer and KV head it is two blocks: keys as
[PAGE / 16][head_dim][16 positions], values as [head_dim / 16][PAGE][16 dims]. Both are "panels of
floats" as in formats.py, so scores and sums of values use the same products as the weights do.

Work comes in units of up to 8 rows that share a KV head: query heads of one token (decode), or
tokens of one query head (prefill). A row's additions run in the order of positions and do not
depend on which rows it shares a unit with.
"""

from collections import namedtuple
from typing import Any

import numpy as np
from numba import njit

from engine.kernels.dot import TILE, add_float, lane_sums, zeros
from engine.kernels.elementwise import exp, rotate, store_element
from engine.kernels.formats import F16, F32
from engine.kernels.team import take
from engine.kernels.vector import (
    lanes_below,
    load_f32,
    maximum,
    reduce_max,
    reduce_sum,
    scalar_f32,
    splat_f32,
    store,
)

PAGE = 64

# A unit of work: its segment (row of the page table), query head of its first row, its first
# token in the batch, number of rows, whether its rows are tokens (1) or heads (0), and the
# position of its first token.
SEGMENT, HEAD, TOKEN, ROWS, BY_TOKEN, POSITION = range(6)
UNIT_FIELDS = 6

# heads, kv_heads, head_dim, bytes of a cached value, and the rotary tables [position][angle].
Heads = namedtuple("Heads", "heads kv_heads head_dim kv_bytes cos sin halves")


@njit
def block_address(page: int, h: Any, layer: int, kv_head: int, values: int) -> int:
    """Address of a page's keys (values=0) or values (1) of one layer and KV head."""
    return page + ((layer * h.kv_heads + kv_head) * 2 + values) * PAGE * h.head_dim * h.kv_bytes


@njit
def _cache_token(qkv: int, h: Any, layer: int, page: int, slot: int) -> None:
    """Write one token's rotated keys and its values to their slot of a page."""
    for kv_head in range(h.kv_heads):
        keys = block_address(page, h, layer, kv_head, 0)
        values = block_address(page, h, layer, kv_head, 1)
        key = qkv + 4 * h.head_dim * (h.heads + kv_head)
        value = key + 4 * h.head_dim * h.kv_heads
        for d in range(h.head_dim):
            at = (slot // 16 * h.head_dim + d) * 16 + slot % 16
            store_element(h.kv_bytes, keys + at * h.kv_bytes, scalar_f32(key + 4 * d))
            at = (d // 16 * PAGE + slot) * 16 + d % 16
            store_element(h.kv_bytes, values + at * h.kv_bytes, scalar_f32(value + 4 * d))


@njit
def rotate_and_cache(team: Any, qkv: int, h: Any, layer: int, batch: Any, tokens: int) -> None:
    """Rotate every token's queries and keys and write keys and values to the cache."""
    control, phase, _ = team
    segments, positions, pages = batch
    row = 4 * h.head_dim * (h.heads + 2 * h.kv_heads)
    while True:
        token = take(control, phase, 1)
        if token >= tokens:
            return
        position = positions[token]
        for head in range(h.heads + h.kv_heads):
            at = qkv + row * token + 4 * h.head_dim * head
            rotate(at, h.cos[position], h.sin[position], h.halves)
        page = pages[segments[token], position // PAGE]
        _cache_token(qkv + row * token, h, layer, page, position % PAGE)


@njit
def _scores(tile: Any, keys: int, h: Any, query: int, stride: int) -> Any:
    """Products of 16 cached keys with the rows' queries."""
    if h.kv_bytes == 2:
        for d in range(h.head_dim):
            tile = add_float(tile, F16, keys + 32 * d, query + 4 * d, stride)
    else:
        for d in range(h.head_dim):
            tile = add_float(tile, F32, keys + 64 * d, query + 4 * d, stride)
    return tile


@njit
def _weighted(tile: Any, values: int, h: Any, weights: int, stride: int, count: int) -> Any:
    """Add `count` cached positions' 16 dims, times the rows' weights."""
    if h.kv_bytes == 2:
        for t in range(count):
            tile = add_float(tile, F16, values + 32 * t, weights + 4 * t, stride)
    else:
        for t in range(count):
            tile = add_float(tile, F32, values + 64 * t, weights + 4 * t, stride)
    return tile


@njit
def _softmax(row: int, groups: int) -> None:
    """Exponentials of a row of scores over their sum, in place; masked ones are -inf."""
    largest = load_f32(row)
    for g in range(1, groups):
        largest = maximum(largest, load_f32(row + 64 * g))
    top = splat_f32(reduce_max(largest))
    total = splat_f32(np.float32(0))
    for g in range(groups):
        e = exp(load_f32(row + 64 * g) - top)
        store(row + 64 * g, e)
        total = total + e
    # Divided as vectors: a scalar division by the 0 of a damaged row would raise, in one thread.
    inverse = splat_f32(np.float32(1)) / splat_f32(reduce_sum(total))
    for g in range(groups):
        store(row + 64 * g, load_f32(row + 64 * g) * inverse)


@njit
def _attend_unit(
    zero: Any, unit: Any, h: Any, layer: int, pages: Any, qkv: Any, out: int, scores: int
) -> None:
    """One unit: scores, softmax, weighted values. `qkv` = (address, bytes per token)."""
    rows, by_token, first = unit[ROWS], unit[BY_TOKEN], unit[POSITION]
    kv_head = unit[HEAD] // (h.heads // h.kv_heads)
    width = 4 * h.head_dim
    query = qkv[0] + unit[TOKEN] * qkv[1] + unit[HEAD] * width
    stride = qkv[1] if by_token else width
    length = first + (rows if by_token else 1)
    groups = (length + 15) // 16
    by_row = 64 * len(pages) * (PAGE // 16)
    scale = splat_f32(np.float32(1.0 / np.sqrt(np.float64(h.head_dim))))
    for g in range(groups):
        keys = block_address(pages[g // (PAGE // 16)], h, layer, kv_head, 0)
        keys += g % (PAGE // 16) * h.head_dim * 16 * h.kv_bytes
        tile = _scores(zero, keys, h, query, stride)
        for r in range(rows):
            visible = first + (r if by_token else 0) + 1 - 16 * g
            store(scores + by_row * r + 64 * g, lanes_below(lane_sums(tile, r) * scale, visible))
    for r in range(rows):
        _softmax(scores + by_row * r, groups)
    target = out + (unit[TOKEN] * h.heads + unit[HEAD]) * width
    out_stride = h.heads * width if by_token else width
    for d in range(h.head_dim // 16):
        tile = zero
        for p in range((length + PAGE - 1) // PAGE):
            values = block_address(pages[p], h, layer, kv_head, 1) + d * PAGE * 16 * h.kv_bytes
            count = min(PAGE, 16 * groups - p * PAGE)
            tile = _weighted(tile, values, h, scores + 4 * PAGE * p, by_row, count)
        for r in range(rows):
            store(target + r * out_stride + 64 * d, lane_sums(tile, r))


@njit
def attend(
    team: Any, work: Any, h: Any, layer: int, pages: Any, qkv: Any, out: int, scores: int
) -> None:
    """Attention of all units. `work` = (units, count); `out` is float32 [token][heads][head_dim].

    `pages` int64 [segment][pages of the context]; `scores` this thread's room for TILE rows of
    float32 scores over the whole context.
    """
    units, count = work
    control, phase, _ = team
    while True:
        index = take(control, phase, 1)
        if index >= count:
            return
        unit = units[index]
        table = pages[unit[SEGMENT]]
        if unit[ROWS] <= 4:
            _attend_unit(zeros(4), unit, h, layer, table, qkv, out, scores)
        else:
            _attend_unit(zeros(8), unit, h, layer, table, qkv, out, scores)


def score_bytes(pages: int) -> int:
    """Size of one thread's `scores` for a context of that many pages."""
    return TILE * pages * PAGE * 4
