"""From a Hugging Face folder to a quantized model file, a piece of a tensor at a time."""

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.containers import Container, Record, ggml_container, gguf_container
from engine.download import disk_full, named_write_errors
from engine.errors import BadModelFile, BadSetting, CacheNotWritable
from engine.families import make_plan
from engine.ggml import Family
from engine.hf_tokenizer import read_tokenizer, tokenizer_bytes
from engine.kernels.quantize import pack
from engine.lora import open_lora
from engine.memory import granted_cores
from engine.plan import Floats, Plan, Rows
from engine.quants import QuantType

Bytes = npt.NDArray[np.uint8]

TYPES = {
    kind.name.lower(): kind
    for kind in (
        QuantType.Q4_0,
        QuantType.Q4_1,
        QuantType.Q5_0,
        QuantType.Q5_1,
        QuantType.Q8_0,
        QuantType.F16,
        QuantType.F32,
    )
}
_PIECE = 1 << 19  # numbers that a thread works on at a time: they stay in its cache
_MOST = np.finfo(np.float32).max
_MOST_HALF = np.finfo(np.float16).max  # scales are in half precision


@dataclass(frozen=True)
class Conversion:
    """What was written: the file, its tensors, and how much was read for it."""

    path: Path
    size: int
    records: tuple[Record, ...]
    source_bytes: int


ConversionListener = Callable[[int, int], None]  # bytes written, of how many


def convert(
    folder: Path,
    output: Path,
    quant: QuantType = QuantType.Q4_0,
    *,
    lora: Path | None = None,
    force: bool = False,
    listener: ConversionListener | None = None,
) -> Conversion:
    """Write the model of a folder as GGUF if `output` is named so, else as chatglm.cpp's GGML.

    `output` is not there, or as it was, until the whole new file is.
    """
    if output.exists() and not force:
        rule = "a file that does not exist yet; use --force to replace it"
        raise BadSetting(name="output", value=str(output), rule=rule)
    checkpoint = open_checkpoint(folder)
    plan = make_plan(checkpoint, open_lora(lora) if lora else None)
    container = _container(folder, output, plan, quant)
    with _named_errors(output, container.size), _replacing(output) as file:
        _require_room(output, container.size)
        _write(file, container, checkpoint, listener or (lambda done, total: None))
    return Conversion(output, container.size, container.records, checkpoint.file_bytes())


def _container(folder: Path, output: Path, plan: Plan, quant: QuantType) -> Container:
    facts = read_tokenizer(folder, plan)  # also for what it refuses
    if output.suffix == ".gguf":
        return gguf_container(folder, plan, quant, facts)
    tokenizer = tokenizer_bytes(folder) if isinstance(plan.family, Family) else b""
    return ggml_container(folder, plan, quant, tokenizer)


@contextlib.contextmanager
def _named_errors(output: Path, need: int) -> Iterator[None]:
    try:
        with named_write_errors(output, need):
            yield
    except CacheNotWritable as error:
        rule = f"a place that can be written ({error.fields['reason']})"
        raise BadSetting(name="output", value=str(output), rule=rule) from error


@contextlib.contextmanager
def _replacing(output: Path) -> Iterator[BinaryIO]:
    """A file under another name, renamed if all goes well and removed if not."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _require_room(output: Path, need: int) -> None:
    if shutil.disk_usage(output.parent).free < need:
        raise disk_full(output, need)


def _write(
    file: BinaryIO, container: Container, checkpoint: Checkpoint, listener: ConversionListener
) -> None:
    total, done = container.size, len(container.header)
    file.write(container.header)
    pool = ThreadPoolExecutor(granted_cores())
    try:
        for record in container.records:
            file.write(record.head)
            done += len(record.head)
            for piece in _pieces(pool, record, checkpoint):
                file.write(piece.data)
                done += piece.nbytes
                listener(done, total)
        file.write(container.tail)
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(pool: ThreadPoolExecutor, record: Record, checkpoint: Checkpoint) -> Iterator[Bytes]:
    """A tensor's bytes in order; only a few pieces are under way at a time."""
    weight, rows = record.weight, record.weight.open()
    step = max(1, _PIECE // weight.columns)
    under_way: deque[Future[Bytes]] = deque()
    for start in range(0, weight.rows, step):
        stop = min(start + step, weight.rows)
        under_way.append(pool.submit(_pack, record, rows, checkpoint, start, stop))
        if len(under_way) > granted_cores():
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _pack(record: Record, rows: Rows, checkpoint: Checkpoint, start: int, stop: int) -> Bytes:
    values = rows(start, stop)
    _check_numbers(record, values, checkpoint, start)
    return pack(record.type, values)


def _check_numbers(record: Record, values: Floats, checkpoint: Checkpoint, start: int) -> None:
    most = _MOST if record.type is QuantType.F32 else _MOST_HALF
    if max(values.max(), -values.min()) <= most:  # not so if one is NaN
        return
    row, column = np.argwhere(~(np.abs(values) <= most))[0].tolist()
    raise BadModelFile(
        path=checkpoint.folder,
        where=f"{record.weight.source}, row {start + row}, column {column}",
        found=values[row, column],
        expected="a finite number" if most is _MOST else f"a finite number, at most {most:.0f}",
    )
