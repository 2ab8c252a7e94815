"""Block formats of ggml: how weights are written as bytes, one class a format.

This file is the specification the kernels are held to. `unpack` is bit-exact with the `gguf`
library. `pack` follows chatglm.cpp's converter in float32: divide by the unrounded scale, round
half to even. A block whose scale is zero packs to the value zero, which the converter leaves
undefined.

What it does not cover: `pack` wants finite numbers; whoever reads a checkpoint checks them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Quants = npt.NDArray[np.uint8]
Records = npt.NDArray[np.void]  # one structured element a block
Field = tuple[str, str] | tuple[str, str, int | tuple[int, ...]]

_CHUNK = 1 << 16  # elements worked on at a time, so that temporaries stay in cache


class QuantType(IntEnum):
    """Tensor types we run, numbered as ggml does."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    BF16 = 30


def block_size(quant: QuantType) -> int:
    """Elements in one block."""
    return _FORMATS[quant].size


def block_bytes(quant: QuantType) -> int:
    """Bytes of one block."""
    return _FORMATS[quant].layout.itemsize


def row_bytes(quant: QuantType, columns: int) -> int:
    """Bytes of a row of `columns` elements."""
    blocks, rest = divmod(columns, block_size(quant))
    assert rest == 0, f"{columns} is not a multiple of {quant.name}'s {block_size(quant)}"
    return blocks * block_bytes(quant)


def unpack(quant: QuantType, data: Bytes) -> Floats:
    """The values of packed rows: uint8 [..., bytes] to float32 [..., elements]."""
    form = _FORMATS[quant]
    records = np.ascontiguousarray(data).reshape(-1).view(form.layout)
    out = np.empty((records.size, form.size), np.float32)
    for part in _chunks(records.size, form.size):
        out[part] = form.unpack(records[part])
    return out.reshape(*data.shape[:-1], data.shape[-1] // form.layout.itemsize * form.size)


def pack(quant: QuantType, rows: Floats) -> Bytes:
    """The bytes of rows of finite numbers: float32 [..., elements] to uint8 [..., bytes]."""
    form = _FORMATS[quant]
    assert issubclass(form, _Packable), f"nothing is written as {quant.name}"
    blocks = np.ascontiguousarray(rows, np.float32).reshape(-1, form.size)
    out = np.empty(len(blocks), form.layout)
    for part in _chunks(len(blocks), form.size):
        form.pack(blocks[part], out[part])
    return out.view(np.uint8).reshape(*rows.shape[:-1], row_bytes(quant, rows.shape[-1]))


class _Format(ABC):
    """A block's layout in bytes, and what its elements are worth."""

    size: ClassVar[int]
    layout: ClassVar[np.dtype[np.void]]

    def __init_subclass__(cls, quant: QuantType | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if quant is not None:
            _FORMATS[quant] = cls

    @classmethod
    @abstractmethod
    def unpack(cls, blocks: Records) -> Floats:
        """[blocks] records to [blocks, size] values."""


class _Packable(_Format):
    """A format that is also written."""

    @classmethod
    @abstractmethod
    def pack(cls, values: Floats, out: Records) -> None:
        """[blocks, size] values into [blocks] records."""


_FORMATS: dict[QuantType, type[_Format]] = {}


class _Plain(_Packable):
    """Numbers as they are, each a block of its own."""

    size = 1

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        return _floats(blocks["x"])

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        out["x"] = values[:, 0]


class _F32(_Plain, quant=QuantType.F32):
    layout = np.dtype([("x", "<f4")])


class _F16(_Plain, quant=QuantType.F16):
    layout = np.dtype([("x", "<f2")])


class _BF16(_Format, quant=QuantType.BF16):
    size = 1
    layout = np.dtype([("x", "<u2")])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        high_half = blocks["x"].astype(np.uint32) << 16
        return high_half.view(np.float32)[:, None]


class _Q40(_Packable, quant=QuantType.Q4_0):
    size = 32
    layout = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        return _floats(blocks["d"]) * (_nibbles(blocks["qs"]) - np.float32(8))

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        d = _largest(values) / np.float32(-8)
        out["d"] = d[:, 0] + 0  # +0: no negative zero
        out["qs"] = _join_nibbles(_rounded(values / _divisor(d) + np.float32(8), 15))


class _Q41(_Packable, quant=QuantType.Q4_1):
    size = 32
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        return _floats(blocks["d"]) * _nibbles(blocks["qs"]) + _floats(blocks["m"])

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        low = values.min(axis=1, keepdims=True)
        d = (values.max(axis=1, keepdims=True) - low) / np.float32(15)
        out["d"], out["m"] = d[:, 0], low[:, 0]
        out["qs"] = _join_nibbles(_rounded((values - low) / _divisor(d), 15))


class _Q50(_Packable, quant=QuantType.Q5_0):
    size = 32
    layout = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        q = _nibbles(blocks["qs"]) + _fifth_bits(blocks["qh"])
        return _floats(blocks["d"]) * (q - np.float32(16))

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        d = _largest(values) / np.float32(-16)
        out["d"] = d[:, 0] + 0  # +0: no negative zero
        q = _rounded(values / _divisor(d) + np.float32(16), 31)
        out["qh"] = np.packbits(q >> 4, axis=1, bitorder="little")
        out["qs"] = _join_nibbles(q)


class _Q51(_Packable, quant=QuantType.Q5_1):
    size = 32
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        q = _nibbles(blocks["qs"]) + _fifth_bits(blocks["qh"])
        return _floats(blocks["d"]) * q + _floats(blocks["m"])

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        low = values.min(axis=1, keepdims=True)
        d = (values.max(axis=1, keepdims=True) - low) / np.float32(31)
        out["d"], out["m"] = d[:, 0], low[:, 0]
        q = _rounded((values - low) / _divisor(d), 31)
        out["qh"] = np.packbits(q >> 4, axis=1, bitorder="little")
        out["qs"] = _join_nibbles(q)


class _Q80(_Packable, quant=QuantType.Q8_0):
    size = 32
    layout = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        return _floats(blocks["d"]) * blocks["qs"].astype(np.float32)

    @classmethod
    def pack(cls, values: Floats, out: Records) -> None:
        d = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
        out["d"] = d[:, 0]
        out["qs"] = np.clip(np.rint(values / _divisor(d)), -128, 127)


class _Q4K(_Format, quant=QuantType.Q4_K):
    """Eight groups of 32, each with a 6-bit scale and a 6-bit minimum."""

    size = 256
    layout = np.dtype([("d", "<f2"), ("m", "<f2"), ("scales", "u1", 12), ("qs", "u1", (4, 32))])

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        q = _nibbles(blocks["qs"]).reshape(-1, 8, 32)
        return _scale_groups(blocks, q)


class _Q5K(_Format, quant=QuantType.Q5_K):
    """As Q4_K, and for group g, bit g of `qh` as a fifth bit."""

    size = 256
    layout = np.dtype(
        [("d", "<f2"), ("m", "<f2"), ("scales", "u1", 12), ("qh", "u1", 32), ("qs", "u1", (4, 32))]
    )

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        group = np.arange(8, dtype=np.uint8)[:, None]
        fifth = (blocks["qh"][:, None, :] >> group & 1) << 4
        q = _nibbles(blocks["qs"]).reshape(-1, 8, 32) + fifth.astype(np.float32)
        return _scale_groups(blocks, q)


class _Q6K(_Format, quant=QuantType.Q6_K):
    """Two halves of 128: four low bits in `ql`, two high bits in `qh`, a scale each 16."""

    size = 256
    layout = np.dtype(
        [("ql", "u1", (2, 64)), ("qh", "u1", (2, 32)), ("scales", "i1", 16), ("d", "<f2")]
    )

    @classmethod
    def unpack(cls, blocks: Records) -> Floats:
        low = blocks["ql"][:, :, None, :] >> np.array([[0], [4]], np.uint8) & 15
        high = blocks["qh"][:, :, None, :] >> np.array([[0], [2], [4], [6]], np.uint8) & 3
        q = low.reshape(-1, 2, 4, 32) | high << 4
        d = _floats(blocks["d"]) * blocks["scales"].astype(np.float32)
        values = (q.reshape(-1, 16, 16).astype(np.float32) - np.float32(32)) * d[:, :, None]
        return values.reshape(-1, 256)


def _chunks(blocks: int, size: int) -> Iterator[slice]:
    step = _CHUNK // size
    return (slice(start, start + step) for start in range(0, blocks, step))


def _floats(field: npt.NDArray[Any]) -> Floats:
    """One number a block as a column."""
    return field.astype(np.float32)[:, None]


def _nibbles(packed: Bytes) -> Floats:
    """[..., n] bytes to [..., 2n]: all low halves, then all high halves."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)


def _join_nibbles(quants: Quants) -> Bytes:
    """The low four bits of [..., 2n] quants to [..., n] bytes."""
    low, high = np.split(quants, 2, axis=1)
    return low & np.uint8(15) | high << np.uint8(4)


def _fifth_bits(packed: Bytes) -> Floats:
    """4 bytes to 32 values, 0 or 16."""
    bits = np.unpackbits(packed, axis=1, bitorder="little")
    return bits.astype(np.float32) * np.float32(16)


def _scale_groups(blocks: Records, quants: Floats) -> Floats:
    scale, low = _six_bit_pairs(blocks["scales"])
    d = _floats(blocks["d"]) * scale
    m = _floats(blocks["m"]) * low
    return (d[:, :, None] * quants - m[:, :, None]).reshape(-1, 256)


def _six_bit_pairs(packed: Bytes) -> tuple[Floats, Floats]:
    """12 bytes to 8 scales and 8 minimums.

    Bytes 0-3 and 4-7 hold scales and minimums 0-3 in their low six bits; their top two bits go
    above the nibbles of bytes 8-11, which are scales (low) and minimums (high) 4-7.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scale = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    low = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return scale.astype(np.float32), low.astype(np.float32)


def _largest(values: Floats) -> Floats:
    """The signed value of largest magnitude in each block, the first one on ties."""
    at = np.abs(values).argmax(axis=1)[:, None]
    return np.take_along_axis(values, at, axis=1)


def _divisor(scale: Floats) -> Floats:
    return np.where(scale == 0, np.float32(1), scale)


def _rounded(values: Floats, most: int) -> Quants:
    return np.clip(np.rint(values), 0, most).astype(np.uint8)
