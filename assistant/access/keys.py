"""Keys by which programs come in at `/v1`."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from assistant.access.database import Database
from assistant.access.tokens import fingerprint, new_id, new_token
from assistant.access.users import existing, known_as
from assistant.access.visitor import Access, Visitor
from assistant.errors import UnknownKey

PREFIX = "sk-"
SHOWN = len(PREFIX) + 4  # enough for its owner to know it again; 232 bits stay unknown
LONGEST_LABEL = 64
NOTED_EVERY = 60.0  # seconds: a write for each use would be more work than the check itself


@dataclass(frozen=True)
class Key:
    id: str
    name: str  # whose
    label: str
    start: str
    created: float
    used: float | None  # to the minute


class Keys:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def make(self, name: str, label: str) -> str:
        key = PREFIX + new_token()
        with self._database.writing() as connection:
            user = existing(connection, name)
            connection.execute(
                "INSERT INTO keys (token, id, name, label, start, created)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    fingerprint(key),
                    new_id(),
                    user.name,
                    _clean_label(label),
                    key[:SHOWN],
                    self._clock(),
                ],
            )
        return key

    def visitor(self, key: str) -> Visitor | None:
        rows = self._database.rows(
            "SELECT id, name, access, used FROM keys JOIN users USING (name) WHERE token = ?",
            fingerprint(key),
        )
        if not rows:
            return None
        self._note_use(rows[0])
        return Visitor(rows[0]["name"], Access(rows[0]["access"]))

    def of(self, name: str) -> list[Key]:
        rows = self._database.rows(
            "SELECT id, name, label, start, created, used FROM keys WHERE name = ?"
            " ORDER BY created, id",
            known_as(name),
        )
        return [Key(**row) for row in rows]

    def revoke(self, name: str, key_id: str) -> None:
        with self._database.writing() as connection:
            gone = connection.execute(
                "DELETE FROM keys WHERE name = ? AND id = ?",
                [known_as(name), key_id if key_id.isascii() else ""],
            )
            if gone.rowcount == 0:
                raise UnknownKey(id=key_id[:80])

    def _note_use(self, row: sqlite3.Row) -> None:
        now = self._clock()
        if row["used"] is not None and row["used"] <= now < row["used"] + NOTED_EVERY:
            return
        with self._database.writing() as connection:
            connection.execute("UPDATE keys SET used = ? WHERE id = ?", [now, row["id"]])


def _clean_label(label: str) -> str:
    """One line without control characters: an operator's terminal will show it."""
    return "".join(each for each in label if each.isprintable()).strip()[:LONGEST_LABEL]
