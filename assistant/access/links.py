"""One-time sign-in links."""

from collections.abc import Callable

from assistant.access.database import Database
from assistant.access.tokens import fingerprint, new_token
from assistant.access.users import User, existing

TEN_MINUTES = 600.0


class Links:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def make(self, name: str, seconds: float) -> str:
        token, now = new_token(), self._clock()
        with self._database.writing() as connection:
            connection.execute("DELETE FROM links WHERE until <= ?", [now])
            user = existing(connection, name)
            connection.execute(
                "INSERT INTO links (token, name, until) VALUES (?, ?, ?)",
                [fingerprint(token), user.name, now + seconds],
            )
        return token

    def use(self, token: str) -> User | None:
        """Whose it is: to the first who asks, while it lasts."""
        with self._database.writing() as connection:
            found = connection.execute(
                "DELETE FROM links WHERE token = ? RETURNING name, until", [fingerprint(token)]
            ).fetchall()
            if not found or found[0]["until"] <= self._clock():
                return None
            return existing(connection, found[0]["name"])
