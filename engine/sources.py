"""A checkpoint's tensors as float32 rows, whatever they are stored as.

Rows of the official int8 and int4 checkpoints are unpacked, those of a LoRA's targets changed, and
those of Llama's queries and keys put into the order that GGUF wants.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from engine.checkpoint import Checkpoint
from engine.errors import BadModelFile
from engine.lora import Lora
from engine.plan import Floats, Rows, Weight

Order = npt.NDArray[np.int64]  # the stored row that each row is made of

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


class Sources:
    """Makes weights of a checkpoint's tensors and notes which of them were asked for."""

    def __init__(self, checkpoint: Checkpoint, lora: Lora | None) -> None:
        self.checkpoint = checkpoint
        self.used: set[str] = set()
        self._lora = lora

    def has(self, source: str) -> bool:
        return source in self.checkpoint.shards

    def weight(
        self, name: str, source: str, shape: tuple[int, ...], order: Order | None = None
    ) -> Weight:
        """The tensor `name` of that shape, made of the checkpoint's `source`."""
        self.used |= {source, f"{source}_scale"}
        if not self.has(source):
            self.checkpoint.tensor(source)  # says that it is missing
        if self._lora and source in self._lora.scales:
            self._lora.check(source, shape)
        return Weight(name, shape, source, self._opener(source, shape, order))

    def check_all_used(self, ignored: Callable[[str], bool]) -> None:
        """Refuse tensors that no weight is made of: leaving them out would be another model."""
        for name in self.checkpoint.shards:
            if name not in self.used and not ignored(name):
                raise BadModelFile(
                    path=self.checkpoint.shards[name],
                    where="tensors",
                    found=name,
                    expected="only those that config.json describes",
                )
        targets = self._lora.scales if self._lora else {}
        for name in targets:
            if name not in self.used:
                assert self._lora is not None
                raise BadModelFile(
                    path=self._lora.folder,
                    where="target modules",
                    found=name,
                    expected="matrices of this model: this LoRA is for another",
                )

    def _opener(
        self, source: str, shape: tuple[int, ...], order: Order | None
    ) -> Callable[[], Rows]:
        def open_rows() -> Rows:
            read = self._reader(source, shape)
            if self._lora and source in self._lora.scales:
                read = _changed(read, self._lora, source)
            if order is None:
                return lambda start, stop: read(slice(start, stop))
            if len(shape) == 1:
                return lambda start, stop: read(slice(start, stop))[:, order]
            index = torch.from_numpy(order)
            return lambda start, stop: read(index[start:stop])

        return open_rows

    def _reader(self, source: str, shape: tuple[int, ...]) -> "_Read":
        tensor = self.checkpoint.tensor(source)
        bits = self._bits(source, tensor)
        stored = shape if bits != 4 else (shape[0], shape[1] // 2)
        if tuple(tensor.shape) != stored:
            raise self._wrong(f"shape of {source}", tuple(tensor.shape), stored)
        if bits == 0:
            matrix = tensor.reshape(-1, shape[-1])
            return lambda rows: _numbers(matrix[rows])
        scale = self.checkpoint.tensor(f"{source}_scale")
        if tuple(scale.shape) != shape[:1]:
            raise self._wrong(f"shape of {source}_scale", tuple(scale.shape), shape[:1])
        unpack = _unpack_int4 if bits == 4 else _unpack_int8
        return lambda rows: unpack(tensor[rows].numpy(), _numbers(scale[rows]))

    def _bits(self, source: str, tensor: torch.Tensor) -> int:
        """Bits of a number in a quantized matrix; 0 for floats."""
        if tensor.dtype in _FLOATS:
            return 0
        bits = self.checkpoint.config.get("quantization_bit")
        if tensor.dtype == torch.int8 and tensor.ndim == 2 and bits in (4, 8):
            assert isinstance(bits, int)
            return bits
        kind = str(tensor.dtype).removeprefix("torch.")
        raise self._wrong(f"type of {source}", kind, "float32, float16, bfloat16, or int8 scaled")

    def _wrong(self, where: str, found: object, expected: object) -> BadModelFile:
        return BadModelFile(
            path=self.checkpoint.folder, where=where, found=found, expected=expected
        )


_Read = Callable[[slice | torch.Tensor], Floats]


def _changed(read: _Read, lora: Lora, source: str) -> _Read:
    return lambda rows: read(rows) + lora.change(source, rows)


def _numbers(tensor: torch.Tensor) -> Floats:
    numbers: Floats = tensor.float().numpy()
    return numbers


def _unpack_int8(quants: npt.NDArray[np.int8], scale: Floats) -> Floats:
    return quants * scale[:, None]


def _unpack_int4(packed: npt.NDArray[np.int8], scale: Floats) -> Floats:
    """Even columns are the high halves of the bytes, odd ones the low; both signed."""
    high, low = packed >> 4, (packed << 4).astype(np.int8) >> 4
    quants = np.stack((high, low), axis=-1).reshape(len(packed), -1)
    return quants * scale[:, None]
