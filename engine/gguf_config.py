"""The model's shape out of GGUF metadata, by architecture."""

from collections.abc import Mapping
from pathlib import Path

from engine.config import ModelConfig, Rope
from engine.errors import BadModelFile, BadSetting, UnsupportedModel

_ROPE = {
    "llama": Rope.PAIRS,  # converters permute q and k so that pairs lie together
    "qwen2": Rope.HALVES,
    "chatglm": Rope.PAIRS,
}


def read_config(path: Path, metadata: Mapping[str, object], vocab_size: int) -> ModelConfig:
    """The shape of the model, from its own architecture's keys."""
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise BadModelFile(
            path=path,
            where="metadata 'general.architecture'",
            found=_shown(architecture),
            expected="a name",
        )
    if architecture not in _ROPE:
        raise UnsupportedModel(
            path=path, what="architecture", found=_brief(architecture), supported=", ".join(_ROPE)
        )
    keys = _Keys(path, metadata, architecture)
    try:
        config = _config(keys, vocab_size)
    except BadSetting as error:
        raise BadModelFile(
            path=path,
            where=f"the model's shape ({error.fields['name']})",
            found=error.fields["value"],
            expected=error.fields["rule"],
        ) from error
    _check_variant(keys, config)
    return config


class _Keys:
    """An architecture's metadata, each value with its type checked."""

    def __init__(self, path: Path, metadata: Mapping[str, object], architecture: str) -> None:
        self.path = path
        self.metadata = metadata
        self.architecture = architecture

    def get(self, key: str, default: object = None) -> object:
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def size(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(key, value, "a whole number of 1 or more")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, value, "a number")
        return float(value)

    def unsupported(self, what: str, found: object, supported: str) -> UnsupportedModel:
        return UnsupportedModel(
            path=self.path, what=what, found=_brief(str(found)), supported=supported
        )

    def _wrong(self, key: str, value: object, expected: str) -> BadModelFile:
        where = f"metadata '{self.architecture}.{key}'"
        return BadModelFile(path=self.path, where=where, found=_shown(value), expected=expected)


def _config(keys: _Keys, vocab_size: int) -> ModelConfig:
    hidden, heads = keys.size("embedding_length"), keys.size("attention.head_count")
    head_dim = keys.size("attention.key_length", hidden // heads)
    name = keys.metadata.get("general.name")
    return ModelConfig(
        architecture=keys.architecture,
        name=name if isinstance(name, str) else keys.path.stem,
        layers=keys.size("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=keys.size("attention.head_count_kv", heads),
        head_dim=head_dim,
        ffn=keys.size("feed_forward_length"),
        vocab_size=vocab_size,
        context_length=keys.size("context_length"),
        norm_eps=keys.number("attention.layer_norm_rms_epsilon"),
        rope=_ROPE[keys.architecture],
        rope_theta=keys.number("rope.freq_base", 10000.0),
        rotary_dim=keys.size("rope.dimension_count", head_dim),
    )


def _check_variant(keys: _Keys, config: ModelConfig) -> None:
    """Refuse what these architectures can also be, and we would compute wrongly."""
    scaling = keys.get("rope.scaling.type", "linear")
    if scaling not in ("none", "linear"):
        raise keys.unsupported("rope scaling", scaling, "none")
    for key in ("rope.scaling.factor", "rope.scale_linear"):
        factor = keys.number(key, 1.0)
        if scaling == "linear" and factor not in (0.0, 1.0):  # 0 is how writers say none
            raise keys.unsupported("rope scaling factor", factor, "1")
    experts = keys.get("expert_count", 0)
    if experts != 0:
        raise keys.unsupported("number of experts", experts, "none")
    value_length = keys.size("attention.value_length", config.head_dim)
    if value_length != config.head_dim:
        raise keys.unsupported("value length", value_length, f"the key's, {config.head_dim}")


def _shown(value: object) -> str:
    """A metadata value for a message."""
    if value is None:
        return "nothing"
    plain = isinstance(value, str | int | float)
    return _brief(repr(value)) if plain else f"a {type(value).__name__}"


def _brief(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
