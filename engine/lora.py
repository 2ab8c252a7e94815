"""A peft LoRA adapter: low-rank changes that are added to a checkpoint's matrices.

What it does not cover: DoRA, saved whole modules, and adapters of other kinds are refused.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from engine.checkpoint import Checkpoint, name_tensors, read_json
from engine.errors import BadModelFile, UnsupportedModel
from engine.plan import Floats

_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_NAME = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
Index = slice | torch.Tensor


@dataclass(frozen=True)
class Lora:
    """An open adapter; `scales` by the checkpoint's name of each matrix it changes."""

    folder: Path
    scales: Mapping[str, float]
    _files: Checkpoint = field(repr=False)
    _names: Mapping[tuple[str, str], str] = field(repr=False)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse an adapter whose change of `name` has another shape than the matrix."""
        down, up = self._part(name, "A"), self._part(name, "B")
        found = (up.shape[0], down.shape[1]) if up.ndim == down.ndim == 2 else ()
        if found != shape or up.shape[1] != down.shape[0]:
            raise BadModelFile(
                path=self.folder,
                where=f"change of {name}",
                found=f"{tuple(up.shape)} times {tuple(down.shape)}",
                expected=f"one of {shape}: this LoRA is for another model",
            )

    def change(self, name: str, rows: Index) -> Floats:
        """What is added to these rows of a matrix."""
        down, up = self._part(name, "A"), self._part(name, "B")
        change: Floats = (up[rows].float() @ down.float()).numpy() * np.float32(self.scales[name])
        return change

    def _part(self, name: str, part: str) -> torch.Tensor:
        return self._files.tensor(self._names[name, part])


def open_lora(folder: Path) -> Lora:
    """The adapter of a peft folder."""
    config = read_json(folder / "adapter_config.json")
    _check_kind(folder, config)
    path = next((folder / name for name in _FILES if (folder / name).exists()), folder / _FILES[0])
    shards = name_tensors([path])
    names: dict[tuple[str, str], str] = {}
    for name in shards:
        match = _NAME.fullmatch(name)
        if match is None:
            raise UnsupportedModel(
                path=path, what="adapter tensor", found=name, supported="lora_A and lora_B weights"
            )
        names[f"{match[1]}.weight", match[2]] = name
    matrices = {matrix for matrix, _ in names}
    for matrix in matrices:
        if not {(matrix, "A"), (matrix, "B")} <= names.keys():
            raise BadModelFile(
                path=path, where=matrix, found="half a change", expected="lora_A and lora_B"
            )
    if not matrices:
        raise BadModelFile(path=path, where="tensors", found="none", expected="LoRA weights")
    scales = {matrix: _scale(folder, config, matrix) for matrix in matrices}
    return Lora(folder, scales, Checkpoint(folder, config, shards), names)


def _check_kind(folder: Path, config: Mapping[str, object]) -> None:
    path = folder / "adapter_config.json"
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UnsupportedModel(path=path, what="adapter type", found=kind, supported="LORA")
    for option in ("use_dora", "modules_to_save", "fan_in_fan_out"):
        if config.get(option):
            found = config[option]
            raise UnsupportedModel(path=path, what=option, found=found, supported="none of it")


def _scale(folder: Path, config: Mapping[str, object], matrix: str) -> float:
    module = matrix.removesuffix(".weight")
    rank = _number(folder, config, "r", "rank_pattern", module)
    alpha = _number(folder, config, "lora_alpha", "alpha_pattern", module)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _number(
    folder: Path, config: Mapping[str, object], key: str, pattern_key: str, module: str
) -> float:
    """A setting of one module: peft's patterns are ends of module names."""
    value = config.get(key)
    patterns = config.get(pattern_key)
    if isinstance(patterns, dict):
        for pattern, special in patterns.items():
            if module == pattern or module.endswith(f".{pattern}"):
                value = special
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        path = folder / "adapter_config.json"
        raise BadModelFile(path=path, where=key, found=value, expected="a positive number")
    return float(value)
