"""Everything that is known of who may come in, behind one door.

Secrets that are handed out (tokens, keys) are kept as SHA-256, passwords as argon2id. The one that
is kept as it is signs cookies; the file is readable to its owner only. Times are Unix seconds.
"""

import time
from collections.abc import Callable
from pathlib import Path

from assistant.access.database import Database
from assistant.access.keys import Key, Keys
from assistant.access.links import TEN_MINUTES, Links
from assistant.access.sessions import WEEK, Sessions
from assistant.access.sharing import Allowance, Sharing, SharingState
from assistant.access.users import User, Users
from assistant.access.visitor import Access, Visitor
from engine import model_home

FILE = "access.db"


def open_store() -> "AccessStore":
    """The one that the command line, the sharing process and the app have in common."""
    return AccessStore(model_home() / FILE)


class AccessStore:
    """Any thread and any process may use it; a file that is not ours or not sound is refused."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path)
        self._users = Users(self._database, clock)
        self._sessions = Sessions(self._database, clock)
        self._links = Links(self._database, clock)
        self._keys = Keys(self._database, clock)
        self._sharing = SharingState(self._database, clock)

    def close(self) -> None:
        self._database.close()

    def secret(self) -> bytes:
        """Signs cookies; made with the file, so another server's cookies are worth nothing here."""
        value: bytes = self._database.rows("SELECT value FROM secret")[0]["value"]
        return value

    # --- users

    def add_user(self, name: str, password: str | None, access: Access | None = None) -> User:
        """The first is the operator. Without a password: by OIDC, a link or a proxy only."""
        return self._users.add(name, password, access)

    def users(self) -> list[User]:
        return self._users.all()

    def user(self, name: str) -> User | None:
        return self._users.get(name)

    def set_password(self, name: str, password: str) -> None:
        """Also ends the user's sessions and links."""
        self._users.set_password(name, password)

    def remove_user(self, name: str) -> None:
        """Also ends the user's sessions, links and keys."""
        self._users.remove(name)

    def check_password(self, name: str, password: str) -> User | None:
        """Slow by design, and as slow for a name that nobody has."""
        return self._users.check_password(name, password)

    # --- sessions

    def begin_session(self, name: str, seconds: float = WEEK) -> str:
        """The secret token of a new sign-in."""
        return self._sessions.begin(name, seconds)

    def session(self, token: str) -> Visitor | None:
        return self._sessions.visitor(token)

    def end_session(self, token: str) -> None:
        self._sessions.end(token)

    def end_sessions(self, name: str) -> None:
        self._sessions.end_all(name)

    # --- links

    def make_link(self, name: str, seconds: float = TEN_MINUTES) -> str:
        """The secret token of a link that signs in once."""
        return self._links.make(name, seconds)

    def use_link(self, token: str) -> User | None:
        """Whose it is, to the first who asks; None if it was used, is too old or was never made."""
        return self._links.use(token)

    # --- keys

    def make_key(self, name: str, label: str) -> str:
        """Shown this once."""
        return self._keys.make(name, label)

    def key_visitor(self, key: str) -> Visitor | None:
        return self._keys.visitor(key)

    def keys(self, name: str) -> list[Key]:
        return self._keys.of(name)

    def revoke_key(self, name: str, key_id: str) -> None:
        self._keys.revoke(name, key_id)

    # --- sharing

    def begin_sharing(self, url: str, until: float, allows: frozenset[Allowance], pid: int) -> None:
        self._sharing.begin(url, until, allows, pid)

    def beat(self, url: str | None = None) -> None:
        """Says that the sharing process is alive; sharing is over 60 s after the last."""
        self._sharing.beat(url)

    def sharing(self) -> Sharing | None:
        return self._sharing.now()

    def ask_stop(self) -> None:
        self._sharing.ask_stop()

    def stop_asked(self) -> bool:
        return self._sharing.stop_asked()

    def end_sharing(self) -> None:
        self._sharing.end()
