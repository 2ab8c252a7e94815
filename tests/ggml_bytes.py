"""chatglm.cpp's container byte by byte, written from its description: what ours is held to."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.quants import QuantType, pack

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Record:
    """A tensor as it is to stand in the file."""

    name: str | bytes
    shape: tuple[int, ...]
    kind: int
    data: bytes = field(repr=False)
    rank: int | None = None  # None: the true one

    def packed(self, position: int) -> bytes:
        name = self.name.encode() if isinstance(self.name, str) else self.name
        rank = len(self.shape) if self.rank is None else self.rank
        numbers = (rank, *self.shape, self.kind)
        head = struct.pack("<i", len(name)) + name + struct.pack(f"<{len(numbers)}i", *numbers)
        return head + bytes(-(position + len(head)) % 16) + self.data


@dataclass(frozen=True)
class Ggml:
    """A file's parts; header fields by their place in chatglm.cpp's own order."""

    model_type: int
    dtype: int
    vocab_size: int
    hidden: int
    heads: int
    kv_heads: int
    layers: int
    ffn: int
    tokenizer: bytes = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)
    norm_eps: float = 1e-5
    virtual_tokens: int = 0
    rope_theta: float = 10000.0
    max_length: int = 512
    eos_id: int = 2
    pad_id: int = 0
    version: int = 2

    def packed(self) -> bytes:
        data = self.header()
        for record in self.records:
            data += record.packed(len(data))
        return data

    def header(self) -> bytes:
        start = struct.pack("<4siii", b"ggml", self.model_type, self.version, self.dtype)
        fields = self._version_1() if self.version == 1 else self._version_2()
        return start + fields + struct.pack("<i", len(self.tokenizer)) + self.tokenizer

    def _version_1(self) -> bytes:
        shape = (self.vocab_size, self.hidden, self.heads, self.layers, self.ffn, self.max_length)
        return struct.pack("<11i", *shape, -1, self.eos_id, self.pad_id, -1, self.kv_heads)

    def _version_2(self) -> bytes:
        shape = (self.vocab_size, self.hidden, self.heads, self.kv_heads, self.layers, self.ffn)
        rest = (self.norm_eps, self.virtual_tokens, self.rope_theta, self.max_length)
        return struct.pack("<6ifif3i", *shape, *rest, self.eos_id, self.pad_id)

    def changing(self, name: str, /, **changes: Any) -> "Ggml":
        """With one tensor's record changed."""
        return replace(
            self,
            records=tuple(
                replace(each, **changes) if each.name == name else each for each in self.records
            ),
        )

    def boundaries(self) -> Iterator[int]:
        """Where the header, the tokenizer, and each record's head and data end."""
        yield from (4, 8, 12, 16, 40, 64, 68, len(self.header()))
        position = len(self.header())
        for record in self.records:
            end = position + len(record.packed(position))
            yield from (position + 4, end - len(record.data), end)
            position = end


def record(name: str, values: Array, quant: QuantType) -> Record:
    """A matrix in `quant`, a vector in float32, as the converter writes them."""
    kind = quant if values.ndim == 2 else QuantType.F32
    return Record(name, values.shape, int(kind), pack(kind, values.astype(np.float32)).tobytes())
