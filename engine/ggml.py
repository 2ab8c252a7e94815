"""Reading chatglm.cpp's GGML containers: ChatGLM2, ChatGLM3 and GLM-4, header versions 1 and 2.

The header says the model's shape and holds its tokenizer; then come tensor records to the end of
the file, taken by name in any order. Each size is held against the bytes that are there.
"""

import math
import mmap
import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from engine.config import ModelConfig, Rope
from engine.errors import BadModelFile, BadSetting, UnsupportedModel
from engine.modelfile import ModelFile, RawTensor, check_shapes, map_file
from engine.quants import QuantType, block_size, row_bytes

MAGIC = b"ggml"
PREFIX_NAME = "past_key_values"  # P-Tuning's trained keys and values
TOKENIZER_BYTES = "chatglm.tokenizer"  # metadata: the tokenizer's file, as the model came with it
VIRTUAL_TOKENS = "chatglm.virtual_tokens"  # metadata: how many positions the prefix has

_ALIGN = 16
_MAX_NAME = 256
_VERSIONS = (1, 2)
_UNSUPPORTED_TYPES = {
    1: "ChatGLM",
    1004: "ChatGLM4V",
    1024: "Baichuan7B",
    1025: "Baichuan13B",
    1280: "InternLM",
    1281: "InternLM20B",
}
_TOP_NAMES = {
    "transformer.embedding.word_embeddings.weight": "token_embd.weight",
    "transformer.encoder.final_layernorm.weight": "output_norm.weight",
    "transformer.output_layer.weight": "output.weight",
}
_LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attention.query_key_value.weight": "attn_qkv.weight",
    "self_attention.query_key_value.bias": "attn_qkv.bias",
    "self_attention.dense.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.dense_h_to_4h.weight": "ffn_up.weight",  # gate, then up
    "mlp.dense_4h_to_h.weight": "ffn_down.weight",
}
_LAYER_NAME = re.compile(r"transformer\.encoder\.layers\.(\d{1,5})\.(.+)")


class Family(IntEnum):
    """The models of the container that we run, by its own numbers."""

    CHATGLM2 = 2
    CHATGLM3 = 3
    CHATGLM4 = 4


_TOKENIZERS = {
    Family.CHATGLM2: "chatglm2-sentencepiece",
    Family.CHATGLM3: "chatglm3-sentencepiece",
    Family.CHATGLM4: "chatglm4-tiktoken",
}


@dataclass(frozen=True)
class _Header:
    """What the two versions of the header say."""

    family: Family
    vocab_size: int
    hidden: int
    heads: int
    kv_heads: int
    layers: int
    ffn: int
    context_length: int
    eos_id: int
    pad_id: int
    norm_eps: float = 1e-5
    virtual_tokens: int = 0
    rope_theta: float = 10000.0


def read_ggml(path: Path) -> ModelFile:
    """Open a GGML file whose every tensor is known to lie inside it."""
    mapping = map_file(path, MAGIC)
    try:
        return _read(path, mapping)
    except BaseException:
        mapping.close()
        raise


def canonical_name(name: str) -> str:
    """A tensor's GGUF name; its own where it has none."""
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    match = _LAYER_NAME.fullmatch(name)
    if match and match[2] in _LAYER_NAMES:
        return f"blk.{int(match[1])}.{_LAYER_NAMES[match[2]]}"
    return name


def ggml_name(name: str) -> str:
    """The container's name of a tensor, given its GGUF name."""
    for ours, theirs in _TOP_NAMES.items():
        if theirs == name:
            return ours
    for ours, theirs in _LAYER_NAMES.items():
        if name.startswith("blk.") and name.split(".", 2)[2] == theirs:
            return f"transformer.encoder.layers.{name.split('.')[1]}.{ours}"
    return name


def _read(path: Path, mapping: mmap.mmap) -> ModelFile:
    reader = _Reader(path, mapping)
    header = _read_header(reader)
    config = _config(path, header)
    metadata = _metadata(reader, header)
    records: dict[str, _Record] = {}
    while reader.position < len(mapping):
        record = _read_record(reader)
        if record.name in records:
            raise reader.fail("it twice", "each name once")
        records[record.name] = record
    _check_prefix(path, config, header, records.get(PREFIX_NAME))
    shapes = {name: record.shape for name, record in records.items() if name != PREFIX_NAME}
    if "output.weight" not in shapes:  # the last one written: the file may have been cut short
        raise BadModelFile(
            path=path,
            where="tensors",
            found="no transformer.output_layer.weight",
            expected="all tensors; the file may be incomplete",
        )
    check_shapes(path, config, shapes)
    tensors = {name: record.view(mapping) for name, record in records.items()}
    return ModelFile(path, len(mapping), config, metadata, tensors, mapping)


class _Reader:
    """A position in the file that cannot leave it."""

    def __init__(self, path: Path, mapping: mmap.mmap) -> None:
        self.path = path
        self.where = "header"
        self.position = len(MAGIC)
        self._bytes = mapping

    def fail(self, found: object, expected: str) -> BadModelFile:
        return BadModelFile(path=self.path, where=self.where, found=found, expected=expected)

    def skip(self, count: int, what: str) -> int:
        """Move over `count` bytes that must be there; returns where they begin."""
        start, left = self.position, len(self._bytes) - self.position
        if not 0 <= count <= left:
            raise self.fail(f"{count} bytes of {what}", f"what fits the {left} bytes left")
        self.position += count
        return start

    def take(self, count: int, what: str) -> bytes:
        start = self.skip(count, what)
        return self._bytes[start : start + count]

    def i32(self) -> int:
        return self.i32s(1)[0]

    def i32s(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self.take(4 * count, "numbers"))

    def f32(self) -> float:
        (number,) = struct.unpack("<f", self.take(4, "a number"))
        return float(number)


def _read_header(reader: _Reader) -> _Header:
    number, version = reader.i32s(2)
    if number in _UNSUPPORTED_TYPES:
        raise UnsupportedModel(
            path=reader.path,
            what="model type",
            found=_UNSUPPORTED_TYPES[number],
            supported=", ".join(family.name for family in Family),
        )
    if number not in list(Family) or version not in _VERSIONS:
        raise reader.fail(
            f"model type {number}, version {version}",
            "type 2, 3 or 4 and version 1 or 2, as chatglm.cpp writes; "
            "this may be a GGML file of another program",
        )
    if reader.i32() not in list(QuantType):
        raise reader.fail("an unknown tensor type", "one of ggml's numbers")
    read = _read_version_1 if version == 1 else _read_version_2
    return read(reader, Family(number))


def _read_version_1(reader: _Reader, family: Family) -> _Header:
    vocab, hidden, heads, layers, ffn, context, _, eos, pad, _, kv_heads = reader.i32s(11)
    return _Header(family, vocab, hidden, heads, kv_heads, layers, ffn, context, eos, pad)


def _read_version_2(reader: _Reader, family: Family) -> _Header:
    vocab, hidden, heads, kv_heads, layers, ffn = reader.i32s(6)
    eps, virtual, theta = reader.f32(), reader.i32(), reader.f32()
    context, eos, pad = reader.i32s(3)
    return _Header(
        family, vocab, hidden, heads, kv_heads, layers, ffn, context, eos, pad, eps, virtual, theta
    )


def _config(path: Path, header: _Header) -> ModelConfig:
    try:
        if header.heads < 1 or header.hidden % header.heads:
            raise BadSetting(name="heads", value=header.heads, rule="a divisor of hidden")
        if header.kv_heads < 1:
            raise BadSetting(name="kv_heads", value=header.kv_heads, rule="1 or more")
        head_dim = header.hidden // header.heads
        return ModelConfig(
            architecture="chatglm",
            name=path.stem,
            layers=header.layers,
            hidden=header.hidden,
            heads=header.heads,
            kv_heads=header.kv_heads,
            head_dim=head_dim,
            ffn=header.ffn,
            vocab_size=header.vocab_size,
            context_length=header.context_length,
            norm_eps=header.norm_eps,
            rope=Rope.PAIRS,
            rope_theta=header.rope_theta,
            rotary_dim=head_dim // 2,
        )
    except BadSetting as error:
        raise BadModelFile(
            path=path,
            where=f"header ({error.fields['name']})",
            found=error.fields["value"],
            expected=error.fields["rule"],
        ) from error


def _metadata(reader: _Reader, header: _Header) -> dict[str, object]:
    reader.where = "tokenizer"
    tokenizer = reader.take(reader.i32(), "tokenizer")
    metadata: dict[str, object] = {
        "general.architecture": "chatglm",
        "general.name": reader.path.stem,
        "tokenizer.ggml.model": _TOKENIZERS[header.family],
        TOKENIZER_BYTES: tokenizer,
        VIRTUAL_TOKENS: header.virtual_tokens,
    }
    if header.eos_id >= 0:
        metadata["tokenizer.ggml.eos_token_id"] = header.eos_id
    return metadata


@dataclass(frozen=True)
class _Record:
    """A tensor's place in the file; views come last, as a mapping with views cannot be closed."""

    name: str
    shape: tuple[int, ...]
    type: QuantType
    offset: int
    size: int

    def view(self, mapping: mmap.mmap) -> RawTensor:
        data = np.frombuffer(mapping, np.uint8, self.size, self.offset)
        return RawTensor(self.name, self.shape, self.type, self.offset, data)


def _read_record(reader: _Reader) -> _Record:
    reader.where = f"tensor record at byte {reader.position}"
    length = reader.i32()
    if not 1 <= length <= _MAX_NAME:
        raise reader.fail(f"a name of {length} bytes", f"1 to {_MAX_NAME}")
    name = _decoded(reader, reader.take(length, "name"))
    reader.where = f"tensor {name}"
    rank = reader.i32()
    if not 1 <= rank <= 4:
        raise reader.fail(f"{rank} dimensions", "1 to 4")
    shape = reader.i32s(rank)
    if min(shape) < 1:
        raise reader.fail(f"shape {shape}", "dimensions of 1 or more")
    quant = _quant_type(reader, reader.i32())
    if shape[-1] % block_size(quant):
        expected = f"a multiple of {quant.name}'s {block_size(quant)}"
        raise reader.fail(f"rows of {shape[-1]}", expected)
    size = math.prod(shape[:-1]) * row_bytes(quant, shape[-1])
    reader.skip(-reader.position % _ALIGN, "padding")
    return _Record(canonical_name(name), shape, quant, reader.skip(size, "data"), size)


def _decoded(reader: _Reader, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise reader.fail(f"a name {name[:40]!r}", "UTF-8") from error


def _quant_type(reader: _Reader, number: int) -> QuantType:
    try:
        return QuantType(number)
    except ValueError:
        supported = ", ".join(f"{quant.name} ({quant.value})" for quant in QuantType)
        raise reader.fail(f"tensor type {number}", supported) from None


def _check_prefix(path: Path, config: ModelConfig, header: _Header, record: _Record | None) -> None:
    """The header's count of virtual tokens and the trained prefix say the same."""
    count = header.virtual_tokens
    shape = (2 * config.layers, config.kv_heads, count, config.head_dim)
    found = (record.shape, record.type.name) if record else "nothing"
    expected = (shape, "F16") if count else "nothing"
    if found != expected:
        raise BadModelFile(path=path, where=PREFIX_NAME, found=found, expected=expected)
