"""A conversation's folder: what the app reads and writes there, whatever the code has put in it."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from assistant.errors import BadFileName, FileTooLarge, FolderFull, NoSuchFile
from assistant.sandbox.files import MAX_NAME, WorkFolder, safe_name
from assistant.sandbox.limits import Limits


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    return WorkFolder(tmp_path / "work", Limits(disk=1000, files=5, file_size=600))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text("canary")
    return path


def names(folder: WorkFolder) -> list[str]:
    return [entry.name for entry in folder.files()]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("sales.csv", "sales.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\数据.xlsx", "数据.xlsx"),
        ("a\0b\n.csv", "ab.csv"),
        (".bashrc", "bashrc"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\u2028b.txt", "ab.txt"),
        ("销售 2024.csv", "销售 2024.csv"),
        ("-rf", "-rf"),
        ("\ud800x", "x"),
        ("cafe\u0301.csv", "caf\u00e9.csv"),
    ],
)
def test_an_evil_name_becomes_a_safe_one(given: str, stored: str, folder: WorkFolder) -> None:
    assert folder.write(given, b"1") == stored
    assert names(folder) == [stored]
    assert folder.read(stored) == b"1"


@pytest.mark.parametrize(
    "given", ["x" * 300 + ".csv", "中" * 200 + ".csv", "y" * 400, "." + "z" * 300, "a." + "b" * 300]
)
def test_a_name_is_cut_to_what_a_file_system_takes(given: str, folder: WorkFolder) -> None:
    stored = folder.write(given, b"1")
    assert len(stored.encode()) <= MAX_NAME
    assert stored.endswith(".csv") == given.endswith(".csv")
    assert folder.read(stored) == b"1"


@pytest.mark.parametrize("given", ["", "..", "...", "/", "a/..", "\0", "\u202e", "  "])
def test_a_name_of_nothing_is_refused(given: str) -> None:
    with pytest.raises(BadFileName):
        safe_name(given)


class Huge(io.RawIOBase):
    """Two gigabytes that nobody may read."""

    def __init__(self) -> None:
        self.at = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.at = 2 << 30 if whence == os.SEEK_END else offset
        return self.at

    def read(self, size: int = -1, /) -> bytes:
        raise AssertionError("it was read")


def test_two_gigabytes_are_refused_before_a_byte_is_read(folder: WorkFolder) -> None:
    with pytest.raises(FileTooLarge):
        folder.write("big.bin", cast(BinaryIO, Huge()))
    assert names(folder) == []


def test_a_folder_takes_no_more_than_its_quota_and_a_file_may_be_replaced(
    folder: WorkFolder,
) -> None:
    folder.write("a", b"x" * 600)
    with pytest.raises(FolderFull):
        folder.write("b", b"x" * 500)
    folder.write("a", b"y" * 500)
    folder.write("b", b"x" * 500)
    assert names(folder) == ["a", "b"]
    assert folder.read("a") == b"y" * 500


def test_a_folder_takes_only_so_many_files(folder: WorkFolder) -> None:
    for n in range(5):
        folder.write(f"{n}", b"")
    with pytest.raises(FolderFull):
        folder.write("one more", b"")


def test_a_failed_write_leaves_nothing_behind(folder: WorkFolder) -> None:
    (folder.path / "taken").mkdir()
    with pytest.raises(FolderFull):
        folder.write("taken", b"1")
    assert [each.name for each in folder.path.iterdir()] == ["taken"]


def test_a_full_disk_is_said_and_leaves_nothing_behind(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: BinaryIO, target: BinaryIO) -> None:
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.write("old", b"kept")
    monkeypatch.setattr("shutil.copyfileobj", full)
    for name in ("new", "old"):
        with pytest.raises(FolderFull):
            folder.write(name, b"whole")
    assert [each.name for each in folder.path.iterdir()] == ["old"]
    assert folder.read("old") == b"kept"


def test_a_zip_bomb_is_a_file_like_any_other(folder: WorkFolder) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(200_000))
    folder.write("bomb.zip", out.getvalue())
    assert names(folder) == ["bomb.zip"]
    assert folder.read("bomb.zip") == out.getvalue()


def test_a_link_is_not_followed(folder: WorkFolder, secret: Path) -> None:
    (folder.path / "link").symlink_to(secret)
    (folder.path / "folder").symlink_to(secret.parent)
    assert names(folder) == []
    for name in ("link", "folder/secret.txt"):
        with pytest.raises(NoSuchFile):
            folder.read(name)
    assert b"canary" not in folder.zip()


def test_another_name_of_somebody_elses_file_is_not_read(folder: WorkFolder, secret: Path) -> None:
    os.link(secret, folder.path / "hard")
    assert names(folder) == []
    with pytest.raises(NoSuchFile):
        folder.read("hard")


def test_pipes_sockets_and_sparse_giants_are_not_read(folder: WorkFolder) -> None:
    os.mkfifo(folder.path / "pipe")
    with (folder.path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NoSuchFile):
        folder.read("pipe")
    with pytest.raises(FileTooLarge):
        folder.read("sparse")
    assert zipfile.ZipFile(io.BytesIO(folder.zip())).namelist() == []


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "/etc/passwd", "a/../../secret.txt", ".", "", "a//b", "a\0b", "x/" * 20],
)
def test_a_path_out_of_the_folder_is_no_file(name: str, folder: WorkFolder, secret: Path) -> None:
    for use in (folder.read, folder.delete):
        with pytest.raises(NoSuchFile):
            use(name)
    assert secret.exists()


def test_a_link_is_deleted_and_not_what_it_leads_to(folder: WorkFolder, secret: Path) -> None:
    (folder.path / "link").symlink_to(secret)
    folder.delete("link")
    assert not [*folder.path.iterdir()]
    assert secret.read_text() == "canary"


def test_an_upload_replaces_a_link_and_does_not_write_through_it(
    folder: WorkFolder, secret: Path
) -> None:
    (folder.path / "data.csv").symlink_to(secret)
    folder.write("data.csv", b"mine")
    assert secret.read_text() == "canary"
    assert folder.read("data.csv") == b"mine"


def test_a_folder_that_has_become_a_link_is_not_entered(tmp_path: Path, secret: Path) -> None:
    folder = WorkFolder(tmp_path / "work", Limits())
    folder.path.rmdir()
    folder.path.symlink_to(secret.parent)
    assert folder.files() == []
    with pytest.raises(NoSuchFile):
        folder.write("planted", b"1")
    assert not (secret.parent / "planted").exists()


def test_names_that_deceive_are_not_listed_and_two_hundred_are_enough(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "work", Limits())
    (folder.path / "evil\n\u202ename").write_text("")
    assert names(folder) == []
    for n in range(250):
        (folder.path / f"{n:03}").write_text("")
    assert names(folder) == [f"{n:03}" for n in range(200)]


def test_all_files_come_as_one_zip(folder: WorkFolder) -> None:
    folder.write("a.txt", b"1")
    (folder.path / "out").mkdir()
    (folder.path / "out" / "图.txt").write_bytes(b"2")
    archive = zipfile.ZipFile(io.BytesIO(folder.zip()))
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "a.txt": b"1",
        "out/图.txt": b"2",
    }


def test_a_zip_has_no_more_than_the_quota_even_of_a_folder_that_has(folder: WorkFolder) -> None:
    for n in range(5):
        (folder.path / f"{n}").write_bytes(b"x" * 400)
    assert len(zipfile.ZipFile(io.BytesIO(folder.zip())).namelist()) == 2


def test_a_file_that_goes_while_a_zip_is_made_is_not_in_it(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("stays", b"1")
    folder.write("goes", b"2")
    read = folder.read

    def reading(name: str) -> bytes:
        if name == "goes":
            folder.delete(name)
        return read(name)

    monkeypatch.setattr(folder, "read", reading)
    assert zipfile.ZipFile(io.BytesIO(folder.zip())).namelist() == ["stays"]


def test_no_more_of_a_growing_file_is_read_than_was_looked_at(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("log", b"12")
    look = os.fstat

    def grown_after(descriptor: int) -> os.stat_result:
        known = look(descriptor)
        with (folder.path / "log").open("ab") as file:
            file.write(b"3" * 1000)
        return known

    monkeypatch.setattr("os.fstat", grown_after)
    assert folder.read("log") == b"12"


def test_a_folder_that_goes_while_it_is_listed_is_left_out(
    folder: WorkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.path / "swapped").mkdir()
    folder.write("stays", b"1")
    opened = os.open

    def opening(name: str | Path, *arguments: int, **options: int) -> int:
        if name == "swapped":
            raise OSError(errno.ELOOP, "it is a link now")
        return opened(name, *arguments, **options)

    monkeypatch.setattr("os.open", opening)
    assert names(folder) == ["stays"]


def test_folders_are_listed_to_a_depth_that_a_person_needs(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "work", Limits())
    here = os.open(folder.path, os.O_RDONLY)
    for depth in range(2000):
        os.close(os.open(f"file{depth}", os.O_CREAT, dir_fd=here))
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert len(names(folder)) == 8
    folder.remove()


def test_a_folder_is_its_owners_alone(folder: WorkFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_is_stored_belongs_to_whom_the_folder_belongs_to(folder: WorkFolder) -> None:
    os.chown(folder.path, 61000, 61000)
    folder.write("a.csv", b"1")
    known = (folder.path / "a.csv").stat()
    assert (known.st_uid, known.st_gid) == (61000, 61000)


def test_an_upload_is_not_written_through_a_link_in_its_temporary_place(
    folder: WorkFolder, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (folder.path / ".guessed.part").symlink_to(secret)
    with pytest.raises(FolderFull):
        folder.write("a.csv", b"mine")
    assert secret.read_text() == "canary"
