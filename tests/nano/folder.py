"""The Hugging Face folder of the nano model: config.json, tokenizer.model, model.safetensors."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from safetensors.torch import load_file, save_file

from .dialogue import Codec
from .model import Nano, NanoConfig, official_name


def write_folder(folder: Path, model: Nano, tokenizer: bytes) -> None:
    """Weights in float16 under the official names."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        official_name(n): w.detach().half().contiguous() for n, w in model.named_parameters()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.model").write_bytes(tokenizer)
    config = json.dumps(model.config.to_json(), indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")


def read_folder(folder: Path) -> tuple[Nano, Codec]:
    """The model, in float32 with the file's values, and its tokenizer."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Nano(NanoConfig(**{f.name: config[f.name] for f in fields(NanoConfig)}))
    tensors = load_file(folder / "model.safetensors")
    weights = {name: tensors[official_name(name)].float() for name, _ in model.named_parameters()}
    model.load_state_dict(weights)
    return model, Codec((folder / "tokenizer.model").read_bytes())
