"""Model files of the real shapes with random weights: speed does not depend on what they say.

Weights are drawn so that every row keeps the variance of what it is given, so activations and
logits stay finite and of a plausible spread. Blocks are drawn as bytes, not quantized, as that
takes a tenth of the time; K-quants, which nothing here can quantize, are written so too.
"""

import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.config import ModelConfig, Rope
from engine.containers import Container, Record, ggml_container, gguf_container
from engine.conversion import TYPES
from engine.errors import BadSetting
from engine.ggml import Family
from engine.hf_tokenizer import read_tokenizer
from engine.plan import Floats, Plan, Rows, Weight
from engine.quants import QuantType, block_bytes, block_size, unpack
from engine.quants import pack as pack_floats
from engine.random_tokenizer import byte_level_facts, sentencepiece_model
from engine.writing import Piece, WriteListener, require_new, write_container

Bytes = npt.NDArray[np.uint8]

MIXED = "q4_k_m"  # llama.cpp's: Q4_K, with Q6_K where it matters most
RANDOM_TYPES = (*TYPES, "bf16", "q4_k", "q5_k", "q6_k", MIXED)
_SAMPLE = 4096  # blocks that the spread of a format's values is measured on
_NARROW = {  # what llama.cpp falls back to where a row is no multiple of 256
    QuantType.Q4_K: QuantType.Q5_0,
    QuantType.Q5_K: QuantType.Q5_1,
    QuantType.Q6_K: QuantType.Q8_0,
}


@dataclass(frozen=True)
class _Scale:
    """Where a block keeps its half-precision scale, and its minimum, so many times the scale."""

    at: int = 0
    minimum: float | None = None  # follows the scale; this much centres the values on zero


_SCALES = {
    QuantType.Q4_0: _Scale(),
    QuantType.Q4_1: _Scale(minimum=-7.5),
    QuantType.Q5_0: _Scale(),
    QuantType.Q5_1: _Scale(minimum=-15.5),
    QuantType.Q8_0: _Scale(),
    QuantType.Q4_K: _Scale(minimum=7.5),
    QuantType.Q5_K: _Scale(minimum=15.5),
    QuantType.Q6_K: _Scale(at=208),
}


@dataclass(frozen=True)
class Shape:
    """A model to imitate; `family` if chatglm.cpp's container can hold it."""

    config: ModelConfig
    tied: bool
    pre_tokenizer: str = ""
    family: Family | None = None


def _config(
    architecture: str, name: str, sizes: tuple[int, ...], eps: float, theta: float
) -> ModelConfig:
    layers, hidden, heads, kv_heads, ffn, vocab_size, context = sizes
    head_dim = hidden // heads
    return ModelConfig(
        architecture=architecture,
        name=f"{name}, random",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=ffn,
        vocab_size=vocab_size,
        context_length=context,
        norm_eps=eps,
        rope=Rope.HALVES if architecture == "qwen2" else Rope.PAIRS,
        rope_theta=theta,
        rotary_dim=head_dim // 2 if architecture == "chatglm" else head_dim,
    )


def _shapes() -> Iterator[tuple[str, Shape]]:
    sizes = (28, 4096, 32, 2, 13696, 65024, 8192)
    config = _config("chatglm", "ChatGLM3-6B", sizes, 1e-5, 1e4)
    yield "chatglm3-6b", Shape(config, tied=False, family=Family.CHATGLM3)
    sizes = (28, 1536, 12, 2, 8960, 151936, 32768)
    config = _config("qwen2", "Qwen2.5-Coder-1.5B", sizes, 1e-6, 1e6)
    yield "qwen2.5-coder-1.5b", Shape(config, tied=False, pre_tokenizer="qwen2")
    sizes = (30, 576, 9, 3, 1536, 49152, 8192)
    config = _config("llama", "SmolLM2-135M", sizes, 1e-5, 1e5)
    yield "smollm2-135m", Shape(config, tied=True, pre_tokenizer="smollm")


SHAPES = dict(_shapes())


def make_random(
    shape: Shape,
    kind: str,
    output: Path,
    *,
    force: bool = False,
    listener: WriteListener | None = None,
) -> int:
    """Write a file of that shape, GGUF if `output` is named so, else GGML; returns its size."""
    require_new(output, force)
    container = _container(shape, kind, output)
    write_container(output, container, _random_piece, listener, durable=False)
    return container.size


def _container(shape: Shape, kind: str, output: Path) -> Container:
    quant = QuantType.Q4_K if kind == MIXED else QuantType[kind.upper()]
    plan = _plan(shape, quant, mixed=kind == MIXED)
    model = b"" if shape.family is None else sentencepiece_model(shape.config.vocab_size)
    if output.suffix != ".gguf":
        if kind not in TYPES:
            rule = "one that chatglm.cpp's container holds, or an output named .gguf"
            raise BadSetting(name="type", value=kind, rule=rule)
        return ggml_container(output, plan, quant, model)
    if shape.family is None:
        facts = byte_level_facts(shape.config.vocab_size, shape.pre_tokenizer)
    else:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tokenizer.model").write_bytes(model)
            facts = read_tokenizer(Path(folder), plan)
    return gguf_container(output, plan, quant, facts)


# --- tensors --------------------------------------------------------------------------------------


def _plan(shape: Shape, quant: QuantType, *, mixed: bool) -> Plan:
    tensors = _chatglm(shape.config) if shape.family else _separate(shape.config, shape.tied)
    weights = []
    for name, size in tensors:
        kind = QuantType.Q6_K if mixed and _keeps_more(name, shape.config.layers) else quant
        if size[-1] % block_size(kind):
            kind = _NARROW.get(kind, kind)
        weights.append(Weight(name, size, name, _open_floats(name, size), kind))
    # ChatGLM3's own end of text; of the others the end is in the tokenizer
    return Plan(shape.config, tuple(weights), shape.family, (2,), 0)


def _chatglm(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """In the order of chatglm.cpp's container, whose last tensor must be the output."""
    hidden, fused = config.hidden, (config.heads + 2 * config.kv_heads) * config.head_dim
    yield "token_embd.weight", (config.vocab_size, hidden)
    for block in (f"blk.{layer}." for layer in range(config.layers)):
        yield block + "attn_norm.weight", (hidden,)
        yield block + "attn_qkv.weight", (fused, hidden)
        yield block + "attn_qkv.bias", (fused,)
        yield block + "attn_output.weight", (hidden, hidden)
        yield block + "ffn_norm.weight", (hidden,)
        yield block + "ffn_up.weight", (2 * config.ffn, hidden)
        yield block + "ffn_down.weight", (hidden, config.ffn)
    yield "output_norm.weight", (hidden,)
    yield "output.weight", (config.vocab_size, hidden)


def _separate(config: ModelConfig, tied: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Llama's and Qwen2's, which keep q, k and v, and gate and up, apart."""
    hidden, key = config.hidden, config.kv_heads * config.head_dim
    yield "token_embd.weight", (config.vocab_size, hidden)
    for block in (f"blk.{layer}." for layer in range(config.layers)):
        yield block + "attn_norm.weight", (hidden,)
        for part, rows in (("q", config.heads * config.head_dim), ("k", key), ("v", key)):
            yield f"{block}attn_{part}.weight", (rows, hidden)
            if config.architecture == "qwen2":
                yield f"{block}attn_{part}.bias", (rows,)
        yield block + "attn_output.weight", (hidden, config.heads * config.head_dim)
        yield block + "ffn_norm.weight", (hidden,)
        yield block + "ffn_gate.weight", (config.ffn, hidden)
        yield block + "ffn_up.weight", (config.ffn, hidden)
        yield block + "ffn_down.weight", (hidden, config.ffn)
    yield "output_norm.weight", (hidden,)
    if not tied:
        yield "output.weight", (config.vocab_size, hidden)


def _keeps_more(name: str, layers: int) -> bool:
    """Which tensors llama.cpp's Q4_K_M gives six bits: the output, and in half of the layers."""
    if name == "output.weight":
        return True
    if not name.endswith(("attn_v.weight", "ffn_down.weight")):
        return False
    layer, eighth = int(name.split(".")[1]), layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


# --- numbers --------------------------------------------------------------------------------------


def _open_floats(name: str, size: tuple[int, ...]) -> Callable[[], Rows]:
    def rows(start: int, stop: int) -> Floats:
        values = _generator(name, start).random((stop - start, size[-1]), np.float32)
        if name.endswith("norm.weight"):
            return values + np.float32(0.5)
        spread = 1.0 if name.endswith("bias") else np.sqrt(12.0 / size[-1])
        return (values - np.float32(0.5)) * np.float32(spread)

    return lambda: rows


def _random_piece(record: Record) -> Piece:
    """Packed rows of a tensor; the same for the same tensor and place."""
    weight, kind = record.weight, record.type
    if kind in _SCALES:
        blocks_a_row = weight.columns // block_size(kind)
        scale = 1.0 / (_unit_spread(kind) * np.sqrt(weight.columns))
        return lambda start, stop: _random_blocks(
            kind, (stop - start) * blocks_a_row, scale, _generator(weight.name, start)
        ).reshape(-1)
    rows = weight.open()
    pack = _as_bf16 if kind is QuantType.BF16 else lambda values: pack_floats(kind, values)
    return lambda start, stop: pack(rows(start, stop)).reshape(-1)


def _generator(name: str, start: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([zlib.crc32(name.encode()), start]))


def _random_blocks(kind: QuantType, count: int, scale: float, rng: np.random.Generator) -> Bytes:
    size = count * block_bytes(kind)
    words = rng.integers(0, 1 << 64, -(-size // 8), np.uint64)  # far faster than bytes
    blocks = words.view(np.uint8)[:size].reshape(count, -1)
    if kind is QuantType.Q8_0:  # no writer uses -128, and kernels may rely on that
        np.maximum(blocks.view(np.int8), -127, out=blocks.view(np.int8))
    place = _SCALES[kind]
    scales = (rng.random(count, np.float32) + np.float32(0.5)) * np.float32(scale)
    _set_halves(blocks, place.at, scales)
    if place.minimum is not None:
        _set_halves(blocks, place.at + 2, scales * np.float32(place.minimum))
    return blocks


def _set_halves(blocks: Bytes, at: int, values: Floats) -> None:
    count, stride = blocks.shape
    np.ndarray(count, "<f2", blocks.data, at, (stride,))[:] = values


def _unit_spread(kind: QuantType) -> float:
    """Standard deviation of the values of random blocks whose scales are about one."""
    blocks = _random_blocks(kind, _SAMPLE, 1.0, _generator(kind.name, 0))
    return float(unpack(kind, blocks.reshape(-1)).std())


def _as_bf16(values: Floats) -> Bytes:
    return (values.view(np.uint32) >> 16).astype("<u2").view(np.uint8)
