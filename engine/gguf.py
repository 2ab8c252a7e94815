"""Reading GGUF files, versions 2 and 3, little-endian.

Nothing in the file is believed: each count, length, size and offset is held against the bytes
that are there before anything is read or allocated for it.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import BadModelFile, UnsupportedModel
from engine.gguf_config import read_config
from engine.modelfile import ModelFile, RawTensor, check_shapes, map_file
from engine.quants import QuantType, block_size, row_bytes

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER = 1 << 28  # the largest vocabularies take 20 MB; more would only fill memory
_MAX_DEPTH = 4
_STRING, _ARRAY, _BOOL = 8, 9, 7
_DTYPES = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "u1", None, None, "<u8", "<i8", "<f8")
_NUMBERS = {kind: np.dtype(name) for kind, name in enumerate(_DTYPES) if name}
_LEAST_BYTES = {_STRING: 8, _ARRAY: 12}  # an empty one
_PAIR_BYTES = 8 + 4 + 1  # an empty key, its type, one byte
_RECORD_BYTES = 8 + 4 + 8 + 4 + 8  # an empty name, rank, one dimension, type, offset
_OTHER_NUMBERS = (9, 10, 11, 15, *range(16, 24), 29, 34, 35, 39)
_OTHER_NAMES = (
    "Q8_1 Q2_K Q3_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ2_S IQ4_XS IQ1_M "
    "TQ1_0 TQ2_0 MXFP4"
)
_OTHER_TYPES = dict(zip(_OTHER_NUMBERS, _OTHER_NAMES.split(), strict=True))


def read_gguf(path: Path) -> ModelFile:
    """Open a GGUF file whose every tensor is known to lie inside it."""
    mapping = map_file(path, MAGIC)
    try:
        return _read(path, mapping)
    except BaseException:
        mapping.close()
        raise


def _read(path: Path, mapping: mmap.mmap) -> ModelFile:
    reader = _Reader(path, mapping)
    n_tensors, n_pairs = _read_counts(reader)
    metadata = _read_metadata(reader, n_pairs)
    records = [_read_record(reader) for _ in range(n_tensors)]
    alignment = _alignment(path, metadata)
    start = -(-reader.position // alignment) * alignment
    _check_placement(path, records, start, alignment, len(mapping))
    config = read_config(path, metadata, _vocab_size(path, records))
    check_shapes(path, config, {record.name: record.shape for record in records})
    tensors = {record.name: record.view(mapping, start) for record in records}
    return ModelFile(path, len(mapping), config, metadata, tensors, mapping)


class _Reader:
    """A position in the header that cannot leave it."""

    def __init__(self, path: Path, mapping: mmap.mmap) -> None:
        self.path = path
        self.where = "header"
        self.position = len(MAGIC)
        self._bytes = mapping
        self._end = min(len(mapping), _MAX_HEADER)

    def fail(self, found: object, expected: str) -> BadModelFile:
        return BadModelFile(path=self.path, where=self.where, found=found, expected=expected)

    def need(self, count: int, least: int, what: str) -> None:
        """Refuse `count` things of at least `least` bytes that cannot be there."""
        left = self._end - self.position
        if count * least > left:
            raise self.fail(f"{count} {what}", f"what fits the {left} bytes left")

    def take(self, count: int) -> bytes:
        self.need(count, 1, "bytes")
        start = self.position
        self.position += count
        return self._bytes[start : self.position]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self) -> str:
        return self.strings(1)[0]

    def strings(self, count: int) -> list[str]:
        """The loop that a vocabulary's 300,000 strings go through."""
        self.need(count, _LEAST_BYTES[_STRING], "strings")
        data, position, end = self._bytes, self.position, self._end
        length_at, found = struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            if position + 8 > end:
                self.position = position
                self.need(8, 1, "bytes")
            (length,) = length_at(data, position)
            position += 8
            if length > end - position:
                self.position = position
                self.need(length, 1, "bytes of text")
            found.append(data[position : position + length])
            position += length
        self.position = position
        return self._decoded(found)

    def numbers(self, kind: int, count: int) -> npt.NDArray[np.generic]:
        dtype = _NUMBERS[kind]
        self.need(count, dtype.itemsize, "numbers")
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def value(self, kind: int) -> object:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(1)
        if kind not in _NUMBERS:
            raise self.fail(f"value type {kind}", "0 to 12")
        number = self.numbers(kind, 1)[0].item()
        return self.truth(number) if kind == _BOOL else number

    def truth(self, number: int) -> bool:
        if number not in (0, 1):
            raise self.fail(f"{number} for a truth value", "0 or 1")
        return bool(number)

    def array(self, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise self.fail("deeper nested lists", f"at most {_MAX_DEPTH} levels")
        kind, count = self.u32(), self.u64()
        if kind == _STRING:
            return self.strings(count)
        if kind == _ARRAY:
            self.need(count, _LEAST_BYTES[_ARRAY], "lists")
            return [self.array(depth + 1) for _ in range(count)]
        if kind not in _NUMBERS:
            raise self.fail(f"a list of value type {kind}", "0 to 12")
        return self.numbers(kind, count)

    def _decoded(self, strings: list[bytes]) -> list[str]:
        try:
            return [string.decode() for string in strings]
        except UnicodeDecodeError as error:
            raise self.fail(f"text {error.object[:40]!r}", "UTF-8") from error


@dataclass(frozen=True)
class _Record:
    """What the header says of a tensor; `offset` counts from the data section."""

    name: str
    shape: tuple[int, ...]
    type: QuantType
    offset: int
    size: int

    def view(self, mapping: mmap.mmap, start: int) -> RawTensor:
        offset = start + self.offset
        data = np.frombuffer(mapping, np.uint8, self.size, offset)
        return RawTensor(self.name, self.shape, self.type, offset, data)


def _read_counts(reader: _Reader) -> tuple[int, int]:
    version = reader.u32()
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        found = f"{swapped} (big-endian)" if swapped in _VERSIONS else version
        raise UnsupportedModel(
            path=reader.path,
            what="GGUF version",
            found=found,
            supported="2 and 3, little-endian",
        )
    n_tensors, n_pairs = reader.u64(), reader.u64()
    reader.need(n_tensors, _RECORD_BYTES, "tensors")
    reader.need(n_pairs, _PAIR_BYTES, "metadata entries")
    return n_tensors, n_pairs


def _read_metadata(reader: _Reader, n_pairs: int) -> dict[str, object]:
    metadata: dict[str, object] = {}
    for index in range(n_pairs):
        reader.where = f"metadata entry {index + 1} of {n_pairs}"
        key = reader.string()
        reader.where = f"metadata '{key[:80]}'"
        if key in metadata:
            raise reader.fail("it twice", "each key once")
        metadata[key] = reader.value(reader.u32())
    reader.where = "list of tensors"
    return metadata


def _read_record(reader: _Reader) -> _Record:
    reader.where = "list of tensors"
    name = reader.string()
    reader.where = f"tensor {name[:80]}"
    rank = reader.u32()
    if not 1 <= rank <= 4:
        raise reader.fail(f"{rank} dimensions", "1 to 4")
    shape = tuple(reader.u64() for _ in range(rank))[::-1]
    if min(shape) < 1:
        raise reader.fail(f"shape {shape}", "dimensions of 1 or more")
    quant = _quant_type(reader, name, reader.u32())
    if shape[-1] % block_size(quant):
        expected = f"a multiple of {quant.name}'s {block_size(quant)}"
        raise reader.fail(f"rows of {shape[-1]}", expected)
    size = math.prod(shape[:-1]) * row_bytes(quant, shape[-1])
    return _Record(name, shape, quant, reader.u64(), size)


def _quant_type(reader: _Reader, name: str, number: int) -> QuantType:
    try:
        return QuantType(number)
    except ValueError:
        found = f"{_OTHER_TYPES[number]} ({number})" if number in _OTHER_TYPES else number
        raise UnsupportedModel(
            path=reader.path,
            what=f"{name}: tensor type",
            found=found,
            supported=", ".join(quant.name for quant in QuantType),
        ) from None


def _vocab_size(path: Path, records: list[_Record]) -> int:
    """The embedding's rows: they bound the ids, whatever the tokenizer lists."""
    for record in records:
        if record.name == "token_embd.weight":
            return record.shape[0]
    raise BadModelFile(
        path=path, where="tensors", found="no token_embd.weight", expected="one to embed tokens"
    )


def _alignment(path: Path, metadata: dict[str, object]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise BadModelFile(
            path=path,
            where="metadata 'general.alignment'",
            found=alignment,
            expected="a power of two",
        )
    return alignment


def _check_placement(
    path: Path, records: list[_Record], start: int, alignment: int, file_size: int
) -> None:
    """Each tensor inside the file, aligned, named once, and on bytes of its own."""
    names: set[str] = set()
    last = 0
    for record in sorted(records, key=lambda record: record.offset):
        where, offset = f"tensor {record.name}", record.offset
        end = start + offset + record.size
        if record.name in names:
            found, expected = "it twice", "each name once"
        elif offset % alignment:
            found, expected = f"offset {offset}", f"a multiple of {alignment}"
        elif end > file_size:
            found, expected = f"data up to byte {end}", f"all within the file's {file_size}"
        elif offset < last:
            found, expected = f"offset {offset}", f"{last} or more, after its neighbour"
        else:
            names.add(record.name)
            last = offset + record.size
            continue
        raise BadModelFile(path=path, where=where, found=found, expected=expected)
