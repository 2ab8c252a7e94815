"""A conversation's folder, as the app touches it. The code inside can put anything there.

Every path is walked one folder at a time without following a link, and what is opened is looked at
through its descriptor: a plain file, with one name, not too long. Nothing is unpacked or run.
"""

import contextlib
import io
import os
import re
import secrets
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from assistant.errors import BadFileName, FileTooLarge, FolderFull, NoSuchFile
from assistant.sandbox import tree
from assistant.sandbox.limits import Limits

MAX_NAME = 255  # bytes, as file systems have it
MAX_LISTED = 200
MAX_DEPTH = 8
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff/\\\\]"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True)
class FileEntry:
    """A plain file in the folder; `name` is its path from there, with "/" between folders."""

    name: str
    size: int
    modified: int  # nanoseconds


class WorkFolder:
    """Safe to use from any thread, and while the code runs."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def files(self) -> list[FileEntry]:
        """The plain files with presentable names, by name; the first two hundred."""
        entries = sorted(self._entries(), key=lambda entry: entry.name)
        return [entry for entry in entries if not _UNSAFE.search(entry.name.replace("/", ""))][
            :MAX_LISTED
        ]

    def state(self) -> dict[str, tuple[int, int]]:
        """What there is, for telling later what has changed."""
        return {entry.name: (entry.size, entry.modified) for entry in self.files()}

    def read(self, name: str) -> bytes:
        with self._opened(name) as descriptor:
            known = os.fstat(descriptor)
            if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
                raise NoSuchFile(name=name)
            if known.st_size > self._limits.file_size:
                raise self._too_large(name, known.st_size)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return file.read(known.st_size)

    def delete(self, name: str) -> None:
        *folders, last = _parts(name)
        with self._folder(folders, name) as folder:
            try:
                os.unlink(last, dir_fd=folder)
            except OSError as error:
                raise NoSuchFile(name=name) from error

    def write(self, name: str, data: bytes | BinaryIO) -> str:
        """Stores a file under a name that has been made safe; returns that name."""
        safe = safe_name(name)
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        size = source.seek(0, os.SEEK_END)
        self._make_sure_it_fits(safe, size)
        source.seek(0)
        with self._folder([], safe) as folder:
            self._store(folder, safe, source)
        return safe

    def zip(self) -> bytes:
        """All plain files, as far as the quota goes."""
        out = io.BytesIO()
        left = self._limits.disk
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for entry in self._entries():
                with contextlib.suppress(NoSuchFile, FileTooLarge):
                    data = self.read(entry.name)
                    left -= len(data)
                    if left < 0:
                        break
                    archive.writestr(zipfile.ZipInfo(entry.name), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()

    def remove(self) -> None:
        """The folder and all in it."""
        tree.remove(self.path)

    def _make_sure_it_fits(self, name: str, size: int) -> None:
        limits = self._limits
        if size > limits.file_size:
            raise self._too_large(name, size)
        entries = list(self._entries())
        there = sum(entry.size for entry in entries if entry.name != name)
        if there + size > limits.disk or len(entries) >= limits.files:
            raise FolderFull(name=name, limit=_megabytes(limits.disk), files=limits.files)

    def _store(self, folder: int, name: str, source: BinaryIO) -> None:
        """Whole or not at all; it belongs to whom the folder belongs to."""
        part = f".{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(part, flags, 0o600, dir_fd=folder), "wb") as file:
                shutil.copyfileobj(source, file)
                owner = os.fstat(folder)
                if owner.st_uid != os.geteuid():
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=folder)
            limit, files = _megabytes(self._limits.disk), self._limits.files
            raise FolderFull(name=name, limit=limit, files=files) from error

    def _too_large(self, name: str, size: int) -> FileTooLarge:
        limit = _megabytes(self._limits.file_size)
        return FileTooLarge(name=name, size=_megabytes(size), limit=limit)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        *folders, last = _parts(name)
        with self._folder(folders, name) as folder:
            try:
                descriptor = os.open(last, _FILE, dir_fd=folder)
            except OSError as error:
                raise NoSuchFile(name=name) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _folder(self, names: list[str], whole: str) -> Iterator[int]:
        """A descriptor of a folder below ours."""
        try:
            folder = os.open(self.path, _FOLDER)
            for name in names:
                below = _below(folder, name)
                os.close(folder)
                folder = below
        except OSError as error:
            raise NoSuchFile(name=whole) from error
        try:
            yield folder
        finally:
            os.close(folder)

    def _entries(self) -> Iterator[FileEntry]:
        """Plain files with one name, without following a link."""
        with contextlib.suppress(NoSuchFile), self._folder([], "") as top:
            yield from _walk(top, "", MAX_DEPTH)


def safe_name(name: str) -> str:
    """The last part of a name without what hides or deceives, and no longer than may be."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = _UNSAFE.sub("", last).strip().lstrip(".")
    if not kept:
        raise BadFileName(name=name[:100])
    stem, dot, suffix = kept.rpartition(".")
    if not dot or len(suffix.encode()) > 20:
        stem, dot, suffix = kept, "", ""
    room = MAX_NAME - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + suffix


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if "\0" in name or {".", ".."} & set(parts):
        raise NoSuchFile(name=name)
    return parts


def _below(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        os.close(folder)
        raise


def _walk(folder: int, above: str, depth: int) -> Iterator[FileEntry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it may be gone by now
                known = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(known.st_mode) and known.st_nlink == 1:
                    yield FileEntry(above + entry.name, known.st_size, known.st_mtime_ns)
                elif stat.S_ISDIR(known.st_mode) and depth > 1:
                    below = os.open(entry.name, _FOLDER, dir_fd=folder)
                    try:
                        yield from _walk(below, f"{above}{entry.name}/", depth - 1)
                    finally:
                        os.close(below)


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 20):.0f} MB"
