"""The file `access.db`: made whole or not at all, and read only where it is ours and sound.

SQLite in WAL mode, so that several processes read while one writes. Within a process one connection
reads and one writes, each behind its lock: whoever looks a session up never waits for a disk.

Not covered: somebody who may write to the file, and folders on network disks, where SQLite's locks
do not hold.
"""

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from assistant.errors import (
    AccessFileDamaged,
    AccessFileForeign,
    AccessFileNewer,
    AccessFileReplaced,
    AccessFileUnusable,
)

OURS = 0x41737331  # SQLite's application_id: "Ass1"
VERSION = 1
BUSY_SECONDS = 10.0  # how long to wait for another process's transaction, all of which are short

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {OURS};
PRAGMA user_version = {VERSION};
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    access TEXT NOT NULL CHECK (access IN ('operator', 'user')),
    password TEXT,
    created REAL NOT NULL
) STRICT;
CREATE TABLE sessions (
    token BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    until REAL NOT NULL
) STRICT;
CREATE TABLE links (
    token BLOB PRIMARY KEY,
    name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    until REAL NOT NULL
) STRICT;
CREATE TABLE keys (
    token BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    label TEXT NOT NULL,
    start TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL
) STRICT;
CREATE TABLE sharing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    url TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL NOT NULL,
    allows TEXT NOT NULL,
    pid INTEGER NOT NULL,
    beat REAL NOT NULL,
    stop INTEGER NOT NULL
) STRICT;
CREATE TABLE secret (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    value BLOB NOT NULL
) STRICT;
"""


class Database:
    """The file, opened; made if there is none. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_lock, self._write_lock = threading.Lock(), threading.Lock()
        with self._named_errors():
            if not path.exists():
                _create(path)
            self._file = _identity(path)
            self._reader = _connect(path)
            try:
                _check(self._reader, path)
                path.chmod(0o600)  # a copy put back from a backup may be readable to others
                self._writer = _connect(path)
            except BaseException:
                self._reader.close()
                raise
        self._reader.execute("PRAGMA query_only = ON")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """What a question finds."""
        with self._named_errors(), self._read_lock:
            self._check_still_there()
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other thread or process writes beside; all of it, or nothing."""
        with self._named_errors(), self._write_lock:
            self._check_still_there()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def close(self) -> None:
        with self._read_lock, self._write_lock:
            self._reader.close()
            self._writer.close()

    def _check_still_there(self) -> None:
        """Who was removed in a new file must not come in by the old one, kept open here."""
        try:
            is_same = _identity(self._path) == self._file
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise AccessFileReplaced(path=self._path)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a mistake of ours, and nothing that the file's owner could mend
        except (sqlite3.OperationalError, OSError) as error:
            raise AccessFileUnusable(path=self._path, reason=error) from error
        except sqlite3.DatabaseError as error:
            raise AccessFileDamaged(path=self._path, reason=error) from error


def _create(path: Path) -> None:
    """Made beside its place, where only we look, and put there whole; who comes second has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        fresh = Path(folder) / path.name
        with closing(sqlite3.connect(fresh)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute("INSERT INTO secret VALUES (1, ?)", [secrets.token_bytes(32)])
            connection.commit()
        fresh.chmod(0o600)
        with suppress(FileExistsError):
            os.link(fresh, path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",  # never makes a file
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where we say
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a link that was used stays used
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != OURS:
        raise AccessFileForeign(path=path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise AccessFileNewer(path=path, found=version, known=VERSION)
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise AccessFileDamaged(path=path, reason=found)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
