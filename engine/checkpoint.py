"""A Hugging Face folder: its config.json, and its weights, mapped one tensor at a time.

Shards are opened anew for each tensor, because what was read through a mapping counts as resident
until the mapping ends. Pickles are read with `weights_only`: no code of theirs runs.
"""

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import torch
from safetensors import SafetensorError, safe_open

from engine.errors import BadModelFile

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_PATTERNS = ("model*.safetensors", "pytorch_model*.bin")
_LFS_POINTER = b"version https://git-lfs"
_MAX_JSON = 1 << 26
_PICKLE = b"\x80\x02"  # how one of protocol 2 begins; newer files are zip archives
_TORCH_ERRORS = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError)


@dataclass(frozen=True)
class Checkpoint:
    """An open folder; `shards` says which file holds each tensor."""

    folder: Path
    config: Mapping[str, object] = field(repr=False)
    shards: Mapping[str, Path] = field(repr=False)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor that stays on disk until its numbers are looked at."""
        if name not in self.shards:
            raise BadModelFile(
                path=self.folder, where="tensors", found=f"no {name}", expected="one of that name"
            )
        path = self.shards[name]
        read = _read_safetensor if path.suffix == ".safetensors" else _read_pickled
        tensor = read(path, name)
        if tensor is None:
            raise BadModelFile(
                path=path, where="tensors", found=f"no {name}", expected="it, as the index says"
            )
        return tensor

    def file_bytes(self) -> int:
        """Size of all shards together."""
        return sum(path.stat().st_size for path in set(self.shards.values()))


def open_checkpoint(folder: Path) -> Checkpoint:
    """The folder of a model; raises BadModelFile for one that is not whole."""
    if not folder.is_dir():
        raise BadModelFile(path=folder, where="opening it", found="no folder", expected="one")
    config = read_json(folder / "config.json")
    shards = _indexed(folder) or name_tensors(
        path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))
    )
    if not shards:
        raise BadModelFile(
            path=folder,
            where="weights",
            found="none",
            expected="model*.safetensors or pytorch_model*.bin",
        )
    return Checkpoint(folder, config, shards)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object; raises BadModelFile for anything else."""
    data = read_whole(path, _MAX_JSON)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadModelFile(path=path, where="its text", found=error, expected="JSON") from error
    if not isinstance(value, dict):
        found = f"a {type(value).__name__}"
        raise BadModelFile(path=path, where="its text", found=found, expected="a JSON object")
    return value


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a small file, which is not a Git-LFS pointer."""
    _check_file(path)
    size = path.stat().st_size
    if size > most:
        raise BadModelFile(path=path, where="its size", found=size, expected=f"at most {most}")
    return path.read_bytes()


def name_tensors(paths: Iterable[Path]) -> dict[str, Path]:
    """Which of some files holds each tensor."""
    shards: dict[str, Path] = {}
    for path in paths:
        _check_file(path)
        names = _safetensor_names if path.suffix == ".safetensors" else _pickled_names
        for name in names(path):
            shards.setdefault(name, path)
    return shards


def _indexed(folder: Path) -> dict[str, Path]:
    """The shards of the folder's index; empty if it has none."""
    path = next((folder / name for name in _INDEXES if (folder / name).exists()), None)
    if path is None:
        return {}
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) and shard == PurePath(shard).name for shard in weight_map.values()
    ):
        raise BadModelFile(
            path=path, where="weight_map", found="something else", expected="tensors' file names"
        )
    shards = {str(name): folder / shard for name, shard in weight_map.items()}
    for shard in sorted(set(shards.values())):
        _check_file(shard)
    return shards


def _check_file(path: Path) -> None:
    """Refuse a file that is missing, or only the pointer to one."""
    try:
        with path.open("rb") as file:
            first = file.read(len(_LFS_POINTER))
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadModelFile(
            path=path,
            where="opening it",
            found=reason,
            expected="a file; download the model's missing files",
        ) from error
    if first == _LFS_POINTER:
        raise BadModelFile(
            path=path,
            where="its first line",
            found="a Git-LFS pointer, the stand-in for a file that was not downloaded",
            expected="the file itself; run `git lfs pull`, or download it again",
        )


def _safetensor_names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def _read_safetensor(path: Path, name: str) -> torch.Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            if name not in file.keys():  # noqa: SIM118 (it is no mapping)
                return None
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def _pickled_names(path: Path) -> list[str]:
    return list(_load_pickled(path))


def _read_pickled(path: Path, name: str) -> torch.Tensor | None:
    return _load_pickled(path).get(name)


def _load_pickled(path: Path) -> dict[str, torch.Tensor]:
    try:
        _check_zipped(path)
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _TORCH_ERRORS as error:
        raise _broken(path, error) from error
    if not isinstance(value, dict):
        found = f"a {type(value).__name__}"
        raise BadModelFile(path=path, where="its content", found=found, expected="named tensors")
    return {str(name): each for name, each in value.items() if isinstance(each, torch.Tensor)}


def _check_zipped(path: Path) -> None:
    """Before version 1.6, torch wrote pickles that can only be read whole."""
    with path.open("rb") as file:
        if file.read(len(_PICKLE)) != _PICKLE:
            return
    raise BadModelFile(
        path=path,
        where="its format",
        found="that of torch before 1.6, which cannot be read piece by piece",
        expected="a newer one; take the model's safetensors, or load the file with torch and "
        "torch.save it again",
    )


def _broken(path: Path, error: Exception) -> BadModelFile:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return BadModelFile(
        path=path,
        where="reading it",
        found=f"'{reason}'",
        expected="whole weights; the file may be incomplete, download it again",
    )
