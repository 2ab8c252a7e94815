"""The converter's block rules, one number at a time: the twin `engine.quants.pack` is held to."""

import struct

import numpy as np
import numpy.typing as npt

from engine.quants import QuantType

Block = npt.NDArray[np.float32]  # 32 numbers


def pack_row(quant: QuantType, row: npt.NDArray[np.float32]) -> bytes:
    """The bytes of one row."""
    if quant in (QuantType.F32, QuantType.F16):
        return b"".join(struct.pack("<f" if quant is QuantType.F32 else "<e", x) for x in row)
    return b"".join(_PACK[quant](row[start : start + 32]) for start in range(0, len(row), 32))


def _q4_0(block: Block) -> bytes:
    d = _largest(block) / np.float32(-8)
    return _half(d) + _nibbles([_quant(x, d, 8, 15) for x in block])


def _q4_1(block: Block) -> bytes:
    d = (max(block) - min(block)) / np.float32(15)
    return (
        _half(d) + _half(min(block)) + _nibbles([_quant(x - min(block), d, 0, 15) for x in block])
    )


def _q5_0(block: Block) -> bytes:
    d = _largest(block) / np.float32(-16)
    return _half(d) + _five_bits([_quant(x, d, 16, 31) for x in block])


def _q5_1(block: Block) -> bytes:
    d = (max(block) - min(block)) / np.float32(31)
    quants = [_quant(x - min(block), d, 0, 31) for x in block]
    return _half(d) + _half(min(block)) + _five_bits(quants)


def _q8_0(block: Block) -> bytes:
    d = max(abs(x) for x in block) / np.float32(127)
    return _half(d) + struct.pack("32b", *(_quant(x, d, 128, 255) - 128 for x in block))


_PACK = {
    QuantType.Q4_0: _q4_0,
    QuantType.Q4_1: _q4_1,
    QuantType.Q5_0: _q5_0,
    QuantType.Q5_1: _q5_1,
    QuantType.Q8_0: _q8_0,
}


def _largest(block: Block) -> np.float32:
    best: np.float32 = block[0]
    for x in block:
        if abs(x) > abs(best):
            best = x
    return best


def _quant(x: np.float32, d: np.float32, middle: int, most: int) -> int:
    scaled = x / d if d != 0 else np.float32(0)
    return min(max(round(float(scaled + np.float32(middle))), 0), most)


def _half(x: np.float32) -> bytes:
    return struct.pack("<e", float(x) + 0.0 if x == 0 else float(x))


def _nibbles(quants: list[int]) -> bytes:
    return bytes(quants[k] & 15 | (quants[k + 16] & 15) << 4 for k in range(16))


def _five_bits(quants: list[int]) -> bytes:
    high = sum((quant >> 4) << j for j, quant in enumerate(quants))
    return struct.pack("<I", high) + _nibbles(quants)
