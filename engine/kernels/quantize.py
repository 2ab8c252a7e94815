"""Quantizing weights for a file, compiled: the rules of engine.quants.pack, its naive twin.

Scales are rounded to half precision by numpy, outside the loops. Numbers must be finite.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from engine import quants
from engine.quants import QuantType, block_bytes, row_bytes

_BLOCK = 32
_SYMMETRIC = {QuantType.Q4_0: 8, QuantType.Q5_0: 16}  # the quant that stands for zero
_AFFINE = {QuantType.Q4_1: 15, QuantType.Q5_1: 31}  # the largest quant


@njit
def _place(q: Any, most: int, out: Any, at: int) -> None:
    """32 quants as fifth bits, if there are any, and nibbles."""
    if most == 31:
        for k in range(4):
            bits = np.uint8(0)
            for i in range(8):
                bits |= (q[8 * k + i] >> 4) << i
            out[at + k] = bits
        at += 4
    for i in range(16):
        out[at + i] = (q[i] & 15) | (q[i + 16] << 4)


@njit
def _round(x: Any, most: Any) -> Any:
    """To even, from 0 to `most`; written so that it becomes vector instructions."""
    rounded = np.rint(x)
    rounded = rounded if rounded > np.float32(0) else np.float32(0)
    return np.uint8(np.int32(rounded if rounded < most else most))


@njit
def _extremes(values: Any, b: int) -> Any:
    low = high = values[b, 0]
    for i in range(1, _BLOCK):
        value = values[b, i]
        low = value if value < low else low
        high = value if value > high else high
    return low, high


@njit
def _first_largest(values: Any, b: int) -> Any:
    """The signed value of largest magnitude, the first one on ties."""
    low, high = _extremes(values, b)
    if high == -low:
        for i in range(_BLOCK):
            if values[b, i] == high or values[b, i] == low:
                return values[b, i]
    return high if high > -low else low


@njit(nogil=True, error_model="numpy")
def _pack_symmetric(values: Any, half: int, out: Any, stride: int, scales: Any) -> None:
    middle, most = np.float32(half), np.float32(2 * half - 1)
    q = np.empty(_BLOCK, np.uint8)
    for b in range(len(values)):
        d = _first_largest(values, b) / -middle
        scales[b, 0] = d + np.float32(0)  # no negative zero
        divisor = d if d != 0 else np.float32(1)
        for i in range(_BLOCK):
            q[i] = _round(values[b, i] / divisor + middle, most)
        _place(q, 2 * half - 1, out, b * stride + 2)


@njit(nogil=True, error_model="numpy")
def _pack_affine(values: Any, most: int, out: Any, stride: int, scales: Any) -> None:
    top = np.float32(most)
    q = np.empty(_BLOCK, np.uint8)
    for b in range(len(values)):
        low, high = _extremes(values, b)
        d = (high - low) / top
        scales[b, 0], scales[b, 1] = d, low
        divisor = d if d != 0 else np.float32(1)
        for i in range(_BLOCK):
            q[i] = _round((values[b, i] - low) / divisor, top)
        _place(q, most, out, b * stride + 4)


@njit(nogil=True, error_model="numpy")
def _pack_bytes(values: Any, out: Any, stride: int, scales: Any) -> None:
    for b in range(len(values)):
        low, high = _extremes(values, b)
        largest = high if high > -low else -low
        d = largest / np.float32(127) + np.float32(0)  # no negative zero
        scales[b, 0] = d
        divisor = d if d != 0 else np.float32(1)
        for i in range(_BLOCK):
            out[b * stride + 2 + i] = np.uint8(np.int32(np.rint(values[b, i] / divisor)))


def pack(quant: QuantType, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """As engine.quants.pack: float32 [..., elements] to uint8 [..., bytes]."""
    if quant not in _SYMMETRIC and quant not in _AFFINE and quant is not QuantType.Q8_0:
        return quants.pack(quant, rows)
    assert rows.dtype == np.float32
    values = np.ascontiguousarray(rows).reshape(-1, _BLOCK)
    stride = block_bytes(quant)
    out = np.empty(len(values) * stride, np.uint8)
    scales = np.empty((len(values), 2 if quant in _AFFINE else 1), np.float32)
    if quant in _SYMMETRIC:
        _pack_symmetric(values, _SYMMETRIC[quant], out, stride, scales)
    elif quant in _AFFINE:
        _pack_affine(values, _AFFINE[quant], out, stride, scales)
    else:
        _pack_bytes(values, out, stride, scales)
    halves = scales.astype("<f2").view(np.uint8)
    out.reshape(-1, stride)[:, : halves.shape[1]] = halves
    return out.reshape(*rows.shape[:-1], row_bytes(quant, rows.shape[-1]))
