"""A clock that tests move, and files of users and keys."""

import sqlite3
from contextlib import closing
from pathlib import Path

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def change(path: Path, sql: str, *values: object) -> None:
    """As somebody with another program would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, values)
        connection.commit()


def everything_in(path: Path) -> bytes:
    """The bytes of the file and of those beside it."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(path.name + "*")))
