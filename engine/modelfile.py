"""A model file as the engine sees it, whatever its format: metadata and named, mapped tensors.

What it does not cover: a file that another program shortens while it is mapped takes the process
down (SIGBUS); model files are replaced by renaming, never rewritten in place.
"""

import contextlib
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.config import ModelConfig
from engine.errors import BadModelFile, UnsupportedModel
from engine.quants import QuantType

Shapes = Mapping[str, tuple[int, ...]]
Expected = tuple[str, tuple[int, ...], bool]  # name, shape, required

_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class RawTensor:
    """A tensor's bytes as they lie in the file; `shape` is outermost first: [rows, columns]."""

    name: str
    shape: tuple[int, ...]
    type: QuantType
    offset: int  # from the start of the file
    data: npt.NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True)
class ModelFile:
    """An open model file. Its tensors are views of the mapping and end with `close`."""

    path: Path
    size: int
    config: ModelConfig
    metadata: Mapping[str, object] = field(repr=False)
    tensors: dict[str, RawTensor] = field(repr=False)
    mapping: mmap.mmap = field(repr=False)

    def release(self, tensor: RawTensor) -> None:
        """Give back the memory of a tensor's pages; reading them again reads the file."""
        start = -(-tensor.offset // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = (tensor.offset + tensor.data.size) // mmap.PAGESIZE * mmap.PAGESIZE
        if stop > start and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def close(self) -> None:
        """Unmap the file, or leave that to the last view that someone still holds."""
        self.tensors.clear()
        with contextlib.suppress(BufferError):
            self.mapping.close()


def map_file(path: Path, magic: bytes) -> mmap.mmap:
    """The file mapped for reading, once it is seen to start with `magic`."""
    try:
        with path.open("rb") as file:
            first = file.read(len(_LFS_POINTER))
            _check_magic(path, first, magic)
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadModelFile(
            path=path, where="opening it", found=reason, expected="a readable model file"
        ) from error


def check_shapes(path: Path, config: ModelConfig, shapes: Shapes) -> None:
    """Refuse a file whose tensors are not exactly those `config` needs, in name and shape."""
    known = set()
    for name, shape, required in _expected(config, shapes):
        known.add(name)
        if name not in shapes:
            if required:
                raise BadModelFile(
                    path=path, where="tensors", found=f"no {name}", expected=f"one of {shape}"
                )
        elif shapes[name] != shape:
            raise BadModelFile(
                path=path, where=f"shape of {name}", found=shapes[name], expected=shape
            )
    for name in shapes:
        if name not in known:  # leaving one out would compute something else
            raise UnsupportedModel(
                path=path,
                what="tensor",
                found=name,
                supported=f"those of a {config.architecture} with {config.layers} layers",
            )


def _expected(config: ModelConfig, shapes: Shapes) -> Iterator[Expected]:
    embedding = (config.vocab_size, config.hidden)
    yield "token_embd.weight", embedding, True
    yield "output.weight", embedding, False  # without it the embedding is used both ways
    yield "output_norm.weight", (config.hidden,), True
    yield "rope_freqs.weight", (config.rotary_dim // 2,), False
    for layer in range(config.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (config.hidden,), True
        yield from _attention(config, block, shapes)
        yield block + "ffn_norm.weight", (config.hidden,), True
        yield from _feed_forward(config, block, shapes)


def _attention(config: ModelConfig, block: str, shapes: Shapes) -> Iterator[Expected]:
    query = config.heads * config.head_dim
    key = config.kv_heads * config.head_dim
    rows = {"attn_q": query, "attn_k": key, "attn_v": key}
    if block + "attn_qkv.weight" in shapes:
        rows = {"attn_qkv": query + 2 * key}
    for name, count in rows.items():
        yield f"{block}{name}.weight", (count, config.hidden), True
        yield f"{block}{name}.bias", (count,), False
    yield block + "attn_output.weight", (config.hidden, query), True


def _feed_forward(config: ModelConfig, block: str, shapes: Shapes) -> Iterator[Expected]:
    single, fused = (config.ffn, config.hidden), (2 * config.ffn, config.hidden)
    if shapes.get(block + "ffn_up.weight") == fused:  # gate, then up
        yield block + "ffn_up.weight", fused, True
    else:
        yield block + "ffn_gate.weight", single, True
        yield block + "ffn_up.weight", single, True
    yield block + "ffn_down.weight", (config.hidden, config.ffn), True


def _check_magic(path: Path, first: bytes, magic: bytes) -> None:
    if first == _LFS_POINTER:
        raise BadModelFile(
            path=path,
            where="its first line",
            found="a Git-LFS pointer, the stand-in for a file that was not downloaded",
            expected="the model itself; run `git lfs pull`, or download the file again",
        )
    if not first.startswith(magic):
        raise BadModelFile(
            path=path,
            where="its first bytes",
            found=repr(first[: len(magic)]) if first else "an empty file",
            expected=repr(magic),
        )
