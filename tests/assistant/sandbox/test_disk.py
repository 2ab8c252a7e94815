"""What a session holds of the disk: every block of its own, and nobody else's."""

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.sandbox.disk import deleted, folder

KILOBYTES = 64 << 10
ME = [os.getpid()]
ROOT = Path(__file__).parents[3]


def written(path: Path, size: int = KILOBYTES) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def device(path: Path) -> int:
    return path.stat().st_dev


def test_blocks_count_and_not_what_a_file_says_of_its_length(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert folder(tmp_path, 100).size < KILOBYTES
    written(tmp_path / "full")
    assert folder(tmp_path, 100).size >= KILOBYTES


def test_what_is_below_counts_and_what_a_link_leads_to_does_not(tmp_path: Path) -> None:
    large = written(tmp_path / "large", 10 * KILOBYTES)
    work = tmp_path / "work"
    (work / "a" / "b").mkdir(parents=True)
    (work / "link").symlink_to(large)
    assert folder(work, 100).size < KILOBYTES
    written(work / "a" / "b" / "file")
    assert folder(work, 100).size >= KILOBYTES
    assert folder(work, 100).files == 4


def test_counting_stops_in_the_middle_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(50):
        (tmp_path / f"{n}").touch()
    assert folder(tmp_path, 10).files == 11
    (tmp_path / "0").unlink()
    for n in range(20):
        (tmp_path / f"d{n}" / "below").mkdir(parents=True)
    assert folder(tmp_path, 60).files == 61


CLOSED = """
import os, sys
from pathlib import Path
from assistant.sandbox.disk import folder
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(54321, 54321, 54321)
    os.setresuid(54321, 54321, 54321)
work = Path(sys.argv[1])
(work / "closed").mkdir()
(work / "closed").chmod(0)
sys.exit(folder(work, 10).files <= 10)
"""


def test_what_cannot_be_looked_into_counts_as_too_much() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o777)
        done = subprocess.run([sys.executable, "-c", CLOSED, base], cwd=ROOT, check=False)
        assert done.returncode == 0


def test_a_folder_that_goes_meanwhile_is_no_offence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.scandir
    (tmp_path / "goes").mkdir()

    def looking(path: str) -> object:
        if path.endswith("goes"):
            (tmp_path / "goes").rmdir()
        return look(path)

    monkeypatch.setattr("os.scandir", looking)
    assert folder(tmp_path, 10).files == 1


def held_now(path: Path, *, mapped: bool = False) -> int:
    return deleted(ME, path.stat().st_dev, mapped=mapped)


def test_an_open_file_without_a_name_counts_and_one_with_a_name_does_not(tmp_path: Path) -> None:
    before = held_now(tmp_path)  # of pytest's own
    path = written(tmp_path / "file")
    with path.open("rb"):
        assert held_now(tmp_path) == before
        path.unlink()
        assert held_now(tmp_path) >= before + KILOBYTES
        assert deleted(ME, 0, mapped=False) == 0  # of another device
    assert held_now(tmp_path) == before


def test_what_is_open_but_no_file_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held_now(tmp_path)
    with written(tmp_path / "file").open("rb"):
        (tmp_path / "file").unlink()
        monkeypatch.setattr("stat.S_ISREG", lambda _: False)
        assert held_now(tmp_path) == 0
    monkeypatch.undo()
    assert held_now(tmp_path) == before


@contextmanager
def mapping(path: Path, *offsets: int) -> Iterator[None]:
    """Maps some of a file, and keeps it open no longer; Python's own `mmap` would."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    found = []
    with path.open("rb") as file:
        for offset in offsets:
            options = (mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), ctypes.c_long(offset))
            found.append(libc.mmap(None, ctypes.c_size_t(KILOBYTES), *options))
    yield
    for address in found:
        assert libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(KILOBYTES)) == 0


def test_a_file_without_a_name_that_is_only_mapped_counts_by_what_is_mapped(
    tmp_path: Path,
) -> None:
    open_before, before = held_now(tmp_path), held_now(tmp_path, mapped=True)
    path = written(tmp_path / "file", 4 * KILOBYTES)
    with mapping(path, 0, 2 * KILOBYTES):
        assert held_now(tmp_path, mapped=True) == before  # it has its name
        path.unlink()
        assert held_now(tmp_path) == open_before
        assert held_now(tmp_path, mapped=True) == before + 2 * KILOBYTES
        assert deleted(ME, 0, mapped=True) == 0  # of another device


def test_a_file_that_is_open_and_mapped_counts_once_and_whole(tmp_path: Path) -> None:
    before = held_now(tmp_path, mapped=True)
    path = written(tmp_path / "file", 4 * KILOBYTES)
    with path.open("rb"), mapping(path, 0):
        path.unlink()
        whole = held_now(tmp_path, mapped=True) - before
        assert 4 * KILOBYTES <= whole < 5 * KILOBYTES
        assert deleted([*ME, *ME], device(tmp_path), mapped=True) - before == whole


def test_a_process_that_has_ended_holds_nothing() -> None:
    assert deleted([999_999_999], 0, mapped=True) == 0
