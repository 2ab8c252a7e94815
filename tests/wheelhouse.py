"""A folder of tiny wheels that hold a file in parts, as a package index that pip can read."""

import os
import zipfile
from pathlib import Path

import pytest

PREFIX = "tinyfile-part"
VERSION = "1.0"


def write_wheel(folder: Path, number: int, files: dict[str, bytes]) -> Path:
    """One wheel of a valid form with these members besides."""
    name = f"{PREFIX.replace('-', '_')}{number}"
    info = f"{name}-{VERSION}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {PREFIX}{number}\nVersion: {VERSION}\n"
    path = folder / f"{name}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, data in files.items():
            wheel.writestr(member, data)
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def member_of(number: int) -> str:
    return f"{PREFIX.replace('-', '_')}{number}/data/part{number:02}.bin"


def write_wheels(folder: Path, data: bytes, wheel_bytes: int) -> None:
    folder.mkdir()
    parts = [data[i : i + wheel_bytes] for i in range(0, len(data), wheel_bytes)]
    for number, part in enumerate(parts, start=1):
        write_wheel(folder, number, {member_of(number): part})


def offer_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure pip so that it sees nothing but this folder."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
