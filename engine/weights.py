"""A model file's tensors, repacked once into the memory that the kernels read.

One block of memory holds everything. Tensors are packed one at a time and each one's file pages
are given back at once, so the weights are never held twice.
"""

import mmap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.config import LoadListener, LoadProgress, LoadStage
from engine.errors import UnsupportedModel
from engine.kernels.formats import ROWS, block_bytes, panel_bytes, unit_bytes
from engine.kernels.forward import DOWN, GATE, KEY, OUT, QUERY, SLOTS, UP, VALUE
from engine.kernels.linear import FIELDS
from engine.kernels.pack import pack_span
from engine.modelfile import ModelFile, RawTensor
from engine.quants import row_bytes, unpack

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]

_ALIGN = 64
_SPAN = 64  # panels that one thread packs at a time
_SPLIT = {QUERY: "attn_q", KEY: "attn_k", VALUE: "attn_v"}


@dataclass(frozen=True)
class Weights:
    """Tables of addresses into `memory`; see kernels.forward.Model for their meaning."""

    memory: Bytes
    matrices: Table
    norms: Table
    head: Table
    head_norm: int


@dataclass(frozen=True)
class _Matrix:
    """Some rows of a tensor, and where they go in the table; layer -1 is the head."""

    tensor: RawTensor
    first: int
    rows: int
    layer: int
    slot: int
    bias: RawTensor | None = None

    @property
    def columns(self) -> int:
        return self.tensor.shape[1]

    @property
    def size(self) -> int:
        return -(-self.rows // ROWS) * panel_bytes(int(self.tensor.type), self.columns)

    @property
    def raw(self) -> Bytes:
        row = row_bytes(self.tensor.type, self.columns)
        return self.tensor.data[self.first * row : (self.first + self.rows) * row]


def packed_bytes(file: ModelFile) -> int:
    """Memory that `pack_weights` will take."""
    sizes = [matrix.size for matrix in _matrices(file)]
    sizes += [_vector_bytes(tensor) for tensor in file.tensors.values() if len(tensor.shape) == 1]
    return sum(_aligned(size) for size in sizes)


def file_bytes_per_step(file: ModelFile) -> int:
    """Bytes, as they lie in the file, of the matrices that every step reads."""
    return sum(matrix.raw.size for matrix in _matrices(file))


def pack_weights(file: ModelFile, threads: int, listener: LoadListener | None) -> Weights:
    """Repack every tensor, reporting bytes of the file as they are done."""
    _check_columns(file)
    memory = allocate(packed_bytes(file))
    packer = _Packer(file, memory, listener)
    layers = file.config.layers
    matrices = np.zeros((layers, SLOTS, FIELDS), np.int64)
    head = np.zeros(FIELDS, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for matrix in _matrices(file):
            row = head if matrix.layer < 0 else matrices[matrix.layer, matrix.slot]
            row[:] = packer.matrix(matrix, pool)
    names = [(f"blk.{n}.attn_norm.weight", f"blk.{n}.ffn_norm.weight") for n in range(layers)]
    norms = [[packer.vector(file.tensors[name]) for name in pair] for pair in names]
    head_norm = packer.vector(file.tensors["output_norm.weight"])
    return Weights(memory, matrices, np.array(norms, np.int64), head, head_norm)


def _matrices(file: ModelFile) -> Iterator[_Matrix]:
    for layer in range(file.config.layers):
        yield from _layer_matrices(file, layer)
    head = file.tensors.get("output.weight", file.tensors["token_embd.weight"])
    yield _Matrix(head, 0, head.shape[0], -1, 0)


def _layer_matrices(file: ModelFile, layer: int) -> Iterator[_Matrix]:
    tensors, block = file.tensors, f"blk.{layer}."

    def whole(name: str, slot: int) -> _Matrix:
        tensor = tensors[f"{block}{name}.weight"]
        bias = tensors.get(f"{block}{name}.bias")
        return _Matrix(tensor, 0, tensor.shape[0], layer, slot, bias)

    if f"{block}attn_qkv.weight" in tensors:
        yield whole("attn_qkv", QUERY)
    else:
        yield from (whole(name, slot) for slot, name in _SPLIT.items())
    yield whole("attn_output", OUT)
    up = tensors[f"{block}ffn_up.weight"]
    if f"{block}ffn_gate.weight" in tensors:
        yield whole("ffn_gate", GATE)
        yield whole("ffn_up", UP)
    else:  # gate above up in one tensor
        yield _Matrix(up, 0, up.shape[0] // 2, layer, GATE)
        yield _Matrix(up, up.shape[0] // 2, up.shape[0] // 2, layer, UP)
    yield whole("ffn_down", DOWN)


class _Packer:
    """Lays tensors one after the other into `memory`."""

    def __init__(self, file: ModelFile, memory: Bytes, listener: LoadListener | None) -> None:
        self._file = file
        self._memory = memory
        self._listener = listener
        self._used = 0
        self._done = 0
        self._total = file_bytes_per_step(file)
        self._started = time.monotonic()

    def _reserve(self, size: int) -> Bytes:
        out = self._memory[self._used : self._used + size]
        assert out.size == size, "packed_bytes counted less than is packed"
        self._used += _aligned(size)
        return out

    def matrix(self, matrix: _Matrix, pool: ThreadPoolExecutor) -> list[int]:
        """Pack one matrix and return its row of the table."""
        kind, shape = matrix.tensor.type, (matrix.rows, matrix.columns)
        out, raw, panels = self._reserve(matrix.size), matrix.raw, -(-matrix.rows // ROWS)
        spans = [(at, min(at + _SPAN, panels)) for at in range(0, panels, _SPAN)]
        for _ in pool.map(lambda span: pack_span(kind, raw, shape, out, span), spans):
            pass
        self._file.release(matrix.tensor)
        self._report(raw.size)
        bias = self.vector(matrix.bias) if matrix.bias is not None else 0
        panel, blocks, unit = panel_bytes(kind, matrix.columns), block_bytes(kind), unit_bytes(kind)
        return [int(kind), out.ctypes.data, *shape, panel, blocks, unit, bias]

    def vector(self, tensor: RawTensor) -> int:
        """Address of a vector in float32, zero-padded to whole registers."""
        out = self._reserve(_vector_bytes(tensor)).view(np.float32)
        out[: tensor.shape[0]] = unpack(tensor.type, tensor.data)
        return out.ctypes.data

    def _report(self, size: int) -> None:
        self._done += size
        if self._listener is None:
            return
        rate = self._done / max(time.monotonic() - self._started, 1e-6)
        left = (self._total - self._done) / rate
        self._listener(LoadProgress(LoadStage.WEIGHTS, self._done, self._total, left))


def _check_columns(file: ModelFile) -> None:
    config = file.config
    widths = {"hidden": config.hidden, "ffn": config.ffn, "heads": config.heads * config.head_dim}
    for name, width in widths.items():
        if width % 32:
            raise UnsupportedModel(
                path=file.path, what=f"{name} width", found=width, supported="multiples of 32"
            )


def _vector_bytes(tensor: RawTensor) -> int:
    return -(-tensor.shape[0] // 16) * 64


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def allocate(size: int) -> Bytes:
    """Zeroed memory on page boundaries, in large pages where the system has them."""
    memory = mmap.mmap(-1, max(size, 1))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
