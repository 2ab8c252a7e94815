"""Who has an account here."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from assistant.access.database import Database
from assistant.access.passwords import hash_password, is_password, renewed_hash
from assistant.access.visitor import Access
from assistant.errors import BadUserName, LastOperator, UnknownUser, UserExists

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_EACH = "SELECT name, access, created, password IS NOT NULL AS has_password FROM users"


@dataclass(frozen=True)
class User:
    name: str
    access: Access
    created: float
    has_password: bool  # without one: by a link, OpenID Connect or a trusted proxy only


class Users:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, password: str | None, access: Access | None) -> User:
        """The first user is the operator, whatever was asked: somebody has to be."""
        name = clean_name(name)
        kept = None if password is None else hash_password(password)
        with self._database.writing() as connection:
            if _find(connection, name):
                raise UserExists(name=name)
            if connection.execute("SELECT 1 FROM users LIMIT 1").fetchone() is None:
                access = Access.OPERATOR
            user = User(name, access or Access.USER, self._clock(), kept is not None)
            connection.execute(
                "INSERT INTO users (name, access, password, created) VALUES (?, ?, ?, ?)",
                [user.name, user.access, kept, user.created],
            )
        return user

    def all(self) -> list[User]:
        rows = self._database.rows(_EACH + " ORDER BY created, name")
        return [user_of(row) for row in rows]

    def get(self, name: str) -> User | None:
        rows = self._database.rows(_EACH + " WHERE name = ?", known_as(name))
        return user_of(rows[0]) if rows else None

    def set_password(self, name: str, password: str) -> None:
        """Ends sign-ins and links too: whoever had the old password must not stay."""
        kept = hash_password(password)
        with self._database.writing() as connection:
            user = existing(connection, name)
            connection.execute("UPDATE users SET password = ? WHERE name = ?", [kept, user.name])
            connection.execute("DELETE FROM sessions WHERE name = ?", [user.name])
            connection.execute("DELETE FROM links WHERE name = ?", [user.name])

    def remove(self, name: str) -> None:
        """Ends sign-ins, links and keys too (the schema's cascade)."""
        with self._database.writing() as connection:
            user = existing(connection, name)
            others = connection.execute(
                "SELECT access FROM users WHERE name <> ?", [user.name]
            ).fetchall()
            if others and all(each["access"] != Access.OPERATOR for each in others):
                raise LastOperator(name=user.name)
            connection.execute("DELETE FROM users WHERE name = ?", [user.name])

    def check_password(self, name: str, password: str) -> User | None:
        name = known_as(name)
        rows = self._database.rows("SELECT password FROM users WHERE name = ?", name)
        kept: str | None = rows[0]["password"] if rows else None
        if not is_password(password, kept):
            return None
        if kept is not None and (renewed := renewed_hash(password, kept)):
            with self._database.writing() as connection:
                connection.execute(  # unless the password was changed meanwhile
                    "UPDATE users SET password = ? WHERE name = ? AND password = ?",
                    [renewed, name, kept],
                )
        return self.get(name)


def clean_name(name: str) -> str:
    found = known_as(name)
    if not found:
        raise BadUserName(name=name[:80])
    return found


def known_as(name: str) -> str:
    """A name as it is kept; empty, which nobody is called, for one that no user can have."""
    found = name.lower() if name.isascii() else ""
    return found if _NAME.fullmatch(found) else ""


def existing(connection: sqlite3.Connection, name: str) -> User:
    """A user, within a transaction."""
    user = _find(connection, known_as(name))
    if user is None:
        raise UnknownUser(name=name[:80])
    return user


def _find(connection: sqlite3.Connection, name: str) -> User | None:
    row = connection.execute(_EACH + " WHERE name = ?", [name]).fetchone()
    return None if row is None else user_of(row)


def user_of(row: sqlite3.Row) -> User:
    return User(row["name"], Access(row["access"]), row["created"], bool(row["has_password"]))
