"""The two containers a model is written in: chatglm.cpp's GGML, version 2, and GGUF.

A container is all of a file but its tensors' data: the header, and what stands before each tensor.
"""

import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

from engine.errors import UnsupportedModel
from engine.ggml import MAGIC, PREFIX_NAME, Family, ggml_name
from engine.hf_tokenizer import TokenizerFacts
from engine.plan import Plan, Weight
from engine.quants import QuantType, block_size, row_bytes

_GGML_ALIGN = 16
_GGUF_ALIGN = 32
_FILE_TYPES = {
    QuantType.F32: gguf.LlamaFileType.ALL_F32,
    QuantType.F16: gguf.LlamaFileType.MOSTLY_F16,
    QuantType.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
    QuantType.Q4_1: gguf.LlamaFileType.MOSTLY_Q4_1,
    QuantType.Q5_0: gguf.LlamaFileType.MOSTLY_Q5_0,
    QuantType.Q5_1: gguf.LlamaFileType.MOSTLY_Q5_1,
    QuantType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    QuantType.Q4_K: gguf.LlamaFileType.MOSTLY_Q4_K_M,
    QuantType.Q5_K: gguf.LlamaFileType.MOSTLY_Q5_K_M,
    QuantType.Q6_K: gguf.LlamaFileType.MOSTLY_Q6_K,
    QuantType.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}


@dataclass(frozen=True)
class Record:
    """A tensor's place: `head` are the bytes before its data."""

    weight: Weight
    name: str
    type: QuantType
    head: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return data_bytes(self.weight, self.type)


@dataclass(frozen=True)
class Container:
    """A file to be written; `tail` are the bytes after the last tensor's data."""

    header: bytes = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)
    tail: bytes = b""

    @property
    def size(self) -> int:
        records = sum(len(record.head) + record.size for record in self.records)
        return len(self.header) + records + len(self.tail)


def data_bytes(weight: Weight, quant: QuantType) -> int:
    return weight.rows * row_bytes(quant, weight.columns)


def ggml_container(path: Path, plan: Plan, quant: QuantType, tokenizer: bytes) -> Container:
    """chatglm.cpp's container; refuses models that it cannot hold."""
    if plan.family is None:
        raise UnsupportedModel(
            path=path,
            what="GGML container of",
            found=plan.config.architecture,
            supported="ChatGLM's own folders; name the output .gguf",
        )
    header = _ggml_header(plan, plan.family, quant, tokenizer)
    records, position = [], len(header)
    for weight in plan.weights:
        kind = _type_of(path, weight, quant)
        head = _ggml_head(weight, kind, position)
        records.append(Record(weight, ggml_name(weight.name), kind, head))
        position += len(head) + records[-1].size
    return Container(header, tuple(records))


def gguf_container(path: Path, plan: Plan, quant: QuantType, facts: TokenizerFacts) -> Container:
    """A GGUF file as llama.cpp reads it; refuses models that GGUF cannot hold."""
    if plan.virtual_tokens:
        raise UnsupportedModel(
            path=path,
            what="GGUF of a model with",
            found="a P-Tuning prefix",
            supported="a GGML container; name the output .bin",
        )
    types = [_type_of(path, weight, quant) for weight in plan.weights]
    header = _gguf_header(plan, quant, facts, types)
    typed = list(zip(plan.weights, types, strict=True))
    heads = _paddings(len(header), [data_bytes(weight, kind) for weight, kind in typed])
    records = [Record(weight, weight.name, kind, next(heads)) for weight, kind in typed]
    return Container(header, tuple(records), next(heads))


def _type_of(path: Path, weight: Weight, quant: QuantType) -> QuantType:
    """Vectors stay float32; the prefix is half precision, as chatglm.cpp has it."""
    if len(weight.shape) == 1:
        return QuantType.F32
    if weight.name == PREFIX_NAME:
        return QuantType.F16
    quant = quant if weight.type is None else weight.type
    if weight.columns % block_size(quant):
        raise UnsupportedModel(
            path=path,
            what=f"{weight.source}: width",
            found=weight.columns,
            supported=f"multiples of {quant.name}'s {block_size(quant)}; or -t f16",
        )
    return quant


def _ggml_header(plan: Plan, family: Family, quant: QuantType, tokenizer: bytes) -> bytes:
    config = plan.config
    eos_id = _eos_id(plan, family, tokenizer)
    return b"".join(
        (
            struct.pack("<4s3i", MAGIC, family, 2, quant),
            struct.pack("<4i", config.vocab_size, config.hidden, config.heads, config.kv_heads),
            struct.pack("<2if", config.layers, config.ffn, config.norm_eps),
            struct.pack("<ifi", plan.virtual_tokens, config.rope_theta, config.context_length),
            struct.pack("<2i", eos_id, -1 if plan.pad_id is None else plan.pad_id),
            struct.pack("<i", len(tokenizer)),
            tokenizer,
        )
    )


def _eos_id(plan: Plan, family: Family, tokenizer: bytes) -> int:
    """GLM-4's is its tokenizer's: the first id after the words."""
    if family is Family.CHATGLM4:
        return len(tokenizer.splitlines())
    return plan.eos_ids[0] if plan.eos_ids else -1


def _ggml_head(weight: Weight, quant: QuantType, position: int) -> bytes:
    name = ggml_name(weight.name).encode()
    numbers = (len(weight.shape), *weight.shape, int(quant))
    head = struct.pack("<i", len(name)) + name + struct.pack(f"<{len(numbers)}i", *numbers)
    return head + bytes(-(position + len(head)) % _GGML_ALIGN)


def _paddings(position: int, sizes: list[int]) -> Iterator[bytes]:
    """What brings each tensor, and the end of the file, to a multiple of GGUF's alignment."""
    for size in (*sizes, 0):
        padding = bytes(-position % _GGUF_ALIGN)
        yield padding
        position += len(padding) + size


def _gguf_header(
    plan: Plan, quant: QuantType, facts: TokenizerFacts, types: list[QuantType]
) -> bytes:
    """The library writes headers to files only, so it is given one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "header.gguf"
        writer = gguf.GGUFWriter(path, plan.config.architecture)
        _add_shape(writer, plan, quant)
        _add_tokenizer(writer, facts)
        for weight, kind in zip(plan.weights, types, strict=True):
            writer.add_tensor_info(
                weight.name,
                weight.shape,
                np.dtype(np.float32),
                data_bytes(weight, kind),
                gguf.GGMLQuantizationType(kind),
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        return path.read_bytes()


def _add_shape(writer: gguf.GGUFWriter, plan: Plan, quant: QuantType) -> None:
    config = plan.config
    writer.add_name(config.name)
    writer.add_file_type(_FILE_TYPES[quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.hidden)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.rotary_dim)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: gguf.GGUFWriter, facts: TokenizerFacts) -> None:
    writer.add_tokenizer_model(facts.model)
    writer.add_tokenizer_pre(facts.pre)
    writer.add_token_list(facts.tokens)
    writer.add_token_types(facts.kinds)
    writer.add_add_bos_token(facts.add_bos)
    optional: tuple[tuple[Callable[..., None], object], ...] = (
        (writer.add_token_scores, facts.scores),
        (writer.add_token_merges, facts.merges),
        (writer.add_bos_token_id, facts.bos_id),
        (writer.add_eos_token_id, facts.eos_id),
        (writer.add_eot_token_id, facts.eot_id),
        (writer.add_eom_token_id, facts.eom_id),
        (writer.add_pad_token_id, facts.pad_id),
        (writer.add_add_space_prefix, facts.add_space_prefix),
        (writer.add_chat_template, facts.chat_template),
    )
    for add, value in optional:
        if value is not None:
            add(value)
