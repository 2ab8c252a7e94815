"""The release of cloudflared that is fetched where there is none, checked before it is kept.

The checksums are pinned: a release page that was changed, a mirror or a proxy can make a fetch fail
but cannot choose what runs here. How they were found, and what that proves: docs/sharing.md.
The engine has no builds for other processors (numba has none), so neither has this table.
"""

import gzip
import hashlib
import platform
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import httpx2

from assistant.errors import (
    CloudflaredNotFetched,
    CloudflaredNotKept,
    CloudflaredWrong,
    NoCloudflaredRelease,
)

VERSION = "2026.8.2"
PAGE = f"https://github.com/cloudflare/cloudflared/releases/download/{VERSION}"
MAX_BYTES = 128 << 20  # the release's files have about 40 MB

_TIMEOUT = httpx2.Timeout(30, connect=10)
_CHUNK = 1 << 16
_REPORT_SECONDS = 0.2

Progress = Callable[[int, int], None]  # bytes that have come, bytes in all (0: not said)


@dataclass(frozen=True)
class Asset:
    """A file of the release; `inner` is the program's checksum within an archive."""

    name: str
    sha256: str
    inner: str = ""


ASSETS = {
    ("linux", "x86_64"): Asset(
        "cloudflared-linux-amd64",
        "fcfb02b575a52ca1af2e3267af4e1517bcdeb30ac48c834c69abaed3c0576ad2",
    ),
    ("linux", "aarch64"): Asset(
        "cloudflared-linux-arm64",
        "7747d94570fb390cf47dcb4f9555c193c6355cda9793f0d878d9049e5d6a7790",
    ),
    ("darwin", "x86_64"): Asset(
        "cloudflared-darwin-amd64.tgz",
        "f1727723c586500e2092368ae21871b3df7ddfd2cb097f22d81bee4a9c458bb4",
        "b0f770e1e0b281399a57219b840fd8eef1cc25387a404124248157ea2073727a",
    ),
    ("darwin", "arm64"): Asset(
        "cloudflared-darwin-arm64.tgz",
        "9042c2c5d8b2de78e60f313d5fb31b6c5c1cebde787a3caf1f2c9588084ac442",
        "b61054d3d6326ea558cb49826eebf5676e0d0a36d51b546975096ca3e0e3c89d",
    ),
}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def asset_for(system: str = "", machine: str = "") -> Asset:
    """The file for this machine, unless another one is named."""
    system = (system or platform.system()).lower()
    machine = (machine or platform.machine()).lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if (system, machine) not in ASSETS:
        raise NoCloudflaredRelease(system=system, machine=machine)
    return ASSETS[system, machine]


def fetch(asset: Asset, place: Path, progress: Progress, page: str = PAGE) -> Path:
    """The program, at its place and allowed to run. Whatever fails leaves nothing behind."""
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".cloudflared-") as folder:
            arrived = Path(folder) / asset.name
            _download(f"{page}/{asset.name}", arrived, progress)
            _require(arrived, asset.sha256, asset.name)
            program = _unpacked(arrived, asset) if asset.inner else arrived
            program.chmod(0o700)
            program.replace(place)
    except OSError as error:
        raise CloudflaredNotKept(path=place, reason=error.strerror or str(error)) from error
    return place


def _download(url: str, path: Path, progress: Progress) -> None:
    try:
        with (
            httpx2.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as response,
            path.open("wb") as file,
        ):
            response.raise_for_status()
            total = int(response.headers.get("Content-Length", "0"))
            _copy(response, file, url, lambda done: progress(done, total))
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise CloudflaredNotFetched(url=url, reason=reason) from error


def _copy(
    response: httpx2.Response, file: IO[bytes], url: str, report: Callable[[int], None]
) -> None:
    done, told = 0, float("-inf")
    for chunk in response.iter_raw(_CHUNK):
        done += len(chunk)
        if done > MAX_BYTES:
            raise CloudflaredNotFetched(url=url, reason=f"it has more than {MAX_BYTES} bytes")
        file.write(chunk)
        if time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            report(done)
    report(done)


def _unpacked(archive: Path, asset: Asset) -> Path:
    """The one file `cloudflared` in it; nothing else of the archive touches the disk."""
    program = archive.with_name("cloudflared")
    try:
        with tarfile.open(archive, "r:gz") as tar, program.open("wb") as file:
            member = tar.extractfile("cloudflared")
            if member is None:
                raise CloudflaredNotFetched(url=asset.name, reason="`cloudflared` is no file in it")
            _copy_bounded(member, file, asset.name)
    except (KeyError, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CloudflaredNotFetched(url=asset.name, reason=str(error)) from error
    _require(program, asset.inner, asset.name)
    return program


def _copy_bounded(source: Readable, file: IO[bytes], name: str) -> None:
    done = 0
    while chunk := source.read(_CHUNK):
        done += len(chunk)
        if done > MAX_BYTES:
            raise CloudflaredNotFetched(url=name, reason=f"it unpacks to over {MAX_BYTES} bytes")
        file.write(chunk)


def _require(path: Path, sha256: str, name: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise CloudflaredWrong(name=name, found=found, expected=sha256)
