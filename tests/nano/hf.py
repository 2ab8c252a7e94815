"""The same weights in transformers' own model of this architecture, as the tests' oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import GlmConfig, GlmForCausalLM

TOP_LEVEL = {
    "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "transformer.encoder.final_layernorm.weight": "model.norm.weight",
    "transformer.output_layer.weight": "lm_head.weight",
}
IN_LAYER = {
    "self_attention.dense.": "self_attn.o_proj.",
    "mlp.dense_h_to_4h.": "mlp.gate_up_proj.",
    "mlp.dense_4h_to_h.": "mlp.down_proj.",
}


def load_as_glm(folder: Path) -> GlmForCausalLM:
    """A ChatGLM3 folder as a float32 GlmForCausalLM."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = GlmForCausalLM(glm_config(config))
    tensors: dict[str, Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        tensors |= renamed(name, tensor.float(), config)
    model.load_state_dict(tensors)
    model.train(False)
    return model


def glm_config(config: dict[str, Any]) -> GlmConfig:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    return GlmConfig(
        vocab_size=config["padded_vocab_size"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["ffn_hidden_size"],
        num_hidden_layers=config["num_layers"],
        num_attention_heads=config["num_attention_heads"],
        num_key_value_heads=config["multi_query_group_num"],
        head_dim=config["kv_channels"],
        max_position_embeddings=config["seq_length"],
        rms_norm_eps=config["layernorm_epsilon"],
        rope_parameters=rope,
        attention_bias=True,
        tie_word_embeddings=False,
        eos_token_id=config["eos_token_id"],
        pad_token_id=config["pad_token_id"],
        dtype=torch.float32,
    )


def renamed(name: str, tensor: Tensor, config: dict[str, Any]) -> dict[str, Tensor]:
    """One of our tensors under transformers' name, or three when it is the fused q, k and v."""
    if name in TOP_LEVEL:
        return {TOP_LEVEL[name]: tensor}
    name = name.replace("transformer.encoder.", "model.")
    if ".query_key_value." in name:
        heads, groups = config["num_attention_heads"], config["multi_query_group_num"]
        rows = [n * config["kv_channels"] for n in (heads, groups, groups)]
        stem, kind = name.split("self_attention.query_key_value.")
        parts = zip("qkv", torch.split(tensor, rows), strict=True)
        return {f"{stem}self_attn.{part}_proj.{kind}": own for part, own in parts}
    for ours, theirs in IN_LAYER.items():
        name = name.replace(ours, theirs)
    return {name: tensor}
