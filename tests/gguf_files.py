"""Small random models written as GGUF with the `gguf` library, each beside its transformers twin.

The twin holds the values that the file's blocks stand for, so it says what the engine must
compute. Sizes fit every block format (rows of 256 and 512) and have what real models have:
several query heads a key head, biases where the architecture has them, norms that are not ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf.quants import dequantize, quantize
from gguf_tokenizers import TokenizerMetadata, chatglm_bpe, chatml_bpe
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from engine.quants import QuantType, block_bytes, block_size, row_bytes

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB, CONTEXT = 256, 512, 4, 2, 64, 384, 512
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
}
_SPREAD = 0.08  # of the weights: enough that attention and logits are far from flat
_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",  # gate, then up
    "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}

Rows = npt.NDArray[Any]  # packed rows (uint8), or a vector's numbers (float32)
Tensors = dict[str, Rows]


@dataclass(frozen=True)
class WrittenModel:
    """A model file and the float32 torch model of the same weights."""

    path: Path
    hf_model: PreTrainedModel
    tokenizer: TokenizerMetadata

    @property
    def config(self) -> PreTrainedConfig:
        return self.hf_model.config

    def logits(self, ids: list[int]) -> npt.NDArray[np.float32]:
        """What torch computes after each id: [ids, vocabulary]."""
        with torch.no_grad():
            logits: npt.NDArray[np.float32] = self.hf_model(torch.tensor([ids])).logits[0].numpy()
        return logits


def write_llama(
    path: Path,
    quant: QuantType = QuantType.F32,
    *,
    tied: bool = False,
    layers: int = 2,
    seed: int = 0,
    vocab_size: int = VOCAB,
    tokenizer: TokenizerMetadata | None = None,
    plain: str = "none",
) -> WrittenModel:
    """Separate q, k, v; their rows are permuted so that rotary pairs lie together.

    Tensors with `plain` in their names are float32 whatever `quant` is.
    """
    shape = _SHAPE | {"vocab_size": vocab_size, "num_hidden_layers": layers}
    config = LlamaConfig(**shape, tie_word_embeddings=tied)
    model = LlamaForCausalLM(config)
    tensors = _fill(model, quant, seed, plain)
    for name, rows in tensors.items():
        if ".attn_q." in name or ".attn_k." in name:
            tensors[name] = _pairs_together(rows)
    tokenizer = tokenizer or chatml_bpe("llama-bpe", VOCAB)
    return _write(path, "llama", model, tensors, quant, tokenizer)


def write_qwen2(
    path: Path,
    quant: QuantType = QuantType.F32,
    *,
    tied: bool = False,
    layers: int = 2,
    seed: int = 0,
    tokenizer: TokenizerMetadata | None = None,
    context: int = CONTEXT,
) -> WrittenModel:
    """Separate q, k, v with biases."""
    shape = _SHAPE | {"max_position_embeddings": context}
    config = Qwen2Config(**shape, num_hidden_layers=layers, tie_word_embeddings=tied)
    model = Qwen2ForCausalLM(config)
    tokenizer = tokenizer or chatml_bpe("qwen2", VOCAB)
    return _write(path, "qwen2", model, _fill(model, quant, seed), quant, tokenizer)


def write_chatglm(
    path: Path,
    quant: QuantType = QuantType.F32,
    *,
    layers: int = 2,
    seed: int = 0,
    tokenizer: TokenizerMetadata | None = None,
) -> WrittenModel:
    """Fused q|k|v with bias, fused gate|up, half of each head rotated in pairs."""
    config = GlmConfig(**_SHAPE, num_hidden_layers=layers, head_dim=HEAD_DIM, pad_token_id=None)
    model = GlmForCausalLM(config)
    tensors = _fill(model, quant, seed)
    for layer in range(layers):
        for kind in ("weight", "bias"):
            parts = [tensors.pop(f"blk.{layer}.attn_{part}.{kind}") for part in "qkv"]
            tensors[f"blk.{layer}.attn_qkv.{kind}"] = np.concatenate(parts)
    return _write(path, "chatglm", model, tensors, quant, tokenizer or chatglm_bpe(VOCAB))


def random_rows(
    quant: QuantType, rows: int, columns: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Packed rows of random weights. K-quants, which nobody here can write, are random blocks."""
    if quant not in _SCALES_AT:
        values = rng.normal(0.0, _SPREAD, (rows, columns)).astype(np.float32)
        return quantize(values, gguf.GGMLQuantizationType(quant)).view(np.uint8)
    shape = (rows * columns // block_size(quant), block_bytes(quant))
    blocks = rng.integers(0, 256, shape, dtype=np.uint8)
    _set_scales(quant, blocks, np.ones(len(blocks)))
    spread = dequantize(blocks, gguf.GGMLQuantizationType(quant)).std()
    _set_scales(quant, blocks, rng.uniform(0.5, 1.5, len(blocks)) * _SPREAD / spread)
    return blocks.reshape(rows, row_bytes(quant, columns))


# Where a K-quant's block keeps its half-precision scales, and how large next to the first.
_SCALES_AT = {
    QuantType.Q4_K: {0: 1.0, 2: 7.5},  # minimums that centre the quants on zero
    QuantType.Q5_K: {0: 1.0, 2: 15.5},
    QuantType.Q6_K: {208: 1.0},
}


def _set_scales(
    quant: QuantType, blocks: npt.NDArray[np.uint8], scales: npt.NDArray[np.float64]
) -> None:
    for at, factor in _SCALES_AT[quant].items():
        halves = (scales * factor).astype("<f2")[:, None]
        blocks[:, at : at + 2] = halves.view(np.uint8)


def _fill(model: PreTrainedModel, quant: QuantType, seed: int, plain: str = "none") -> Tensors:
    """Random weights into the model; the same, packed, by their GGUF names."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    rows: Rows
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                low, high = (0.5, 1.5) if "norm" in name else (-1.0, 1.0)
                rows = values = rng.uniform(low, high, len(parameter)).astype(np.float32)
            elif plain in _gguf_name(name):
                rows = values = rng.normal(0, 0.1, tuple(parameter.shape)).astype(np.float32)
            else:
                rows = random_rows(quant, parameter.shape[0], parameter.shape[1], rng)
                values = _values(quant, rows)
            parameter.copy_(torch.from_numpy(values))
            tensors[_gguf_name(name)] = rows
    model.train(False)
    return tensors


def _values(quant: QuantType, packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    plain = {QuantType.F32: np.float32, QuantType.F16: np.float16}
    rows = packed.view(plain.get(quant, np.uint8))
    return dequantize(rows, gguf.GGMLQuantizationType(quant)).astype(np.float32)


def _gguf_name(name: str) -> str:
    stem, kind = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{_NAMES[stem]}.{kind}"
    layer, part = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{_NAMES[part]}.{kind}"


def _pairs_together(rows: Rows) -> Rows:
    """Each head's rows from (i, i + half) rotating together to (2i, 2i + 1)."""
    halves = rows.reshape(-1, 2, HEAD_DIM // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _write(
    path: Path,
    architecture: str,
    model: PreTrainedModel,
    tensors: Tensors,
    quant: QuantType,
    tokenizer: TokenizerMetadata,
) -> WrittenModel:
    writer = gguf.GGUFWriter(path, architecture)
    _add_shape(writer, model)
    tokenizer.add_to(writer)
    for name, rows in tensors.items():
        kind = quant if rows.dtype == np.uint8 else QuantType.F32
        writer.add_tensor(name, rows, raw_dtype=gguf.GGMLQuantizationType(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return WrittenModel(path, model, tokenizer)


def _add_shape(writer: gguf.GGUFWriter, model: PreTrainedModel) -> None:
    config = model.config
    writer.add_name(f"random {writer.arch}")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    rotated = config.rope_parameters.get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(HEAD_DIM * rotated))
