"""Writing a model file: whole or not at all, a piece of a tensor at a time."""

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from engine.containers import Container, Record
from engine.download import disk_full, named_write_errors
from engine.errors import BadSetting, CacheNotWritable
from engine.memory import granted_cores

Bytes = npt.NDArray[np.uint8]
Piece = Callable[[int, int], Bytes]  # the packed rows from one number up to another
Source = Callable[[Record], Piece]
WriteListener = Callable[[int, int], None]  # bytes written, of how many

_PIECE = 1 << 19  # numbers that a thread works on at a time: they stay in its cache


def require_new(output: Path, force: bool) -> None:
    """Refuse to replace a file unless told to."""
    if output.exists() and not force:
        rule = "a file that does not exist yet; use --force to replace it"
        raise BadSetting(name="output", value=str(output), rule=rule)


def write_container(
    output: Path,
    container: Container,
    source: Source,
    listener: WriteListener | None,
    *,
    durable: bool = True,
) -> None:
    """`output` is not there, or as it was, until the whole new file is.

    `source` is asked for each record in turn; what it returns is called from several threads.
    `durable` waits for the disk, so that the file is whole even after a power cut.
    """
    with _named_errors(output, container.size), _replacing(output, durable) as file:
        _require_room(output, container.size)
        _write(file, container, source, listener or (lambda done, total: None))


@contextlib.contextmanager
def _named_errors(output: Path, need: int) -> Iterator[None]:
    try:
        with named_write_errors(output, need):
            yield
    except CacheNotWritable as error:
        rule = f"a place that can be written ({error.fields['reason']})"
        raise BadSetting(name="output", value=str(output), rule=rule) from error


@contextlib.contextmanager
def _replacing(output: Path, durable: bool) -> Iterator[BinaryIO]:
    """A file under another name, renamed if all goes well and removed if not."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _require_room(output: Path, need: int) -> None:
    if shutil.disk_usage(output.parent).free < need:
        raise disk_full(output, need)


def _write(file: BinaryIO, container: Container, source: Source, listener: WriteListener) -> None:
    total, done = container.size, len(container.header)
    file.write(container.header)
    pool = ThreadPoolExecutor(granted_cores())
    try:
        for record in container.records:
            file.write(record.head)
            done += len(record.head)
            for piece in _pieces(pool, record, source(record)):
                file.write(piece.data)
                done += piece.nbytes
                listener(done, total)
        file.write(container.tail)
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(pool: ThreadPoolExecutor, record: Record, piece: Piece) -> Iterator[Bytes]:
    """A tensor's bytes in order; only a few pieces are under way at a time."""
    weight = record.weight
    step = max(1, _PIECE // weight.columns)
    under_way: deque[Future[Bytes]] = deque()
    for start in range(0, weight.rows, step):
        stop = min(start + step, weight.rows)
        under_way.append(pool.submit(piece, start, stop))
        if len(under_way) > granted_cores():
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
