"""The small steps between the matrix products: norm, activation, positions, quantized tokens."""

from typing import Any

import numpy as np
from numba import njit

from engine.kernels.dot import TOKENS
from engine.kernels.team import take
from engine.kernels.tiles import token_tile
from engine.kernels.vector import (
    absolute,
    as_f32,
    fma,
    load_f32,
    maximum,
    minimum,
    nearest,
    reduce_max,
    reduce_sum,
    reduce_sum_i32,
    scalar_f32,
    splat_f32,
    splat_i32,
    store,
    store_bf16,
    store_bytes,
    to_i32,
    turn_pairs,
    where_above,
)

_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # exact in 11 bits, so n * _LN2_HIGH is exact
_LN2_LOW = np.float32(-2.12194440e-4)
_EXP_LOW = np.float32(-87.0)  # below: zero, a little before float32 runs out
_EXP_HIGH = np.float32(88.0)


@njit
def exp(x: Any) -> Any:
    """e ** x lane by lane, to 1 unit in the last place; exactly 0 below -87.

    x = n ln 2 + r with |r| <= ln 2 / 2, then e ** r by its Taylor polynomial of degree 7.
    """
    low = splat_f32(_EXP_LOW)
    bounded = minimum(maximum(x, low), splat_f32(_EXP_HIGH))
    n = nearest(bounded * splat_f32(_LOG2_E))
    r = fma(n, splat_f32(-_LN2_HIGH), bounded)
    r = fma(n, splat_f32(-_LN2_LOW), r)
    power = splat_f32(np.float32(1 / 5040))
    power = fma(power, r, splat_f32(np.float32(1 / 720)))
    power = fma(power, r, splat_f32(np.float32(1 / 120)))
    power = fma(power, r, splat_f32(np.float32(1 / 24)))
    power = fma(power, r, splat_f32(np.float32(1 / 6)))
    power = fma(power, r, splat_f32(np.float32(0.5)))
    power = fma(power, r, splat_f32(np.float32(1)))
    power = fma(power, r, splat_f32(np.float32(1)))
    exponent = as_f32((to_i32(n) + splat_i32(127)) << splat_i32(23))
    return where_above(x, low, power * exponent)


@njit
def quantize_block(values: int, v: Any, token: int, block: int) -> None:
    """Write 32 values of a token, at address `values`, as int8 with a scale and their sums."""
    first, second = load_f32(values), load_f32(values + 64)
    largest = reduce_max(maximum(absolute(first), absolute(second)))
    # The maximum passes over NaN and int8 cannot hold it, so the scale must: 0 or NaN is added.
    damage = reduce_sum((first - first) + (second - second))
    scale = largest / np.float32(127) + damage
    inverse = splat_f32(np.float32(127) / largest if largest > 0 else np.float32(0))
    low, high = to_i32(nearest(first * inverse)), to_i32(nearest(second * inverse))
    at = TOKENS * (token // TOKENS * (v.k // 32) + block) + token % TOKENS
    store_bytes(v.quants + 32 * at, low)
    store_bytes(v.quants + 32 * at + 16, high)
    sum_low = np.float32(reduce_sum_i32(low))
    sum_high = np.float32(reduce_sum_i32(high))
    store(v.scales + 4 * at, scale)
    store(v.sums32 + 4 * at, scale * (sum_low + sum_high))
    by_half = v.sums16 + 4 * (2 * at - token % TOKENS)
    store(by_half, scale * sum_low)
    store(by_half + 4 * TOKENS, scale * sum_high)


@njit
def prepare_block(values: int, v: Any, token: int, block: int, span: Any) -> None:
    """Have 32 values of a token ready for the products: span = (first by tiles, end)."""
    if token < span[0]:
        quantize_block(values, v, token, block)
    else:
        widen_values(load_f32(values), load_f32(values + 64), v, token, block, span)


@njit
def widen_values(first: Any, second: Any, v: Any, token: int, block: int, span: Any) -> None:
    """Write 32 values to the tile of a token that goes by tiles."""
    at = v.wide + token_tile(span[1] - span[0], v.k // 32, token - span[0], block)
    store_bf16(at, first)
    store_bf16(at + 32, second)


@njit
def take_tokens(team: Any, tokens: int) -> Any:
    """The next of a step's tokens to work on: (first, end), empty when there are no more.

    A tile's worth where there are many: neighbours write to the same lines of memory.
    """
    control, phase, threads = team
    size = max(1, min(TOKENS, tokens // (4 * threads)))
    first = min(take(control, phase, size), tokens)
    return first, min(first + size, tokens)


@njit
def _root_mean_square(x: int, k: int, eps: float) -> Any:
    total = splat_f32(np.float32(0))
    for at in range(0, 4 * k, 64):
        value = load_f32(x + at)
        total = fma(value, value, total)
    mean = np.float64(reduce_sum(total)) / k
    return splat_f32(np.float32(1.0 / np.sqrt(mean + eps)))


@njit
def rms_norm(x: int, weight: int, v: Any, token: int, eps: float, span: Any) -> None:
    """x / sqrt(mean(x * x) + eps) * weight for one token, ready for the products.

    `v.values` has it as well if the token goes by vectors.
    """
    scale, out = _root_mean_square(x, v.k, eps), v.values + 4 * v.k * token
    for block in range(v.k // 32):
        at = 128 * block
        first = load_f32(x + at) * scale * load_f32(weight + at)
        second = load_f32(x + at + 64) * scale * load_f32(weight + at + 64)
        if token < span[0]:
            store(out + at, first)
            store(out + at + 64, second)
            quantize_block(out + at, v, token, block)
        else:
            widen_values(first, second, v, token, block, span)


@njit
def norm_tokens(team: Any, x: int, weight: int, v: Any, eps: float, span: Any) -> None:
    """rms_norm of every token; `x` is float32 [token][k]."""
    while True:
        first, end = take_tokens(team, span[1])
        if first == end:
            return
        for token in range(first, end):
            rms_norm(x + 4 * v.k * token, weight, v, token, eps, span)


@njit
def prepare_tokens(team: Any, v: Any, span: Any) -> None:
    """Have what is in `v.values` ready for the products."""
    while True:
        first, end = take_tokens(team, span[1])
        if first == end:
            return
        for token in range(first, end):
            for block in range(v.k // 32):
                prepare_block(v.values + 4 * v.k * token + 128 * block, v, token, block, span)


_PIECE = 32  # blocks of one piece of work in `swiglu`


@njit
def silu(x: Any) -> Any:
    one, zero = splat_f32(np.float32(1)), splat_f32(np.float32(0))
    return x / (one + exp(zero - x))


@njit
def swiglu(team: Any, gate: int, up: int, v: Any, span: Any, tokens: int) -> None:
    """silu(gate) * up of the first `tokens`, both float32 [token][k], to `v`."""
    control, phase, _ = team
    blocks = v.k // 32
    pieces = (blocks + _PIECE - 1) // _PIECE
    while True:
        piece = take(control, phase, 1)
        if piece >= tokens * pieces:
            return
        token, first = piece // pieces, piece % pieces * _PIECE
        for block in range(first, min(first + _PIECE, blocks)):
            at = 4 * (v.k * token + 32 * block)
            for half in range(at, at + 128, 64):
                store(v.values + half, silu(load_f32(gate + half)) * load_f32(up + half))
            prepare_block(v.values + at, v, token, block, span)


@njit
def _rotate_pair(a: int, b: int, cos: float, sin: float) -> None:
    x, y = scalar_f32(a), scalar_f32(b)
    store(a, np.float32(x * cos - y * sin))
    store(b, np.float32(x * sin + y * cos))


@njit
def _rotate_16(head: int, i: int, cos: Any, sin: Any, halves: bool) -> None:
    """Pairs i to i + 15, to the bit as `_rotate_pair`."""
    c, s = load_f32(cos.ctypes.data + 4 * i), load_f32(sin.ctypes.data + 4 * i)
    if not halves:
        turn_pairs(head + 8 * i, c, s)
        return
    at, other = head + 4 * i, head + 4 * (i + len(cos))
    x, y = load_f32(at), load_f32(other)
    store(at, x * c - y * s)
    store(other, x * s + y * c)


@njit
def rotate(head: int, cos: Any, sin: Any, halves: bool) -> None:
    """Turn the first 2 * len(cos) values of a head by a position's angles, in place."""
    count = len(cos)
    whole = count // 16 * 16
    for i in range(0, whole, 16):
        _rotate_16(head, i, cos, sin, halves)
    for i in range(whole, count):
        if halves:
            _rotate_pair(head + 4 * i, head + 4 * (i + count), cos[i], sin[i])
        else:
            _rotate_pair(head + 8 * i, head + 8 * i + 4, cos[i], sin[i])
