"""Hugging Face folders: whole ones are read tensor by tensor, broken ones are refused by name."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from chatglm_folder import Checkpoint, chatglm3
from safetensors.torch import save_file

from engine.checkpoint import open_checkpoint
from engine.errors import BadModelFile

SOUND = chatglm3()
QKV = "transformer.encoder.layers.1.self_attention.query_key_value.weight"
Writer = Callable[..., Path]
writers = pytest.mark.parametrize(
    ("write", "suffix"), [(Checkpoint.write, ".safetensors"), (Checkpoint.write_torch, ".bin")]
)


def read_all(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    for name in checkpoint.shards:
        checkpoint.tensor(name)


def refusal(folder: Path) -> str:
    with pytest.raises(BadModelFile) as error:
        read_all(folder)
    return str(error.value)


@writers
@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_is_read_from_its_shard(
    tmp_path: Path, write: Writer, suffix: str, shards: int
) -> None:
    folder = write(SOUND, tmp_path / "model", shards=shards)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.config["model_type"] == "chatglm"
    assert checkpoint.shards.keys() == SOUND.tensors.keys()
    assert len(set(checkpoint.shards.values())) == shards
    assert {path.suffix for path in checkpoint.shards.values()} == {suffix}
    for name, tensor in SOUND.tensors.items():
        assert torch.equal(checkpoint.tensor(name), tensor)


def test_shards_without_an_index_are_found(tmp_path: Path) -> None:
    folder = SOUND.write(tmp_path / "model", shards=2)
    (folder / "model.safetensors.index.json").unlink()
    assert open_checkpoint(folder).shards.keys() == SOUND.tensors.keys()


@writers
def test_a_missing_shard_is_named(tmp_path: Path, write: Writer, suffix: str) -> None:
    folder = write(SOUND, tmp_path / "model", shards=3)
    missing = next(folder.glob(f"*-00002-of-00003{suffix}"))
    missing.unlink()
    message = refusal(folder)
    assert missing.name in message
    assert "No such file" in message


@writers
def test_a_git_lfs_pointer_is_called_so(tmp_path: Path, write: Writer, suffix: str) -> None:
    folder = write(SOUND, tmp_path / "model", shards=3)
    pointer = next(folder.glob(f"*-00003-of-00003{suffix}"))
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    message = refusal(folder)
    assert pointer.name in message
    assert "Git-LFS pointer" in message


def test_a_configuration_that_is_a_git_lfs_pointer_is_called_so(tmp_path: Path) -> None:
    folder = SOUND.write(tmp_path / "model")
    (folder / "config.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "Git-LFS pointer" in refusal(folder)


@writers
@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, 0.99, -1])
def test_a_shard_cut_short_is_named(
    tmp_path: Path, write: Writer, suffix: str, keep: float
) -> None:
    folder = write(SOUND, tmp_path / "model", shards=2)
    shard = next(folder.glob(f"*-00001-of-00002{suffix}"))
    size = shard.stat().st_size
    os.truncate(shard, int(size * keep) if isinstance(keep, float) else keep % size)
    assert shard.name in refusal(folder)


def test_a_tensor_that_the_index_promises_in_vain_is_named(tmp_path: Path) -> None:
    folder = SOUND.write(tmp_path / "model", shards=2)
    shard = open_checkpoint(folder).shards[QKV]
    save_file({"other": torch.zeros(1)}, shard)
    message = refusal(folder)
    assert shard.name in message
    assert "as the index says" in message


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", 3, None])
def test_an_index_that_points_out_of_the_folder_is_refused(tmp_path: Path, shard: object) -> None:
    folder = SOUND.write(tmp_path / "model", shards=2)
    index = json.dumps({"weight_map": {QKV: shard}})
    (folder / "model.safetensors.index.json").write_text(index)
    assert "weight_map" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": ' * 5000, "\x00"])
def test_a_configuration_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = SOUND.write(tmp_path / "model")
    (folder / "config.json").write_text(text)
    message = refusal(folder)
    assert "config.json" in message
    assert "JSON" in message


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    folder = SOUND.write(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    assert "model*.safetensors" in refusal(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "no folder" in refusal(tmp_path / "nowhere")
    assert "config.json" in refusal(tmp_path)


class _Bomb:
    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, ("exploded",)


def test_a_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = SOUND.write_torch(tmp_path / "model")
    torch.save({"bomb": _Bomb()}, folder / "pytorch_model.bin")
    assert "pytorch_model.bin" in refusal(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb()))
    assert "pytorch_model.bin" in refusal(folder)
    assert not Path("exploded").exists()


def test_a_shard_of_a_very_old_torch_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = SOUND.write_torch(tmp_path / "tiny")
    shard = folder / "pytorch_model.bin"
    torch.save(SOUND.tensors, shard, _use_new_zipfile_serialization=False)
    with pytest.raises(BadModelFile, match=r"torch before 1\.6.*torch\.save it again"):
        open_checkpoint(folder)


def test_weights_that_are_no_dictionary_are_refused(tmp_path: Path) -> None:
    folder = SOUND.write_torch(tmp_path / "model")
    torch.save([torch.zeros(3)], folder / "pytorch_model.bin")
    assert "named tensors" in refusal(folder)
