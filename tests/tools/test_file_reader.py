"""Files of the conversation's folder, and no others."""

import os
from pathlib import Path

import pytest

from tools import ToolError
from tools.file_reader import MAX_BYTES, read_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "outside.txt").write_text("private")
    folder = tmp_path / "conversation"
    (folder / "data").mkdir(parents=True)
    (folder / "notes.txt").write_text("one\ntwo\nthree\n")
    (folder / "data" / "中文.txt").write_bytes("你好".encode("gb18030"))
    monkeypatch.chdir(folder)
    return folder


def test_a_file_is_read_by_name_or_from_a_folder_within() -> None:
    assert read_file("notes.txt") == "one\ntwo\nthree"
    assert read_file("./notes.txt") == "one\ntwo\nthree"
    assert read_file("data/中文.txt") == "你好"


def test_a_part_of_a_file_says_how_much_follows() -> None:
    assert read_file("notes.txt", first_line=2, n_lines=1) == "two\n[1 more lines of 3]"
    assert read_file("notes.txt", first_line=0, n_lines=0) == "one\n[2 more lines of 3]"
    assert read_file("notes.txt", first_line=9) == ""


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "data/../../outside.txt", "/etc/passwd", "//etc/passwd", "", "..", "a\0b"],
)
def test_no_path_leads_outside(path: str) -> None:
    with pytest.raises(ToolError, match="Only files of this conversation"):
        read_file(path)


def test_no_link_is_followed(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "up").symlink_to(folder.parent)
    for path in ("link.txt", "up/outside.txt"):
        with pytest.raises(ToolError, match="cannot be opened"):
            read_file(path)


def test_a_pipe_or_a_folder_is_no_ordinary_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for path in ("pipe", "data"):
        with pytest.raises(ToolError, match="no ordinary file"):
            read_file(path)


def test_a_missing_file_is_told_with_those_there_are() -> None:
    with pytest.raises(ToolError, match=r"There are: data, notes\.txt"):
        read_file("nots.txt")


def test_a_large_file_or_one_without_text_is_refused(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ToolError, match=f"at most {MAX_BYTES}"):
        read_file("large")
    (folder / "photo").write_bytes(b"\xff\xd8\xff\xe0\x00")
    with pytest.raises(ToolError, match="no text file"):
        read_file("photo")
