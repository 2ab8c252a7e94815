"""A folder is removed whatever hostile code has made of it, and nothing else is."""

import os
from pathlib import Path

import pytest

from assistant.sandbox.tree import remove


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_deeper_than_the_stack_and_than_any_path_is_no_hindrance(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove(folder)
    assert not folder.exists()


def test_links_go_and_what_they_lead_to_stays(folder: Path) -> None:
    kept = folder.parent / "kept"
    kept.mkdir()
    (kept / "file").write_text("canary")
    (folder / "below").mkdir()
    (folder / "below" / "link").symlink_to(kept)
    (folder / "file").symlink_to(kept / "file")
    os.link(kept / "file", folder / "second name")
    remove(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "canary"


def test_a_link_in_the_folders_place_goes_alone(folder: Path) -> None:
    (folder / "file").write_text("canary")
    link = folder.parent / "link"
    link.symlink_to(folder)
    remove(link)
    assert not link.is_symlink()
    assert (folder / "file").read_text() == "canary"


def test_names_that_it_uses_itself_may_be_there_already(folder: Path) -> None:
    for name in (".0", ".1", "a/.0/x", "a/.1/y", ".2/z/.0"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("1")
    (folder / ".3").write_text("a file")
    remove(folder)
    assert not folder.exists()


def test_pipes_sockets_closed_folders_and_odd_names_are_no_hindrance(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "\udcff\n").mkdir()
    (folder / "closed" / "below").mkdir(parents=True)
    (folder / "closed" / "below").chmod(0)
    (folder / "closed").chmod(0)
    remove(folder)
    assert not folder.exists()


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove(tmp_path / "none")
