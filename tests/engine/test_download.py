"""Fetching one file: what is kept, what is refused, and that two never fetch at once."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import HubServer

import engine.download
from engine.download import (
    DownloadListener,
    DownloadProgress,
    Part,
    Source,
    SourceFailed,
    WantedFile,
    fetch,
)
from engine.errors import CacheNotWritable, DiskFull, DownloadFailed

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()
REMEDY = "Bring a file."


@dataclass
class FakeSource:
    """Sends the data from where the part ends, in chunks, and fails after `limit` bytes."""

    data: bytes = DATA
    limit: int = 10**9
    name: str = "fake"
    where: str = "the test"
    began_at: list[int] = field(default_factory=list)

    def fill(self, part: Part) -> None:
        self.began_at.append(part.done)
        part.append(self._chunks(part.done))
        if part.done < part.size:
            raise SourceFailed("it broke off")

    def _chunks(self, start: int) -> Iterable[bytes]:
        for i in range(start, min(len(self.data), self.limit), 1000):
            yield self.data[i : min(i + 1000, self.limit)]


def _wanted(tmp_path: Path) -> WantedFile:
    return WantedFile(tmp_path / "models/file.bin", len(DATA), SHA256)


def _fetch(tmp_path: Path, *sources: Source, listener: DownloadListener | None = None) -> Path:
    return fetch(_wanted(tmp_path), sources, listener, remedy=REMEDY)


def _left(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "models").iterdir()}


def test_a_fetched_file_is_whole_and_leaves_no_part(tmp_path: Path) -> None:
    path = _fetch(tmp_path, FakeSource())
    assert path.read_bytes() == DATA
    assert _left(tmp_path) == {"file.bin", "file.bin.verified", "file.bin.lock"}


def test_a_file_in_place_is_not_fetched_again(tmp_path: Path) -> None:
    source = FakeSource()
    assert _fetch(tmp_path, source) == _fetch(tmp_path, source)
    assert len(source.began_at) == 1


def test_a_verified_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fetch(tmp_path, FakeSource())
    monkeypatch.setattr(engine.download, "_sha256", lambda _path: pytest.fail("read it all"))
    _fetch(tmp_path)


def test_a_file_put_there_by_hand_is_taken_if_it_is_the_right_one(tmp_path: Path) -> None:
    path = _wanted(tmp_path).path
    path.parent.mkdir()
    path.write_bytes(DATA)
    assert _fetch(tmp_path) == path
    assert path.with_name("file.bin.verified").exists()


def test_a_file_of_another_size_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = _wanted(tmp_path)
    wanted.path.parent.mkdir()
    wanted.path.write_bytes(DATA[1:])
    monkeypatch.setattr(engine.download, "_sha256", lambda _path: pytest.fail("read it all"))
    assert not wanted.is_in_place()


def test_a_file_that_changed_after_it_was_verified_is_fetched_again(tmp_path: Path) -> None:
    path = _fetch(tmp_path, FakeSource())
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(1, 1))
    assert _fetch(tmp_path, FakeSource()).read_bytes() == DATA


def test_a_mark_that_cannot_be_written_does_not_refuse_the_file(tmp_path: Path) -> None:
    (tmp_path / "models/file.bin.verified").mkdir(parents=True)
    assert _fetch(tmp_path, FakeSource()).read_bytes() == DATA
    assert _fetch(tmp_path).read_bytes() == DATA


def test_a_wrong_checksum_is_never_placed_and_spares_what_was_there(tmp_path: Path) -> None:
    path = _wanted(tmp_path).path
    path.parent.mkdir()
    path.write_bytes(b"an older file")
    wrong = DATA[:-1] + b"!"
    with pytest.raises(DownloadFailed) as caught:
        _fetch(tmp_path, FakeSource(wrong))
    assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert SHA256 in str(caught.value)
    assert path.read_bytes() == b"an older file"
    assert _left(tmp_path) == {"file.bin", "file.bin.lock"}


def test_after_a_wrong_checksum_the_next_source_begins_afresh(tmp_path: Path) -> None:
    good = FakeSource()
    assert _fetch(tmp_path, FakeSource(DATA[::-1]), good).read_bytes() == DATA
    assert good.began_at == [0]


def test_the_next_source_goes_on_where_the_first_broke_off(tmp_path: Path) -> None:
    second = FakeSource()
    assert _fetch(tmp_path, FakeSource(limit=2500), second).read_bytes() == DATA
    assert second.began_at == [2500]


def test_the_next_start_goes_on_where_the_last_broke_off(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        _fetch(tmp_path, FakeSource(limit=2500))
    source = FakeSource()
    assert _fetch(tmp_path, source).read_bytes() == DATA
    assert source.began_at == [2500]


def test_a_part_longer_than_the_file_is_begun_afresh(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/file.bin.part").write_bytes(DATA + b"more")
    source = FakeSource()
    assert _fetch(tmp_path, source).read_bytes() == DATA
    assert source.began_at == [0]


def test_a_source_that_sends_too_much_is_stopped_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="sends more than the 10240 bytes"):
        _fetch(tmp_path, FakeSource(DATA + b"x" * 5000))
    assert (tmp_path / "models/file.bin.part").stat().st_size <= len(DATA)


def test_when_all_fail_the_error_says_why_where_and_what_to_do(tmp_path: Path) -> None:
    first = FakeSource(limit=1000, name="one", where="over here")
    second = FakeSource(limit=2000, name="two", where="over there")
    with pytest.raises(DownloadFailed) as caught:
        _fetch(tmp_path, first, second)
    assert str(caught.value) == (
        "Could not fetch file.bin: one: it broke off; two: it broke off. "
        "Looked at: over here, over there. Bring a file."
    )


def test_a_disk_too_small_is_named_before_any_source_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10_239))
    source = FakeSource()
    with pytest.raises(DiskFull, match=r"file\.bin: 10\.2 kB needed, 10\.2 kB free"):
        _fetch(tmp_path, source)
    assert source.began_at == []


def test_room_is_needed_only_for_what_has_not_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/file.bin.part").write_bytes(DATA[:10_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=240))
    assert _fetch(tmp_path, FakeSource()).read_bytes() == DATA


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_named_and_keeps_what_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_all = engine.download._write_all
    full = SimpleNamespace(after=3)

    def fill_up(file: FileIO, chunk: bytes) -> None:
        full.after -= 1
        if full.after < 0:
            raise OSError(number, os.strerror(number))
        write_all(file, chunk)

    other = FakeSource()
    with monkeypatch.context() as patch:
        patch.setattr(engine.download, "_write_all", fill_up)
        with pytest.raises(DiskFull, match=r"7\.2 kB needed"):
            _fetch(tmp_path, FakeSource(), other)
    assert other.began_at == []  # another source would find the disk as full
    assert _fetch(tmp_path, other).read_bytes() == DATA
    assert other.began_at == [3000]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    # Permission bits do not bind root, who may run this test; a file in the way does.
    (tmp_path / "models").touch()
    with pytest.raises(CacheNotWritable, match="models"):
        _fetch(tmp_path, FakeSource())


def test_a_part_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models/file.bin.part").mkdir(parents=True)
    with pytest.raises(CacheNotWritable, match="models"):
        _fetch(tmp_path, FakeSource())


def test_progress_names_its_source_and_tells_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at the clock is half a second later, so every report is due.
    now = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(now) / 2)
    seen: list[DownloadProgress] = []
    _fetch(
        tmp_path, FakeSource(limit=2000, name="one"), FakeSource(name="two"), listener=seen.append
    )
    assert [p.source for p in seen[:4]] == ["one"] * 3 + ["two"]
    assert [p.done for p in seen] == [0, 1000, 2000, *range(2000, 10_001, 1000), 10_240]
    assert {p.total for p in seen} == {10_240}
    assert seen[0].seconds_left is None
    # 1000 bytes in a second and a half: 9240 more take 13.86 s.
    assert seen[1].seconds_left == pytest.approx(13.86)
    assert seen[-1].seconds_left == 0


def test_progress_is_not_told_more_often_than_anyone_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    seen: list[DownloadProgress] = []
    _fetch(tmp_path, FakeSource(), listener=seen.append)
    assert [p.done for p in seen] == [0, 10_240]


FETCH_IN_A_PROCESS = """
import sys
from pathlib import Path
from engine.download import WantedFile, fetch
from engine.hub import HubSource

path, url, size, sha256 = sys.argv[1:]
wanted = WantedFile(Path(path), int(size), sha256)
fetch(wanted, [HubSource("a/b", "c", url)], lambda p: print(p.source, flush=True), remedy="")
"""


def test_two_processes_at_once_fetch_it_once(tmp_path: Path) -> None:
    path = tmp_path / "models/file.bin"
    with HubServer({"a/b/c": DATA}) as hub:
        hub.gate.clear()
        command = [sys.executable, "-c", FETCH_IN_A_PROCESS]
        command += [str(path), hub.url, str(len(DATA)), SHA256]
        environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
        root = Path(__file__).parents[2]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=root) as first,
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=root) as second,
        ):
            assert first.stdout is not None
            assert second.stdout is not None
            said = {first.stdout.readline(), second.stdout.readline()}
            hub.gate.set()
            # Read to the end: leaving the block closes the pipes before the two have finished.
            first.communicate()
            second.communicate()
        assert said == {b"Hugging Face\n", b"another process\n"}
        assert (first.returncode, second.returncode) == (0, 0)
        assert len(hub.downloads) == 1
    assert path.read_bytes() == DATA
