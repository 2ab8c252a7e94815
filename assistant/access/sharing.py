"""Whether the assistant has a public address now, as its `share` process says."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from assistant.access.database import Database

STALE_AFTER = 60.0  # seconds without a beat: the process that shared has gone


class Allowance(StrEnum):
    """What is off in public, unless an option that names the risk allows it."""

    RISKY_TOOLS = "risky-tools"
    OPERATOR_PAGES = "operator-pages"
    UNSAFE_INTERPRETER = "unsafe-interpreter"


@dataclass(frozen=True)
class Sharing:
    url: str
    since: float
    until: float
    allows: frozenset[Allowance]
    pid: int


class SharingState:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, url: str, until: float, allows: frozenset[Allowance], pid: int) -> None:
        now = self._clock()
        with self._database.writing() as connection:
            connection.execute(
                "REPLACE INTO sharing (one, url, since, until, allows, pid, beat, stop)"
                " VALUES (1, ?, ?, ?, ?, ?, ?, 0)",
                [url, now, until, " ".join(sorted(allows)), pid, now],
            )

    def beat(self, url: str | None) -> None:
        """Still there; at another address, if the tunnel got one."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE sharing SET beat = ?, url = coalesce(?, url)", [self._clock(), url]
            )

    def now(self) -> Sharing | None:
        now = self._clock()
        rows = self._database.rows(
            "SELECT url, since, until, allows, pid FROM sharing WHERE until > ? AND beat >= ?",
            now,
            now - STALE_AFTER,
        )
        return _sharing_of(rows[0]) if rows else None

    def ask_stop(self) -> None:
        with self._database.writing() as connection:
            connection.execute("UPDATE sharing SET stop = 1")

    def stop_asked(self) -> bool:
        return bool(self._database.rows("SELECT 1 FROM sharing WHERE stop = 1"))

    def end(self) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sharing")


def _sharing_of(row: sqlite3.Row) -> Sharing:
    known = {each.value for each in Allowance}  # what is not known is not allowed
    allows = frozenset(Allowance(each) for each in row["allows"].split() if each in known)
    return Sharing(row["url"], row["since"], row["until"], allows, row["pid"])
