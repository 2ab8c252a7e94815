"""A process's own folder: former processes' go, living ones' stay, whoever shares the home."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.sandbox import scratch
from assistant.sandbox.scratch import Scratch, passable

ROOT = Path(__file__).parents[3]
ANOTHER = """
import sys
from pathlib import Path
from assistant.sandbox.scratch import Scratch
mine = Scratch(Path(sys.argv[1]))
(mine.path / "file").write_text("mine")
print(mine.path, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_app(home: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a folder below the same home, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a session's uid can come: pytest's own folders are their owner's alone."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        yield Path(base) / "home"


def test_two_apps_with_one_home_leave_each_other_alone_until_one_is_dead(home: Path) -> None:
    mine = Scratch(home)
    with another_app(home) as (process, theirs):
        assert theirs != mine.path
        assert mine.path.is_dir()
        Scratch(home).close()
        assert (theirs / "file").read_text() == "mine"
        process.kill()
        process.wait()
        Scratch(home).close()
        assert not theirs.exists()
    assert mine.path.is_dir()
    mine.close()
    assert not mine.path.exists()


def test_only_what_is_ours_is_swept(home: Path) -> None:
    home.mkdir()
    secret = home.parent / "secret"
    secret.mkdir()
    (secret / "lock").touch()
    (home / "assistant-run-link").symlink_to(secret)
    (home / "assistant-run-file").write_text("1")
    (home / "assistant-run-starting").mkdir()
    (home / "something else").mkdir()
    dead = home / "assistant-run-\n\u202e\udcff"
    dead.mkdir()
    (dead / "lock").touch()
    before = {*home.iterdir()}
    Scratch(home).close()
    assert before - {*home.iterdir()} == {dead}
    assert (secret / "lock").exists()


def test_a_lock_that_is_a_link_is_not_followed(home: Path) -> None:
    target = home.parent / "target"
    target.write_text("canary")
    dead = home / "assistant-run-dead"
    dead.mkdir(parents=True)
    (dead / "lock").symlink_to(target)
    Scratch(home).close()
    assert dead.exists()
    assert target.read_text() == "canary"


def test_other_users_may_pass_but_not_look(home: Path) -> None:
    mine = Scratch(home)
    assert mine.path.stat().st_mode & 0o777 == 0o711
    mine.close()


def test_where_a_sessions_uid_cannot_come_it_is_with_the_temporary_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "passable", lambda _: False)
    for euid, base in ((0, Path(tempfile.gettempdir())), (1000, home)):
        with monkeypatch.context() as patch:
            patch.setattr("os.geteuid", lambda euid=euid: euid)
            mine = Scratch(home)
        assert mine.path.parent == base
        mine.close()


def test_a_closed_folder_anywhere_above_is_seen(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "a" / "b").mkdir(parents=True)
        base.chmod(0o755)
        assert passable(base / "a" / "b")
        (base / "a").chmod(0o700)
        assert not passable(base / "a" / "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_another_user_left_is_theirs(home: Path) -> None:
    dead = home / "assistant-run-theirs"
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    os.chown(dead, 54321, 54321)
    Scratch(home).close()
    assert dead.exists()


def test_both_places_are_swept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = home.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(scratch, "passable", lambda _: False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    dead = [base / "assistant-run-dead" for base in (home, temporary)]
    for each in dead:
        each.mkdir(parents=True)
        (each / "lock").touch()
    Scratch(home).close()
    assert [each.exists() for each in dead] == [False, False]


def test_nobody_else_can_hold_the_lock(home: Path) -> None:
    mine = Scratch(home)
    assert (mine.path / "lock").stat().st_mode & 0o777 == 0o600
    mine.close()
