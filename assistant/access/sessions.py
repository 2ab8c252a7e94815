"""Sign-ins: a token in somebody's cookie, and when it ends.

They end at a fixed time and are not prolonged by use: a stolen cookie has an end that cannot be
moved, and a request costs no write.
"""

from collections.abc import Callable

from assistant.access.database import Database
from assistant.access.tokens import fingerprint, new_id, new_token
from assistant.access.users import existing, known_as
from assistant.access.visitor import Access, Visitor

WEEK = 7 * 24 * 3600.0


class Sessions:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, name: str, seconds: float) -> str:
        token, now = new_token(), self._clock()
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE until <= ?", [now])
            user = existing(connection, name)
            connection.execute(
                "INSERT INTO sessions (token, id, name, until) VALUES (?, ?, ?, ?)",
                [fingerprint(token), new_id(), user.name, now + seconds],
            )
        return token

    def visitor(self, token: str) -> Visitor | None:
        rows = self._database.rows(
            "SELECT name, access, id FROM sessions JOIN users USING (name)"
            " WHERE token = ? AND until > ?",
            fingerprint(token),
            self._clock(),
        )
        if not rows:
            return None
        return Visitor(rows[0]["name"], Access(rows[0]["access"]), rows[0]["id"])

    def end(self, token: str) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE token = ?", [fingerprint(token)])

    def end_all(self, name: str) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE name = ?", [known_as(name)])
