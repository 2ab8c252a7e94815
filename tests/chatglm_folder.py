"""Tiny random models of the ChatGLM family as Hugging Face folders, and their torch twins."""

import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ggml_bytes
import numpy as np
import sentencepiece
import torch
from nano.hf import glm_config, renamed
from safetensors.torch import save_file
from transformers import GlmForCausalLM

from engine.quants import QuantType

HIDDEN, FFN, HEADS, KV_HEADS, LAYERS, VOCAB, CONTEXT = 64, 96, 4, 2, 2, 448, 256
HEAD_DIM = HIDDEN // HEADS
_CORPUS = (
    "the quick brown fox jumps over the lazy dog",
    "hello world, how are you today?",
    "你好，今天北京的天气怎么样？",
    "def f(x): return x + 1",
)
Tensors = dict[str, torch.Tensor]


@functools.cache
def sentencepiece_model(n_pieces: int = 400) -> bytes:
    """A small model with ChatGLM3's settings."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS * 4),
        model_writer=out,
        model_type="bpe",
        vocab_size=n_pieces,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        byte_fallback=True,
        split_digits=True,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


@dataclass(frozen=True)
class Checkpoint:
    """What a ChatGLM3 folder holds; `write` makes one."""

    config: Mapping[str, Any]
    tensors: Tensors = field(repr=False)
    tokenizer: bytes = field(repr=False)

    def write(self, folder: Path, *, shards: int = 1) -> Path:
        """The folder, its weights in so many safetensors shards."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config), encoding="utf-8")
        (folder / "tokenizer.model").write_bytes(self.tokenizer)
        if shards == 1:
            save_file(self.tensors, folder / "model.safetensors")
            return folder
        parts = self._parts(shards, "model-{:05}-of-{:05}.safetensors")
        for name, part in parts.items():
            save_file(part, folder / name)
        self._write_index(folder / "model.safetensors.index.json", parts)
        return folder

    def write_torch(self, folder: Path, *, shards: int = 1) -> Path:
        """The same with torch.save's shards."""
        self.write(folder)
        (folder / "model.safetensors").unlink()
        if shards == 1:
            torch.save(self.tensors, folder / "pytorch_model.bin")
            return folder
        parts = self._parts(shards, "pytorch_model-{:05}-of-{:05}.bin")
        for name, part in parts.items():
            torch.save(part, folder / name)
        self._write_index(folder / "pytorch_model.bin.index.json", parts)
        return folder

    def having(self, **config: Any) -> "Checkpoint":
        return replace(self, config={**self.config, **config})

    def putting(self, **tensors: torch.Tensor) -> "Checkpoint":
        """With some tensors in place of others."""
        return replace(self, tensors={**self.tensors, **tensors})

    def lacking(self, name: str) -> "Checkpoint":
        return replace(self, tensors={key: t for key, t in self.tensors.items() if key != name})

    def to(self, dtype: torch.dtype) -> "Checkpoint":
        return replace(self, tensors={name: t.to(dtype) for name, t in self.tensors.items()})

    def glm(self) -> GlmForCausalLM:
        """transformers' model of the same weights, in float32."""
        model = GlmForCausalLM(glm_config(dict(self.config)))
        state: Tensors = {}
        for name, tensor in self.tensors.items():
            state |= renamed(name, tensor.float(), dict(self.config))
        model.load_state_dict(state)
        model.train(False)
        return model

    def ggml(self, quant: QuantType, model_type: int = 3) -> ggml_bytes.Ggml:
        """The container that chatglm.cpp's converter writes of it."""
        records = [
            ggml_bytes.record(name, self.tensors[name].float().numpy(), quant)
            for name in ggml_order(self.config["num_layers"])
        ]
        return ggml_bytes.Ggml(
            model_type=model_type,
            dtype=int(quant),
            vocab_size=self.config["padded_vocab_size"],
            hidden=self.config["hidden_size"],
            heads=self.config["num_attention_heads"],
            kv_heads=self.config["multi_query_group_num"],
            layers=self.config["num_layers"],
            ffn=self.config["ffn_hidden_size"],
            tokenizer=self.tokenizer,
            records=tuple(records),
            rope_theta=10000.0 * self.config.get("rope_ratio", 1),
            max_length=self.config["seq_length"],
        )

    def _parts(self, shards: int, pattern: str) -> dict[str, Tensors]:
        names = list(self.tensors)
        return {
            pattern.format(at + 1, shards): {name: self.tensors[name] for name in names[at::shards]}
            for at in range(shards)
        }

    def _write_index(self, path: Path, parts: Mapping[str, Tensors]) -> None:
        weight_map = {name: shard for shard, part in parts.items() for name in part}
        total = sum(t.numel() * t.element_size() for t in self.tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        path.write_text(json.dumps(index), encoding="utf-8")


def chatglm3(seed: int = 0) -> Checkpoint:
    """Random weights in float16, with biases and norms that are not trivial."""
    rng = np.random.default_rng(seed)
    config = {
        "architectures": ["ChatGLMModel"],
        "model_type": "chatglm",
        "padded_vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "ffn_hidden_size": FFN,
        "num_layers": LAYERS,
        "num_attention_heads": HEADS,
        "kv_channels": HEAD_DIM,
        "multi_query_attention": True,
        "multi_query_group_num": KV_HEADS,
        "layernorm_epsilon": 1e-5,
        "seq_length": CONTEXT,
        "add_bias_linear": False,
        "add_qkv_bias": True,
        "apply_residual_connection_post_layernorm": False,
        "original_rope": True,
        "post_layer_norm": True,
        "rmsnorm": True,
        "tie_word_embeddings": False,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "float16",
    }
    tensors = {name: _random(rng, name, shape) for name, shape in _shapes().items()}
    return Checkpoint(config, tensors, sentencepiece_model())


def ggml_order(layers: int) -> list[str]:
    """The tensors in the container's order."""
    parts = (
        "input_layernorm.weight",
        "self_attention.query_key_value.weight",
        "self_attention.query_key_value.bias",
        "self_attention.dense.weight",
        "post_attention_layernorm.weight",
        "mlp.dense_h_to_4h.weight",
        "mlp.dense_4h_to_h.weight",
    )
    return [
        "transformer.embedding.word_embeddings.weight",
        *(f"transformer.encoder.layers.{n}.{part}" for n in range(layers) for part in parts),
        "transformer.encoder.final_layernorm.weight",
        "transformer.output_layer.weight",
    ]


def _shapes() -> dict[str, tuple[int, ...]]:
    qkv = HIDDEN + 2 * KV_HEADS * HEAD_DIM
    layer = {
        "input_layernorm.weight": (HIDDEN,),
        "self_attention.query_key_value.weight": (qkv, HIDDEN),
        "self_attention.query_key_value.bias": (qkv,),
        "self_attention.dense.weight": (HIDDEN, HIDDEN),
        "post_attention_layernorm.weight": (HIDDEN,),
        "mlp.dense_h_to_4h.weight": (2 * FFN, HIDDEN),
        "mlp.dense_4h_to_h.weight": (HIDDEN, FFN),
    }
    return {
        "transformer.output_layer.weight": (VOCAB, HIDDEN),
        "transformer.embedding.word_embeddings.weight": (VOCAB, HIDDEN),
        "transformer.encoder.final_layernorm.weight": (HIDDEN,),
        **{
            f"transformer.encoder.layers.{n}.{part}": shape
            for n in range(LAYERS)
            for part, shape in layer.items()
        },
    }


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    norm = "layernorm" in name
    values = rng.uniform(0.5, 1.5, shape) if norm else rng.normal(0.0, 0.12, shape)
    return torch.from_numpy(values).half()
