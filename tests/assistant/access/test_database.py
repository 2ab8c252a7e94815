"""The file: private, whole, ours, and shared by threads and processes."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from access_files import Clock, change

from assistant.access import database
from assistant.access.database import Database
from assistant.access.store import AccessStore
from assistant.errors import (
    AccessFileDamaged,
    AccessFileForeign,
    AccessFileNewer,
    AccessFileReplaced,
    AccessFileUnusable,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path) -> bytes:
    """What is in a file after it was opened in vain."""
    before = path.read_bytes()
    with pytest.raises((AccessFileDamaged, AccessFileForeign, AccessFileNewer)):
        AccessStore(path)
    assert path.read_bytes() == before
    return before


@pytest.mark.usefixtures("open_umask")
def test_only_the_owner_may_read_the_file_and_those_beside_it(path: Path) -> None:
    with closing(AccessStore(path)) as store:
        store.add_user("ann", None)
        files = sorted(path.parent.iterdir())
        assert [each.name for each in files] == ["access.db", "access.db-shm", "access.db-wal"]
        assert [mode(each) for each in files] == [0o600] * 3
        assert mode(path.parent) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_the_file_is_private_from_the_moment_it_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    link = os.link

    def watched(source: Path, target: Path) -> None:
        link(source, target)
        seen.append(mode(target))
        assert mode(source.parent) == 0o700
        assert source.parent.parent == target.parent  # /tmp may be another disk

    path.parent.mkdir(mode=0o777)
    monkeypatch.setattr(os, "link", watched)
    AccessStore(path).close()
    assert seen == [0o600]


def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    AccessStore(path).close()
    path.chmod(0o644)
    AccessStore(path).close()
    assert mode(path) == 0o600


def test_what_was_kept_is_there_after_closing(path: Path) -> None:
    with closing(AccessStore(path)) as store:
        store.add_user("ann", None)
        secret = store.secret()
    assert [each.name for each in path.parent.iterdir()] == ["access.db"]
    with closing(AccessStore(path)) as store:
        assert [user.name for user in store.users()] == ["ann"]
        assert store.secret() == secret


@pytest.mark.parametrize("contents", [b"", b"not a database at all", os.urandom(8192)])
def test_what_is_no_database_is_refused_and_left_as_it_is(path: Path, contents: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(contents)
    assert refused(path) == contents


def test_a_damaged_page_is_refused(path: Path) -> None:
    with closing(AccessStore(path)) as store:
        for number in range(200):
            store.add_user(f"user{number}", None)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    with pytest.raises(AccessFileDamaged, match="Put a copy of it back"):
        AccessStore(path)


def test_a_file_that_was_cut_is_refused(path: Path) -> None:
    AccessStore(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AccessFileDamaged):
        AccessStore(path)


def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    change(path, "CREATE TABLE users (name TEXT)")
    path.chmod(0o644)
    with pytest.raises(AccessFileForeign, match="move it away"):
        AccessStore(path)
    refused(path)
    assert mode(path) == 0o644


def test_a_newer_versions_file_is_refused(path: Path) -> None:
    AccessStore(path).close()
    change(path, "PRAGMA user_version = 2")
    with pytest.raises(AccessFileNewer, match=r"format 2; this one knows 1"):
        AccessStore(path)


def test_a_file_that_goes_away_while_it_is_opened_is_not_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    monkeypatch.setattr(database, "_create", lambda _path: None)
    monkeypatch.setattr(database, "_identity", lambda _path: (0, 0))
    with pytest.raises(AccessFileUnusable):
        AccessStore(path)
    assert not path.exists()


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(AccessFileUnusable, match="home"):
        AccessStore(tmp_path / "home" / "access.db")


@pytest.mark.parametrize("put_back", [False, True])
def test_once_the_file_is_removed_or_replaced_nobody_is_let_in(
    path: Path, store: AccessStore, put_back: bool
) -> None:
    store.add_user("ann", None)
    token = store.begin_session("ann", 60)
    path.rename(path.with_name("aside"))
    if put_back:
        AccessStore(path).close()
    with pytest.raises(AccessFileReplaced):
        store.session(token)
    with pytest.raises(AccessFileReplaced):
        store.make_link("ann")


def interrupted(found: Database) -> None:
    with found.writing() as connection:
        connection.execute("INSERT INTO users VALUES ('ann', 'user', NULL, 0)")
        raise KeyboardInterrupt


def test_a_transaction_is_kept_whole_or_not_at_all(path: Path) -> None:
    with closing(Database(path)) as found:
        with pytest.raises(KeyboardInterrupt):
            interrupted(found)
        assert found.rows("SELECT * FROM users") == []
        with found.writing() as connection:
            connection.execute("INSERT INTO users VALUES ('bob', 'user', NULL, 0)")
        assert [row["name"] for row in found.rows("SELECT name FROM users")] == ["bob"]


def test_the_reading_connection_cannot_write(path: Path) -> None:
    with closing(Database(path)) as found, pytest.raises(AccessFileUnusable, match="readonly"):
        found.rows("DELETE FROM users")


def test_a_file_that_another_program_holds_is_named_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    with closing(AccessStore(path)) as store, closing(sqlite3.connect(path)) as other:
        store.add_user("ann", None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AccessFileUnusable, match="locked"):
            store.make_link("ann")
        assert store.user("ann") is not None  # reading goes on
        other.execute("ROLLBACK")
        assert store.make_link("ann")


def test_reading_waits_for_nobody_who_writes(path: Path) -> None:
    # The pool is left last: a reader that did wait would be let go before it.
    with closing(Database(path)) as found, ThreadPoolExecutor(1) as other, found.writing() as it:
        it.execute("INSERT INTO users VALUES ('ann', 'user', NULL, 0)")
        assert other.submit(found.rows, "SELECT * FROM users").result(60) == []


def test_many_threads_write_and_read_at_once(store: AccessStore) -> None:
    start = threading.Barrier(16)

    def work(number: int) -> bool:
        start.wait(60)
        name = store.add_user(f"user{number}", None).name
        tokens = [store.begin_session(name, 60) for _ in range(10)]
        return all((visitor := store.session(each)) and visitor.name == name for each in tokens)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))
    assert len(store.users()) == 16
    assert [user.access.value for user in store.users()].count("operator") == 1


MAKER = """
import sys
from pathlib import Path
from assistant.access.store import AccessStore
print("ready", flush=True)
sys.stdin.readline()
store = AccessStore(Path(sys.argv[1]))
store.add_user("user" + sys.argv[2], None)
print(store.secret().hex())
"""


def test_processes_that_make_the_file_at_once_share_one(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(3)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(3) as pool:
        secrets = set(pool.map(lambda maker: maker.communicate("\n", timeout=60)[0], makers))
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert len(secrets) == 1
    with closing(AccessStore(path, Clock())) as store:
        assert {user.name for user in store.users()} == {"user0", "user1", "user2"}
        assert [user.access.value for user in store.users()].count("operator") == 1
