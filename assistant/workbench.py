"""The sandbox as the app has it: made at first use, in a thread of its own, and told of.

Making it takes minutes the first time (an environment for the code) and a second later on (which
level holds). Whoever asks for a session meanwhile gets one; its first run waits.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import AssistantError, InternalError
from assistant.sandbox.environment import SetUp
from assistant.sandbox.level import Level
from assistant.sandbox.session import Session
from assistant.sandbox.sessions import Sessions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unprepared:
    """Nobody has needed it yet."""


@dataclass(frozen=True)
class Preparing:
    """`set_up` is there while an environment is made; then the level is being tried."""

    set_up: SetUp | None = None


@dataclass(frozen=True)
class Usable:
    """Code can be run. `why` says what keeps this machine from a stronger level."""

    level: Level
    why: str
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Unusable:
    """Code cannot be run. It can be tried again."""

    error: AssistantError


BenchState = Unprepared | Preparing | Usable | Unusable
OpenSessions = Callable[[Path, Callable[[SetUp], None]], Sessions]


def open_sessions(home: Path, listener: Callable[[SetUp], None]) -> Sessions:
    return Sessions(home / "sessions", environment_home=home, listener=listener)


class Workbench:
    """All conversations' sessions, and how far their sandbox is. Safe to use from any thread."""

    def __init__(self, home: Callable[[], Path], opening: OpenSessions = open_sessions) -> None:
        self._home = home
        self._opening = opening
        self._sessions: Sessions | None = None
        self._known: set[str] = set()
        self._state: BenchState = Unprepared()
        self._changed = threading.Condition()

    @property
    def state(self) -> BenchState:
        with self._changed:
            return self._state

    def prepare(self) -> None:
        """Starts to make the sandbox, unless it is made or being made."""
        with self._changed:
            if isinstance(self._state, Preparing | Usable):
                return
            self._state = Preparing()
        threading.Thread(target=self._prepare, name="sandbox set-up", daemon=True).start()

    def wait(self) -> BenchState:
        """The state once nothing is being made."""
        with self._changed:
            self._changed.wait_for(lambda: not isinstance(self._state, Preparing))
            return self._state

    def session(self, conversation_id: str) -> Session:
        with self._changed:
            self._known.add(conversation_id)
        return self._opened().session(conversation_id)

    def discard(self, conversation_id: str) -> None:
        """Ends a conversation's session and deletes its files, if it ever had one."""
        with self._changed:
            if conversation_id not in self._known:
                return
            self._known.remove(conversation_id)
        closing = self._opened().session(conversation_id).close
        threading.Thread(target=closing, name="session's end", daemon=True).start()

    def close(self) -> None:
        if self._sessions is not None:
            self._sessions.close()

    def _opened(self) -> Sessions:
        with self._changed:
            if self._sessions is None:
                self._sessions = self._opening(self._home(), self._note)
            return self._sessions

    def _prepare(self) -> None:
        state: BenchState
        try:
            report = self._opened().start()
            level = report.level or Level.NONE
            state = Usable(level, report.why, report.packages)
        except AssistantError as error:
            log.error("%s", error)
            state = Unusable(error)
        except Exception as error:  # the thread's edge: the page must learn of it
            log.exception("The sandbox could not be set up")
            state = Unusable(InternalError(kind=type(error).__name__))
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _note(self, set_up: SetUp) -> None:
        with self._changed:
            if isinstance(self._state, Preparing):
                self._state = Preparing(set_up if set_up.what else None)
                self._changed.notify_all()
