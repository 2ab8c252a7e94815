"""Which tensors of a Hugging Face folder make which tensors of a model file, by architecture."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from engine.checkpoint import Checkpoint
from engine.config import ModelConfig, Rope
from engine.errors import BadModelFile, BadSetting, UnsupportedModel
from engine.ggml import PREFIX_NAME, ggml_name
from engine.hf_tokenizer import chatglm_family
from engine.lora import Lora
from engine.plan import Floats, Plan, Rows, Weight
from engine.sources import Order, Sources

_PREFIX_ENCODER = "transformer.prefix_encoder."
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make_plan(checkpoint: Checkpoint, lora: Lora | None) -> Plan:
    """What to write for a folder; raises UnsupportedModel for architectures we do not know."""
    kind = checkpoint.config.get("model_type")
    if not isinstance(kind, str) or kind not in _PLANNERS:
        found = checkpoint.config.get("architectures", kind)
        raise UnsupportedModel(
            path=checkpoint.folder,
            what="architecture",
            found=found,
            supported="ChatGLM2, ChatGLM3, CodeGeeX2, GLM-4, Llama, Qwen2",
        )
    try:
        return _PLANNERS[kind](_Settings(checkpoint), Sources(checkpoint, lora))
    except BadSetting as error:
        raise BadModelFile(
            path=checkpoint.folder / "config.json",
            where=f"the model's shape ({error.fields['name']})",
            found=error.fields["value"],
            expected=error.fields["rule"],
        ) from error


class _Settings:
    """A config.json, each value with its type checked."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.path = checkpoint.folder / "config.json"
        self.folder = checkpoint.folder
        self._config = checkpoint.config

    def get(self, key: str) -> object:
        return self._config.get(key)

    def size(self, key: str, default: int | None = None) -> int:
        value = self.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(key, value, "a whole number of 1 or more")
        return value

    def number(self, key: str, default: float) -> float:
        return self.number_in(self._config, key, default)

    def number_in(self, config: Mapping[str, object], key: str, default: float) -> float:
        value = config.get(key)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, value, "a number")
        return float(value)

    def ids(self, key: str) -> tuple[int, ...]:
        """A token id, several, or none."""
        value = self.get(key)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(each, int) and 0 <= each < 2**31 for each in ids):
            raise self._wrong(key, value, "token ids")
        return tuple(ids)

    def require(self, **values: object) -> None:
        """Refuse a model whose settings are not these."""
        for key, value in values.items():
            if self.get(key) != value:
                raise UnsupportedModel(
                    path=self.path, what=key, found=self.get(key), supported=value
                )

    def rope(self) -> Mapping[str, object]:
        """Rotary settings, which moved between versions of transformers."""
        found: dict[str, object] = {}
        for key in ("rope_scaling", "rope_parameters"):
            value = self.get(key)
            if isinstance(value, dict):
                found |= value
        for key in ("rope_theta", "partial_rotary_factor"):
            if key not in found and self.get(key) is not None:
                found[key] = self.get(key)
        return found

    def _wrong(self, key: str, found: object, expected: str) -> BadModelFile:
        return BadModelFile(path=self.path, where=f"'{key}'", found=found, expected=expected)


# --- ChatGLM, as its authors publish it -----------------------------------------------------------


def _plan_chatglm(settings: _Settings, sources: Sources) -> Plan:
    if settings.get("multi_query_attention") is None or settings.get("vision_config"):
        found = "GLM-4V" if settings.get("vision_config") else "ChatGLM-6B, the first"
        raise UnsupportedModel(
            path=settings.path,
            what="model",
            found=found,
            supported="ChatGLM2, ChatGLM3, CodeGeeX2, GLM-4",
        )
    settings.require(
        multi_query_attention=True,
        add_bias_linear=False,
        add_qkv_bias=True,
        apply_residual_connection_post_layernorm=False,
        original_rope=True,
        post_layer_norm=True,
        rmsnorm=True,
    )
    config = _chatglm_config(settings)
    settings.require(kv_channels=config.head_dim)
    virtual = settings.size("pre_seq_len") if settings.get("pre_seq_len") else 0
    weights = tuple(_chatglm_weights(settings, sources, config, virtual))
    sources.check_all_used(_is_no_weight)
    pad_id = next(iter(settings.ids("pad_token_id")), None)
    family = chatglm_family(settings.folder)
    return Plan(config, weights, family, settings.ids("eos_token_id"), pad_id, virtual)


def _chatglm_config(settings: _Settings) -> ModelConfig:
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    return ModelConfig(
        architecture="chatglm",
        name=_name(settings),
        layers=settings.size("num_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=settings.size("multi_query_group_num"),
        head_dim=hidden // heads,
        ffn=settings.size("ffn_hidden_size"),
        vocab_size=settings.size("padded_vocab_size"),
        context_length=settings.size("seq_length"),
        norm_eps=settings.number("layernorm_epsilon", 1e-5),
        rope=Rope.PAIRS,
        rope_theta=10000.0 * settings.number("rope_ratio", 1.0),
        rotary_dim=hidden // heads // 2,
    )


def _chatglm_weights(
    settings: _Settings, sources: Sources, config: ModelConfig, virtual: int
) -> Iterator[Weight]:
    """In the container's order."""
    if virtual:
        yield _prefix(settings, sources, config, virtual)
    qkv = (config.heads + 2 * config.kv_heads) * config.head_dim
    layer = {
        "attn_norm.weight": (config.hidden,),
        "attn_qkv.weight": (qkv, config.hidden),
        "attn_qkv.bias": (qkv,),
        "attn_output.weight": (config.hidden, config.hidden),
        "ffn_norm.weight": (config.hidden,),
        "ffn_up.weight": (2 * config.ffn, config.hidden),
        "ffn_down.weight": (config.hidden, config.ffn),
    }
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (config.vocab_size, config.hidden)}
    for n in range(config.layers):
        shapes |= {f"blk.{n}.{part}": shape for part, shape in layer.items()}
    shapes["output_norm.weight"] = (config.hidden,)
    shapes["output.weight"] = (config.vocab_size, config.hidden)
    for name, shape in shapes.items():
        yield sources.weight(name, ggml_name(name), shape)


def _prefix(settings: _Settings, sources: Sources, config: ModelConfig, virtual: int) -> Weight:
    """P-Tuning's keys and values, computed from its encoder's weights."""
    width = 2 * config.layers * config.kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (virtual, width)}
    if settings.get("prefix_projection"):
        hidden = config.hidden
        shapes |= {"trans.0.weight": (hidden, width), "trans.0.bias": (hidden,)}
        shapes |= {"trans.2.weight": (width, hidden), "trans.2.bias": (width,)}
    parts = {
        name: sources.weight(name, _PREFIX_ENCODER + name, shape) for name, shape in shapes.items()
    }
    shape = (2 * config.layers, config.kv_heads, virtual, config.head_dim)

    def open_rows() -> Rows:
        values = {name: part.open()(0, part.rows) for name, part in parts.items()}
        encoded = values["embedding.weight"]
        if len(values) > 1:
            inner = np.tanh(encoded @ values["trans.0.weight"].T + values["trans.0.bias"])
            encoded = inner @ values["trans.2.weight"].T + values["trans.2.bias"]
        by_token = encoded.reshape(virtual, 2 * config.layers, config.kv_heads, config.head_dim)
        rows = np.ascontiguousarray(by_token.transpose(1, 2, 0, 3)).reshape(-1, config.head_dim)
        return lambda start, stop: rows[start:stop]

    return Weight(PREFIX_NAME, shape, _PREFIX_ENCODER + "embedding.weight", open_rows)


# --- transformers' own folders --------------------------------------------------------------------


def _plan_glm(settings: _Settings, sources: Sources) -> Plan:
    """GLM-4 as transformers has it: the fused gate above up is called gate_up_proj."""
    config = _hf_config(settings, "chatglm", Rope.PAIRS, 0.5)
    settings.require(hidden_act="silu")
    return _hf_plan(settings, sources, config, fused=True)


def _plan_llama(settings: _Settings, sources: Sources) -> Plan:
    settings.require(hidden_act="silu")
    return _hf_plan(settings, sources, _hf_config(settings, "llama", Rope.PAIRS, 1.0))


def _plan_qwen2(settings: _Settings, sources: Sources) -> Plan:
    settings.require(hidden_act="silu")
    if settings.get("use_sliding_window"):
        settings.require(use_sliding_window=False)
    return _hf_plan(settings, sources, _hf_config(settings, "qwen2", Rope.HALVES, 1.0))


def _hf_config(settings: _Settings, architecture: str, rope: Rope, rotated: float) -> ModelConfig:
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    rotary = settings.rope()
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    supported = ("default", "llama3") if architecture == "llama" else ("default",)
    if kind not in supported:
        raise UnsupportedModel(
            path=settings.path, what="rope scaling", found=kind, supported=", ".join(supported)
        )
    head_dim = settings.size("head_dim", hidden // heads)
    factor = settings.number_in(rotary, "partial_rotary_factor", rotated)
    return ModelConfig(
        architecture=architecture,
        name=_name(settings),
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=settings.size("num_key_value_heads", heads),
        head_dim=head_dim,
        ffn=settings.size("intermediate_size"),
        vocab_size=settings.size("vocab_size"),
        context_length=settings.size("max_position_embeddings"),
        norm_eps=settings.number("rms_norm_eps", 1e-6),
        rope=rope,
        rope_theta=settings.number_in(rotary, "rope_theta", 10000.0),
        rotary_dim=int(head_dim * factor),
    )


def _hf_plan(
    settings: _Settings, sources: Sources, config: ModelConfig, *, fused: bool = False
) -> Plan:
    weights = list(_hf_weights(settings, sources, config, fused))
    factors = _llama3_factors(settings, config)
    if factors is not None:
        weights.append(_given("rope_freqs.weight", factors))
    tied = settings.get("tie_word_embeddings") is True
    sources.check_all_used(
        lambda name: _is_no_weight(name) or (tied and name == _TOP["output.weight"])
    )
    pad_id = next(iter(settings.ids("pad_token_id")), None)
    return Plan(config, tuple(weights), None, settings.ids("eos_token_id"), pad_id)


def _hf_weights(
    settings: _Settings, sources: Sources, config: ModelConfig, fused: bool
) -> Iterator[Weight]:
    embedding = (config.vocab_size, config.hidden)
    yield sources.weight("token_embd.weight", _TOP["token_embd.weight"], embedding)
    query, key = config.heads * config.head_dim, config.kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm": (config.hidden,),
        "attn_q": (query, config.hidden),
        "attn_k": (key, config.hidden),
        "attn_v": (key, config.hidden),
        "attn_output": (config.hidden, query),
        "ffn_norm": (config.hidden,),
        "ffn_gate": (config.ffn, config.hidden),
        "ffn_up": (config.ffn, config.hidden),
        "ffn_down": (config.hidden, config.ffn),
    }
    parts = dict(_PARTS)
    if fused:
        del shapes["ffn_gate"]
        shapes["ffn_up"], parts["ffn_up"] = (2 * config.ffn, config.hidden), "mlp.gate_up_proj"
    for n in range(config.layers):
        for part, shape in shapes.items():
            source = f"model.layers.{n}.{parts[part]}"
            order = _row_order(config, part)
            yield sources.weight(f"blk.{n}.{part}.weight", f"{source}.weight", shape, order)
            if part in ("attn_q", "attn_k", "attn_v") and sources.has(f"{source}.bias"):
                yield sources.weight(f"blk.{n}.{part}.bias", f"{source}.bias", shape[:1], order)
    yield sources.weight("output_norm.weight", _TOP["output_norm.weight"], (config.hidden,))
    if settings.get("tie_word_embeddings") is not True:
        yield sources.weight("output.weight", _TOP["output.weight"], embedding)


def _row_order(config: ModelConfig, part: str) -> Order | None:
    """Llama's files keep the halves of a head apart; GGUF wants rotary pairs side by side."""
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(part)
    if config.architecture != "llama" or heads is None:
        return None
    rows = np.arange(heads * config.head_dim).reshape(heads, 2, config.head_dim // 2)
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(-1)


def _llama3_factors(settings: _Settings, config: ModelConfig) -> Floats | None:
    """Llama 3's divisors of the rotary frequencies: long waves are stretched, short ones not."""
    rotary = settings.rope()
    if rotary.get("rope_type", rotary.get("type")) != "llama3":
        return None
    factor = settings.number_in(rotary, "factor", 8.0)
    low = settings.number_in(rotary, "low_freq_factor", 1.0)
    high = settings.number_in(rotary, "high_freq_factor", 4.0)
    trained = settings.number_in(rotary, "original_max_position_embeddings", 8192.0)
    exponents = np.arange(0, config.rotary_dim, 2) / config.rotary_dim
    turns = trained / (2 * np.pi * config.rope_theta**exponents)  # in the trained context
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


def _given(name: str, values: Floats) -> Weight:
    def open_rows() -> Rows:
        return lambda start, stop: values[None][start:stop]

    return Weight(name, values.shape, "config.json", open_rows)


def _is_no_weight(name: str) -> bool:
    """Tables that are computed again at load, and what only training needs."""
    return name.endswith((".inv_freq", ".rotary_emb.inv_freq"))


def _name(settings: _Settings) -> str:
    name = settings.get("_name_or_path")
    return Path(name).name if isinstance(name, str) and name else settings.folder.resolve().name


_PLANNERS: dict[str, Callable[[_Settings, Sources], Plan]] = {
    "chatglm": _plan_chatglm,
    "glm": _plan_glm,
    "llama": _plan_llama,
    "qwen2": _plan_qwen2,
}
