"""The engine's settings: frozen, checked when made."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.errors import BadSetting


class Rope(StrEnum):
    """Which dimensions of a head rotate together."""

    HALVES = "halves"  # (i, i + rotary/2), as in Hugging Face Llama and Qwen2
    PAIRS = "pairs"  # (2i, 2i + 1), as in ChatGLM and in GGUF's permuted Llama weights


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a decoder-only transformer with RMSNorm, rotary positions and SwiGLU."""

    architecture: str
    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab_size: int
    context_length: int
    norm_eps: float
    rope: Rope
    rope_theta: float
    rotary_dim: int

    def __post_init__(self) -> None:
        sizes = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab_size")
        for name in (*sizes, "context_length", "rotary_dim"):
            value = getattr(self, name)
            _check(name, value, 0 < value < 2**31, "a positive 32-bit number")
        _check("heads", self.heads, self.heads % self.kv_heads == 0, "a multiple of kv_heads")
        _check("head_dim", self.head_dim, self.head_dim % 16 == 0, "a multiple of 16")
        rotary_rule = self.rotary_dim % 2 == 0 and self.rotary_dim <= self.head_dim
        _check("rotary_dim", self.rotary_dim, rotary_rule, "even and at most head_dim")
        _check("norm_eps", self.norm_eps, 0 < self.norm_eps < 1, "between 0 and 1")
        theta_rule = math.isfinite(self.rope_theta) and self.rope_theta > 0
        _check("rope_theta", self.rope_theta, theta_rule, "a positive number")


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen and when to stop. `temperature=0` is greedy."""

    temperature: float = 0.8
    top_k: int = 0  # 0: no limit
    top_p: float = 0.8
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_new_tokens: int = 1024
    stop_ids: frozenset[int] = frozenset()  # besides the model's own end token
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False  # go on to max_new_tokens whatever the model says: for measuring

    def __post_init__(self) -> None:
        _range("temperature", self.temperature, 0.0, 100.0)
        _check("top_k", self.top_k, self.top_k >= 0, "0 (no limit) or more")
        top_p_rule = 0.0 < self.top_p <= 1.0
        _check("top_p", self.top_p, top_p_rule, "above 0 and at most 1")
        _range("min_p", self.min_p, 0.0, 1.0)
        _range("repetition_penalty", self.repetition_penalty, 0.01, 100.0)
        _range("presence_penalty", self.presence_penalty, -100.0, 100.0)
        _range("frequency_penalty", self.frequency_penalty, -100.0, 100.0)
        _check("max_new_tokens", self.max_new_tokens, self.max_new_tokens >= 1, "1 or more")
        _check("stop", self.stop, all(self.stop), "a tuple of non-empty strings")


class LoadStage(StrEnum):
    COMPILE = "compile"  # first start only: kernels for this processor
    WEIGHTS = "weights"  # repacking, in bytes of the file


@dataclass(frozen=True)
class LoadProgress:
    """How far a load has come; `total` 0 means it cannot be known."""

    stage: LoadStage
    done: int
    total: int
    seconds_left: float | None = None


LoadListener = Callable[[LoadProgress], None]


KV_TYPES = ("f16", "q8_0", "f32")  # of cached keys and values
_KV_RULE = "one of " + ", ".join(KV_TYPES)


@dataclass(frozen=True)
class EngineOptions:
    """How an engine runs. `threads=0` takes what is measured to be best."""

    threads: int = 0
    context_length: int = 0  # 0: the model's own, at most DEFAULT_CONTEXT
    max_sequences: int = 8  # requests that share a step; more wait in line
    prefill_chunk: int = 512  # most prompt tokens in one step
    kernel_cache: Path | None = None  # None: compiled kernels are not kept
    kernels: str = "auto"  # or one name of kernels.dot.VARIANTS
    speculation: bool = True  # guess what repeats; changes no answer
    kv_type: str = "f16"  # of KV_TYPES

    def __post_init__(self) -> None:
        _check("threads", self.threads, 0 <= self.threads <= 1024, "between 0 and 1024")
        _check("context_length", self.context_length, self.context_length >= 0, "0 or more")
        _check("max_sequences", self.max_sequences, 1 <= self.max_sequences <= 64, "1 to 64")
        chunk_rule = 1 <= self.prefill_chunk <= 4096
        _check("prefill_chunk", self.prefill_chunk, chunk_rule, "1 to 4096")
        _check("kv_type", self.kv_type, self.kv_type in KV_TYPES, _KV_RULE)


DEFAULT_CONTEXT = 8192


def asked_kv_type(environment: Mapping[str, str]) -> str:
    """What ASSISTANT_KV_TYPE says; the default if it is not set."""
    value = environment.get("ASSISTANT_KV_TYPE", "").strip() or EngineOptions.kv_type
    _check("ASSISTANT_KV_TYPE", value, value in KV_TYPES, _KV_RULE)
    return value


def _check(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise BadSetting(name=name, value=value, rule=rule)


def _range(name: str, value: float, low: float, high: float) -> None:
    _check(name, value, math.isfinite(value) and low <= value <= high, f"{low} to {high}")
