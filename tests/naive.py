"""Naive twins of the kernels: the definitions, one number at a time, in float64 where it helps.

Nothing here knows of panels, tiles, threads or registers; `kernel_memory` translates.
"""

import math

import numpy as np
import numpy.typing as npt

from engine.quants import QuantType

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Octets = npt.NDArray[np.int8]

BLOCK = 32


def opened_weights(quants: Bytes, d: Floats, m: Floats) -> Floats:
    """What opened blocks of a panel stand for: weight = d * quant + m, as [16 rows][k].

    quants: [block][group of 4 k][row][4]; d and m: [scale][row], scales evenly spread over k.
    """
    blocks = len(quants)
    per_scale = BLOCK * blocks // len(d)
    weights = np.zeros((16, BLOCK * blocks), np.float64)
    for row in range(16):
        for k in range(BLOCK * blocks):
            quant = int(quants[k // BLOCK, k % BLOCK // 4, row, k % 4])
            scale = k // per_scale
            weights[row, k] = float(d[scale, row]) * quant + float(m[scale, row])
    return weights.astype(np.float32)


def quantize(values: Floats) -> tuple[Octets, Floats]:
    """Each 32 values as int8 steps of a 127th of their largest, and the steps' sizes."""
    quants = np.zeros(len(values), np.int8)
    scales = np.zeros(len(values) // BLOCK, np.float32)
    for block in range(len(scales)):
        part = slice(BLOCK * block, BLOCK * (block + 1))
        largest = np.abs(values[part]).max()
        scales[block] = largest / np.float32(127)
        if largest > 0:
            quants[part] = np.rint(values[part] * (np.float32(127) / largest))
    return quants, scales


def dequantize(quants: Octets, scales: Floats) -> Doubles:
    return quants.astype(np.float64) * np.repeat(scales, BLOCK)


def linear(weights: Floats, x: Doubles, bias: Floats | None = None) -> Doubles:
    """One token through a matrix: [rows]."""
    y = np.array([math.fsum(row.astype(np.float64) * x) for row in weights])
    return y if bias is None else y + bias


def bfloat16(values: Floats) -> Floats:
    """Each value rounded to 8 bits of mantissa, ties to even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return rounded.astype(np.uint32).view(np.float32)


def tiles_of(memory: npt.NDArray[np.uint16], tokens: int, k: int) -> Floats:
    """What bfloat16 tiles hold: [tokens][k].

    Slices of 16 blocks of 32 k; within one [tile of 16 tokens][block][token][32 k], with the
    number of tiles even.
    """
    padded = -(-tokens // 32) * 32
    rows, at = np.zeros((padded, k), np.uint16), 0
    for first in range(0, k, 512):
        width = min(512, k - first)
        part = memory[at : at + padded * width].reshape(padded // 16, width // 32, 16, 32)
        rows[:, first : first + width] = part.transpose(0, 2, 1, 3).reshape(padded, width)
        at += padded * width
    return (rows[:tokens].astype(np.uint32) << 16).view(np.float32)


def rms_norm(x: Floats, weight: Floats, eps: float) -> Doubles:
    wide = x.astype(np.float64)
    return wide / math.sqrt(np.mean(wide * wide) + eps) * weight


def exp(x: Floats) -> Floats:
    """Zero from -87 down, and level from 88 up, where float32 runs out."""
    wide = np.exp(np.minimum(x.astype(np.float64), 88.0))
    return np.where(x <= -87, 0.0, wide).astype(np.float32)


def swiglu(gate: Floats, up: Floats) -> Doubles:
    """silu(gate) * up."""
    wide = gate.astype(np.float64)
    return wide / (1 + np.exp(-wide)) * up


def rotate(head: Floats, cos: Floats, sin: Floats, halves: bool) -> Floats:
    """A head's first 2 * len(cos) values turned by pairs: (i, i + half) or (2i, 2i + 1)."""
    turned = head.copy()
    for i in range(len(cos)):
        a, b = (i, i + len(cos)) if halves else (2 * i, 2 * i + 1)
        turned[a] = head[a] * cos[i] - head[b] * sin[i]
        turned[b] = head[a] * sin[i] + head[b] * cos[i]
    return turned


def attention(query: Floats, keys: Floats, values: Floats) -> Doubles:
    """One query head over the positions it may see: keys and values [positions][head_dim]."""
    scores = keys.astype(np.float64) @ query.astype(np.float64) / math.sqrt(len(query))
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ values.astype(np.float64)


def cached(values: Floats, kind: QuantType) -> Floats:
    """What the cache makes of a head's values: a rounding of each, or steps of 32's largest."""
    if kind is not QuantType.Q8_0:
        return values.astype(np.float16 if kind is QuantType.F16 else np.float32).astype(np.float32)
    out = np.zeros(len(values), np.float32)
    for first in range(0, len(values), BLOCK):
        part = values[first : first + BLOCK]
        largest = np.abs(part).max()
        if largest > 0:
            steps = np.rint(part * (np.float32(127) / largest))
            out[first : first + BLOCK] = steps * np.float32(np.float16(largest / np.float32(127)))
    return out


def cached_keys(block: Bytes, kind: QuantType, head_dim: int) -> Floats:
    """Keys of a page's block, [64 positions][head_dim], from [4][head_dim][16 positions]."""
    numbers, scales = _cached_parts(block, kind, head_dim)
    panels, steps = numbers.reshape(4, head_dim, 16), scales.reshape(4, -1, 16)
    keys = np.zeros((64, head_dim), np.float32)
    for t in range(64):
        for d in range(head_dim):
            keys[t, d] = panels[t // 16, d, t % 16] * steps[t // 16, d // BLOCK, t % 16]
    return keys


def cached_values(block: Bytes, kind: QuantType, head_dim: int) -> Floats:
    """Values of a page's block, [64 positions][head_dim], from [head_dim / 16][64][16 dims]."""
    numbers, scales = _cached_parts(block, kind, head_dim)
    panels, steps = numbers.reshape(head_dim // 16, 64, 16), scales.reshape(-1, 64)
    values = np.zeros((64, head_dim), np.float32)
    for t in range(64):
        for d in range(head_dim):
            values[t, d] = panels[d // 16, t, d % 16] * steps[d // BLOCK, t]
    return values


def _cached_parts(block: Bytes, kind: QuantType, head_dim: int) -> tuple[Floats, Floats]:
    """A block's numbers, and the scales behind them; 1 where there are none."""
    if kind is QuantType.Q8_0:
        numbers, scales = block[: 64 * head_dim], block[64 * head_dim :]
        return numbers.view(np.int8).astype(np.float32), scales.view(np.float16).astype(np.float32)
    numbers = block.view(np.float16 if kind is QuantType.F16 else np.float32)
    return numbers.astype(np.float32), np.ones(64 * -(-head_dim // BLOCK), np.float32)
