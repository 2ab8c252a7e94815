"""ChatGLM3 in plain torch, for training: names and shapes are those of the official checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class NanoConfig:
    """Field names as in THUDM/chatglm3-6b's config.json."""

    padded_vocab_size: int = 2048
    hidden_size: int = 256
    ffn_hidden_size: int = 512
    num_layers: int = 5
    num_attention_heads: int = 4
    kv_channels: int = 64
    multi_query_group_num: int = 2
    layernorm_epsilon: float = 1e-5
    seq_length: int = 2048

    def to_json(self) -> dict[str, object]:
        return {
            "architectures": ["ChatGLMModel"],
            "model_type": "chatglm",
            **asdict(self),
            "add_bias_linear": False,
            "add_qkv_bias": True,
            "apply_query_key_layer_scaling": True,
            "apply_residual_connection_post_layernorm": False,
            "attention_softmax_in_fp32": True,
            "bias_dropout_fusion": True,
            "attention_dropout": 0.0,
            "hidden_dropout": 0.0,
            "fp32_residual_connection": False,
            "multi_query_attention": True,
            "original_rope": True,
            "post_layer_norm": True,
            "rmsnorm": True,
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
            "use_cache": True,
            "vocab_size": self.padded_vocab_size,
            "eos_token_id": 2,
            "pad_token_id": 0,
        }


def rotary_table(length: int, dim: int) -> Tensor:
    """Cosines and sines [2, length, dim / 2], one for each position and pair."""
    frequency = 10000.0 ** (-torch.arange(0, dim, 2) / dim)
    angle = torch.outer(torch.arange(length), frequency)
    return torch.stack((angle.cos(), angle.sin()))


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the first half of each head, pairs (2i, 2i+1); the rest passes.  x: [B, H, S, D]"""
    turned, passed = x.chunk(2, dim=-1)
    even, odd = turned[..., 0::2], turned[..., 1::2]
    cos, sin = table[:, : x.shape[2]]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
    return torch.cat((turned.to(x.dtype), passed), dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, c: NanoConfig) -> None:
        super().__init__()
        self.heads, self.groups, self.dim = (
            c.num_attention_heads,
            c.multi_query_group_num,
            c.kv_channels,
        )
        rows = (self.heads + 2 * self.groups) * self.dim
        self.query_key_value = nn.Linear(c.hidden_size, rows)
        self.dense = nn.Linear(self.heads * self.dim, c.hidden_size, bias=False)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        fused = (
            self.query_key_value(x).unflatten(-1, (-1, self.dim)).transpose(1, 2)
        )  # [B, H+2G, S, D]
        q, k, v = fused.split((self.heads, self.groups, self.groups), dim=1)
        q, k = rotate(q, table), rotate(k, table)
        k, v = (t.repeat_interleave(self.heads // self.groups, dim=1) for t in (k, v))
        future = torch.full(2 * x.shape[1:2], -torch.inf, dtype=x.dtype).triu(1)  # [S, S]
        weights = torch.softmax(q @ k.transpose(2, 3) * self.dim**-0.5 + future, dim=-1).to(v.dtype)
        attended: Tensor = self.dense((weights @ v).transpose(1, 2).flatten(2))
        return attended


class MLP(nn.Module):
    def __init__(self, c: NanoConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(c.hidden_size, 2 * c.ffn_hidden_size, bias=False)
        self.dense_4h_to_h = nn.Linear(c.ffn_hidden_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.dense_h_to_4h(x).chunk(2, dim=-1)
        down: Tensor = self.dense_4h_to_h(functional.silu(gate) * up)
        return down


class Layer(nn.Module):
    def __init__(self, c: NanoConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.hidden_size, c.layernorm_epsilon)
        self.self_attention = SelfAttention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.hidden_size, c.layernorm_epsilon)
        self.mlp = MLP(c)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = x + self.self_attention(self.input_layernorm(x), table)
        mixed: Tensor = self.mlp(self.post_attention_layernorm(x))
        return x + mixed


class Nano(nn.Module):
    """`state_dict` maps onto the official names by OFFICIAL_PREFIXES."""

    def __init__(self, c: NanoConfig) -> None:
        super().__init__()
        self.config = c
        self.word_embeddings = nn.Embedding(c.padded_vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_layers))
        self.final_layernorm = nn.RMSNorm(c.hidden_size, c.layernorm_epsilon)
        self.output_layer = nn.Linear(c.hidden_size, c.padded_vocab_size, bias=False)
        self.table = rotary_table(c.seq_length, c.kv_channels // 2)
        self._start()

    def _start(self) -> None:
        """Small random weights, smaller still where a branch joins the stream."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            if name.endswith(("self_attention.dense.weight", "dense_4h_to_h.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * self.config.num_layers) ** 0.5)

    def hidden(self, ids: Tensor) -> Tensor:
        """States before the head.  ids: [B, S] -> [B, S, hidden]"""
        x: Tensor = self.word_embeddings(ids)
        for layer in self.layers:
            x = layer(x, self.table)
        normed: Tensor = self.final_layernorm(x)
        return normed

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.output_layer(self.hidden(ids))
        return logits


OFFICIAL_PREFIXES = {
    "word_embeddings.": "transformer.embedding.word_embeddings.",
    "layers.": "transformer.encoder.layers.",
    "final_layernorm.": "transformer.encoder.final_layernorm.",
    "output_layer.": "transformer.output_layer.",
}


def official_name(name: str) -> str:
    """The checkpoint's name of one of our parameters."""
    prefix = name[: name.index(".") + 1]
    return OFFICIAL_PREFIXES[prefix] + name.removeprefix(prefix)
