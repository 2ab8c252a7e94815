"""A folder is removed whatever hostile code has made of it, and nothing else is."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from assistant.sandbox.tree import _opened, remove

ROOT = Path(__file__).parents[3]


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


def test_a_folder_that_becomes_a_link_or_a_file_while_it_is_removed_is_not_entered(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o500)
    (tmp_path / "link").symlink_to(secret)
    file = tmp_path / "file"
    file.touch(0o444)
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            _opened(str(tmp_path / name))
    assert secret.stat().st_mode & 0o777 == 0o500
    assert file.stat().st_mode & 0o777 == 0o444


CLOSED = """
import os, sys
from pathlib import Path
from assistant.sandbox.tree import remove
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(54321, 54321, 54321)
    os.setresuid(54321, 54321, 54321)
work = Path(sys.argv[1], "work")
(work / "a" / "b" / "c").mkdir(parents=True)
(work / "a" / "b" / "c" / "file").touch()
for folder in (work / "a" / "b" / "c", work / "a" / "b", work / "a", work):
    folder.chmod(0)
remove(work)
sys.exit(work.exists())
"""


def test_closed_folders_are_no_hindrance_to_who_is_not_root_either() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o777)
        done = subprocess.run([sys.executable, "-c", CLOSED, base], cwd=ROOT, check=False)
        assert done.returncode == 0
