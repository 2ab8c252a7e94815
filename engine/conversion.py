"""From a Hugging Face folder to a quantized model file, a piece of a tensor at a time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.containers import Container, Record, ggml_container, gguf_container
from engine.errors import BadModelFile
from engine.families import make_plan
from engine.ggml import Family
from engine.hf_tokenizer import read_tokenizer, tokenizer_bytes
from engine.kernels.quantize import pack
from engine.lora import open_lora
from engine.plan import Floats, Plan, Rows
from engine.quants import QuantType
from engine.writing import Bytes, Piece, Source, WriteListener, require_new, write_container

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
_MOST = np.finfo(np.float32).max
_MOST_HALF = np.finfo(np.float16).max  # scales are in half precision


@dataclass(frozen=True)
class Conversion:
    """What was written: the file, its tensors, and how much was read for it."""

    path: Path
    size: int
    records: tuple[Record, ...]
    source_bytes: int


def convert(
    folder: Path,
    output: Path,
    quant: QuantType = QuantType.Q4_0,
    *,
    lora: Path | None = None,
    force: bool = False,
    listener: WriteListener | None = None,
) -> Conversion:
    """Write the model of a folder as GGUF if `output` is named so, else as chatglm.cpp's GGML.

    `output` is not there, or as it was, until the whole new file is.
    """
    require_new(output, force)
    checkpoint = open_checkpoint(folder)
    plan = make_plan(checkpoint, open_lora(lora) if lora else None)
    container = _container(folder, output, plan, quant)
    write_container(output, container, _source(checkpoint), listener)
    return Conversion(output, container.size, container.records, checkpoint.file_bytes())


def _container(folder: Path, output: Path, plan: Plan, quant: QuantType) -> Container:
    facts = read_tokenizer(folder, plan)  # also for what it refuses
    if output.suffix == ".gguf":
        return gguf_container(folder, plan, quant, facts)
    tokenizer = tokenizer_bytes(folder) if isinstance(plan.family, Family) else b""
    return ggml_container(folder, plan, quant, tokenizer)


def _source(checkpoint: Checkpoint) -> Source:
    def open_record(record: Record) -> Piece:
        rows = record.weight.open()
        return lambda start, stop: _pack(record, rows, checkpoint, start, stop)

    return open_record


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
