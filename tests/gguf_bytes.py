"""GGUF files byte by byte, so that tests can put anything wrong into them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10
HIDDEN, VOCAB = 32, 8


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def array(kind: int, count: int, items: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + items


@dataclass(frozen=True)
class Entry:
    """A metadata entry: its value's type number and bytes, right or wrong."""

    key: str
    kind: int
    value: bytes

    def packed(self) -> bytes:
        return string(self.key) + struct.pack("<I", self.kind) + self.value


@dataclass(frozen=True)
class Tensor:
    """A tensor record; `dims` are innermost first, as in the file."""

    name: str
    dims: Sequence[int]
    kind: int = 0
    offset: int = 0

    def packed(self) -> bytes:
        dims = struct.pack(f"<{len(self.dims)}Q", *self.dims)
        where = struct.pack("<IQ", self.kind, self.offset)
        return string(self.name) + struct.pack("<I", len(self.dims)) + dims + where


@dataclass(frozen=True)
class Gguf:
    """A file's parts. Counts that are None are the true ones."""

    entries: tuple[Entry, ...]
    tensors: tuple[Tensor, ...]
    data: bytes = field(repr=False)
    version: int = 3
    alignment: int = 32
    n_tensors: int | None = None
    n_entries: int | None = None

    def packed(self) -> bytes:
        header = self.header()
        return header + bytes(-len(header) % self.alignment) + self.data

    def header(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_entries = len(self.entries) if self.n_entries is None else self.n_entries
        counts = struct.pack("<IQQ", self.version, n_tensors, n_entries)
        return b"GGUF" + counts + self.metadata() + b"".join(map(Tensor.packed, self.tensors))

    def metadata(self) -> bytes:
        return b"".join(map(Entry.packed, self.entries))

    def having(self, *entries: Entry) -> "Gguf":
        """With these entries in place of those of the same key."""
        keys = {entry.key for entry in entries}
        kept = (entry for entry in self.entries if entry.key not in keys)
        return replace(self, entries=(*kept, *entries))

    def lacking(self, key: str) -> "Gguf":
        return replace(self, entries=tuple(each for each in self.entries if each.key != key))

    def changing(self, name: str, **changes: Any) -> "Gguf":
        """With one tensor's record changed."""
        return replace(
            self,
            tensors=tuple(
                replace(each, **changes) if each.name == name else each for each in self.tensors
            ),
        )

    def adding(self, *tensors: Tensor) -> "Gguf":
        return replace(self, tensors=self.tensors + tensors)


def u32(key: str, value: int) -> Entry:
    return Entry(key, U32, struct.pack("<I", value))


def f32(key: str, value: float) -> Entry:
    return Entry(key, F32, struct.pack("<f", value))


def text(key: str, value: str | bytes) -> Entry:
    return Entry(key, STRING, string(value))


def smallest_model() -> Gguf:
    """A sound file: one llama layer of 32 numbers a row, in float32."""
    entries = (
        text("general.architecture", "llama"),
        u32("llama.block_count", 1),
        u32("llama.context_length", 16),
        u32("llama.embedding_length", HIDDEN),
        u32("llama.feed_forward_length", HIDDEN),
        u32("llama.attention.head_count", 1),
        f32("llama.attention.layer_norm_rms_epsilon", 1e-5),
        Entry("some.numbers", ARRAY, array(U8, 3, b"\1\2\3")),
        Entry("some.lists", ARRAY, array(ARRAY, 2, array(U8, 1, b"\7") + array(U8, 0, b""))),
        Entry("some.strings", ARRAY, array(STRING, 2, string("a") + string("b"))),
    )
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {
        "token_embd.weight": (HIDDEN, VOCAB),
        "output_norm.weight": (HIDDEN,),
        "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.ffn_norm.weight": (HIDDEN,),
        **{f"blk.0.{name}.weight": (HIDDEN, HIDDEN) for name in square},
    }
    tensors, offset = [], 0
    for name, dims in shapes.items():
        tensors.append(Tensor(name, dims, offset=offset))
        offset += 4 * HIDDEN * (dims[1] if len(dims) > 1 else 1)
    data = struct.pack(f"<{offset // 4}f", *range(offset // 4))
    return Gguf(entries, tuple(tensors), data)
