"""All conversations' sessions. The environment and the supervisor are made when first needed."""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import SandboxRefused
from assistant.sandbox.client import Client
from assistant.sandbox.environment import KernelEnvironment, SetUp, kernel_environment
from assistant.sandbox.files import WorkFolder
from assistant.sandbox.level import Level
from assistant.sandbox.session import Session
from assistant.sandbox.settings import SandboxSettings

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True)
class SandboxReport:
    """What holds the code here. Before the first use nothing is known but the set-up's progress."""

    level: Level | None
    why: str
    packages: Mapping[str, str]
    set_up: SetUp | None = None


class Sessions:
    """All conversations' sessions, below one folder; one supervisor for all of them."""

    def __init__(
        self,
        home: Path,
        settings: SandboxSettings | None = None,
        *,
        environment_home: Path,
        listener: Callable[[SetUp], None] = lambda _: None,
        announce: Callable[[Level, str], None] = lambda *_: None,
    ) -> None:
        """`announce` is told of every level that a supervisor finds, before anything runs at it."""
        self.settings = settings or SandboxSettings()
        self._home = home
        self._environment_home = environment_home
        self._sessions: dict[str, Session] = {}
        self._client: Client | None = None
        self._environment: KernelEnvironment | None = None
        self._set_up: SetUp | None = None
        self._listener = listener
        self._announce = announce
        self._level: Level | None = None  # the last that was announced
        self._starting = threading.Lock()
        self._lock = threading.Lock()

    def session(self, conversation_id: str) -> Session:
        key = folder_name(conversation_id)
        with self._lock:
            if key not in self._sessions:
                folder = WorkFolder(self._home / key, self.settings.limits)
                self._sessions[key] = Session(key, folder, self, self._level)
            return self._sessions[key]

    def start(self) -> SandboxReport:
        """Makes the environment, starts the supervisor, fills the pool. Blocks; raises."""
        self.client()
        return self.report()

    def wait_for_pool(self) -> None:
        """Until a kernel waits for a conversation, warm."""
        self.client().ask("wait")

    def report(self) -> SandboxReport:
        """What is known so far; returns at once."""
        client, environment = self._client, self._environment
        packages = environment.packages() if environment else {}
        if client is None:
            return SandboxReport(None, "", packages, self._set_up)
        return SandboxReport(client.level, client.why, packages)

    def client(self) -> Client:
        """The supervisor, started if need be. Raises EnvironmentFailed and SandboxRefused."""
        with self._starting:
            if self._client and not self._client.is_alive:
                self._client.close()
                self._client = None
            if self._client is None:
                self._home.mkdir(parents=True, exist_ok=True)
                self._home.chmod(0o711)  # a session's uid has to pass
                self._environment = kernel_environment(self._environment_home, self._note)
                self._client = Client(self._home, self._environment, self.settings, self._gone)
                self._tell(self._client)
            client = self._client
        if client.level is Level.NONE:
            raise SandboxRefused(tried=client.why, command=client.command)
        return client

    def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """A request to a supervisor that runs; nothing is started for it."""
        client = self._client
        return client.ask(do, **fields) if client and client.is_alive else {}

    def forget(self, key: str) -> None:
        with self._lock:
            self._sessions.pop(key, None)

    def close(self) -> None:
        """Ends every session; their files stay."""
        with self._starting:
            if self._client:
                self._client.close()

    def _tell(self, client: Client) -> None:
        """In this order: a session that is made now is of the new level for whoever looks first."""
        self._announce(client.level, client.why)
        with self._lock:
            if self._level is None:
                for session in self._sessions.values():
                    session.level = client.level
            self._level = client.level

    def _note(self, set_up: SetUp) -> None:
        self._set_up = set_up
        self._listener(set_up)

    def _gone(self, gone: Mapping[str, Any]) -> None:
        key, names = gone.get("session"), gone.get("names")
        lost = [str(name) for name in names] if isinstance(names, list) else []
        with self._lock:
            of_all = [each for name, each in self._sessions.items() if key in (None, name)]
        for session in of_all:
            session.gone(str(gone.get("reason")), lost)


def folder_name(conversation_id: str) -> str:
    """An id as a folder's name, whatever is in it."""
    if _ID.fullmatch(conversation_id):
        return conversation_id
    return hashlib.sha256(conversation_id.encode("utf-8", "replace")).hexdigest()
