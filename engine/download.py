"""One file of known size and checksum, fetched to its place from the first source that has it.

What has arrived is kept in a `.part` file, always a prefix of the whole, so that any source goes
on where another stopped, also in a later process. Only a part whose checksum is right is moved to
the place; whatever was there before stays until then. One process fetches, the others wait.

Not covered: a source that keeps trickling bytes is waited for, however slow it is.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from filelock import AcquireReturnProxy, FileLock, Timeout

from engine.errors import CacheNotWritable, DiskFull, DownloadFailed
from engine.memory import format_bytes

_REPORT_SECONDS = 0.1
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class DownloadProgress:
    """How many bytes have arrived; `seconds_left` is None until a speed is known."""

    done: int
    total: int
    source: str
    seconds_left: float | None = None


DownloadListener = Callable[[DownloadProgress], None]


class SourceFailed(Exception):
    """This source cannot go on, the next one may; `fetch` makes a DownloadFailed of the last."""


class Source(Protocol):
    """A place that has the file."""

    @property
    def name(self) -> str:
        """What to call it beside a progress bar."""

    @property
    def where(self) -> str:
        """What a person who looks for the file needs to know."""

    def fill(self, part: "Part") -> None:
        """Append until the part is complete, or raise SourceFailed."""


@dataclass(frozen=True)
class WantedFile:
    """A file's place, and how to know it."""

    path: Path
    size: int
    sha256: str

    def is_in_place(self) -> bool:
        """Whether the right file is there; the checksum is computed once and then remembered."""
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        with contextlib.suppress(OSError):
            if self._mark_path.read_text(encoding="ascii") == self._mark():
                return True
        if _sha256(self.path) != self.sha256:
            return False
        self.remember()
        return True

    def remember(self) -> None:
        # Without the mark all is well, only slower: a folder that cannot be written is no reason
        # to refuse a file that is right.
        with contextlib.suppress(OSError):
            self._mark_path.write_text(self._mark(), encoding="ascii")

    @property
    def _mark_path(self) -> Path:
        return self.path.with_name(self.path.name + ".verified")

    def _mark(self) -> str:
        return f"{self.sha256} {self.size} {self.path.stat().st_mtime_ns}\n"


class Part:
    """The prefix of a file that has arrived."""

    def __init__(self, path: Path, size: int, on_growth: Callable[[int], None]) -> None:
        self.path = path
        self.size = size
        self.done = path.stat().st_size if path.exists() else 0
        self._on_growth = on_growth
        if self.done > size:
            self.cut(0)

    def append(self, chunks: Iterable[bytes]) -> None:
        with named_write_errors(self.path, self.size - self.done):
            file = self.path.open("ab", buffering=0)
        with file:
            for chunk in chunks:
                if self.done + len(chunk) > self.size:
                    raise SourceFailed(f"it sends more than the {self.size} bytes of the file")
                with named_write_errors(self.path, self.size - self.done):
                    _write_all(file, chunk)
                self.done += len(chunk)
                self._on_growth(self.done)

    def cut(self, n_bytes: int) -> None:
        """Keep the first n_bytes only."""
        if self.done != n_bytes:
            with named_write_errors(self.path, 0):
                os.truncate(self.path, n_bytes)
            self.done = n_bytes

    def place(self, wanted: WantedFile) -> None:
        """Move the complete part to its place if it is the wanted file; else remove it."""
        found = _sha256(self.path)
        if found != wanted.sha256:
            self.path.unlink()
            self.done = 0
            raise SourceFailed(
                f"wrong checksum, what had arrived was removed: found sha256 {found}, "
                f"expected {wanted.sha256}"
            )
        with named_write_errors(wanted.path, 0):
            _sync(self.path)
            self.path.replace(wanted.path)
        wanted.remember()


def fetch(
    wanted: WantedFile,
    sources: Sequence[Source],
    listener: DownloadListener | None = None,
    *,
    remedy: str,
) -> Path:
    """The wanted file's path, when the file is there; `remedy` says what to do if it cannot be."""
    if wanted.is_in_place():
        return wanted.path
    part_path = wanted.path.with_name(wanted.path.name + ".part")
    meter = _Meter(wanted.size, listener or (lambda _: None))
    with named_write_errors(wanted.path, wanted.size):
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        lock = _wait_for_lock(wanted, part_path, meter)
    with lock:
        if not wanted.is_in_place():
            part = Part(part_path, wanted.size, meter.report)
            _require_room(wanted.path, wanted.size - part.done)
            _fill(part, wanted, sources, meter, remedy)
    return wanted.path


def _fill(
    part: Part, wanted: WantedFile, sources: Sequence[Source], meter: "_Meter", remedy: str
) -> None:
    reasons = []
    for source in sources:
        meter.begin(source.name, part.done)
        try:
            source.fill(part)
            part.place(wanted)
        except SourceFailed as error:
            reasons.append(f"{source.name}: {error}")
        else:
            return
    raise DownloadFailed(
        what=wanted.path.name,
        reason="; ".join(reasons),
        tried=", ".join(source.where for source in sources),
        remedy=remedy,
    )


def _wait_for_lock(
    wanted: WantedFile, part_path: Path, meter: "_Meter"
) -> AcquireReturnProxy[FileLock]:
    """The lock, taken; while another process has it, that one's progress is reported."""
    lock = FileLock(wanted.path.with_name(wanted.path.name + ".lock"))
    while True:
        try:
            return lock.acquire(timeout=_WAIT_SECONDS)
        except Timeout:
            done = part_path.stat().st_size if part_path.exists() else 0
            if meter.source == "":
                meter.begin("another process", done)
            meter.report(done)


class _Meter:
    """Tells the listener how far it is, but not more often than anyone can read."""

    def __init__(self, total: int, listener: DownloadListener) -> None:
        self.source = ""
        self._total = total
        self._listener = listener
        self._first = 0
        self._began = self._told = time.monotonic()

    def begin(self, source: str, done: int) -> None:
        self.source, self._first, self._began = source, done, time.monotonic()
        self._tell(done)

    def report(self, done: int) -> None:
        if done == self._total or time.monotonic() - self._told >= _REPORT_SECONDS:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._told = time.monotonic()
        arrived, elapsed = done - self._first, self._told - self._began
        left = (self._total - done) * elapsed / arrived if arrived > 0 else None
        self._listener(DownloadProgress(done, self._total, self.source, left))


@contextlib.contextmanager
def named_write_errors(path: Path, need: int) -> Iterator[None]:
    """Our names for what the system says when it will not write; `need` bytes were to come."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path, need) from error
        raise CacheNotWritable(path=path.parent, reason=error.strerror or str(error)) from error


def disk_full(path: Path, need: int) -> DiskFull:
    free = shutil.disk_usage(path.parent).free
    return DiskFull(path=path, need=format_bytes(need), have=format_bytes(free))


def _require_room(path: Path, need: int) -> None:
    if shutil.disk_usage(path.parent).free < need:
        raise disk_full(path, need)


def _write_all(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
