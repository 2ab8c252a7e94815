"""The sandbox as the app has it: made at first use, in a thread of its own, and told of.

Making it takes minutes the first time (an environment for the code) and a second later on (which
level holds). Whoever asks for a session meanwhile gets one; its first run waits. Which level will
hold is looked up before, once there is nothing better to do: for /health.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import AssistantError, InternalError, SandboxRefused
from assistant.sandbox import tree
from assistant.sandbox.client import look
from assistant.sandbox.environment import SetUp, kernel_python
from assistant.sandbox.level import Level
from assistant.sandbox.limits import Limits
from assistant.sandbox.probe import mending_command
from assistant.sandbox.scratch import Scratch
from assistant.sandbox.session import Session
from assistant.sandbox.sessions import Sessions, folder_name
from assistant.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unprepared:
    """Nobody has needed it yet. What will hold is known once it was looked up."""

    level: Level | None = None
    why: str = ""


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
Look = Callable[[], tuple[Level, str]]


class Workbench:
    """All conversations' sessions, and how far their sandbox is. Safe to use from any thread.

    `opening` gets the folder for their files, and `look` says which level would hold.
    """

    def __init__(
        self,
        home: Callable[[], Path],
        opening: OpenSessions | None = None,
        look: Look | None = None,
        *,
        unsafe: bool = False,
    ) -> None:
        self._home = home
        self._settings = SandboxSettings(unsafe=unsafe)
        self._opening = opening or self._open
        self._look = look or self._look_here
        self._scratch: Scratch | None = None
        self._sessions: Sessions | None = None
        self._known: set[str] = set()
        self._state: BenchState = Unprepared()
        self._changed = threading.Condition()
        self._placing = threading.Lock()

    @property
    def limits(self) -> Limits:
        """What a conversation's session may use."""
        return self._settings.limits

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

    def foresee(self, after: Callable[[], object]) -> None:
        """Clears away what former processes left, waits, then finds out which level will hold."""

        def work() -> None:
            try:
                self._place()
                after()
                self._note_level(*self._look())
            except Exception:  # the thread's edge: whoever needs a session will be told why
                log.exception("The sandbox could not be looked at")

        threading.Thread(target=work, name="sandbox look", daemon=True).start()

    def wait(self) -> BenchState:
        """The state once nothing is being made."""
        with self._changed:
            self._changed.wait_for(lambda: not isinstance(self._state, Preparing))
            return self._state

    def session(self, conversation_id: str) -> Session:
        with self._changed:
            self._known.add(conversation_id)
        return self._opened().session(conversation_id)

    def tool_folder(self, conversation_id: str) -> Path:
        """Where a conversation's tools may leave files."""
        return self._place() / "tools" / folder_name(conversation_id)

    def discard(self, conversation_id: str) -> None:
        """Ends a conversation's session and deletes its files and its tools' files, if any."""
        with self._changed:
            has_session = conversation_id in self._known
            self._known.discard(conversation_id)

        def end() -> None:
            if has_session:
                self._opened().session(conversation_id).close()
            if self._scratch:
                tree.remove(self.tool_folder(conversation_id))

        threading.Thread(target=end, name="session's end", daemon=True).start()

    def close(self) -> None:
        with self._changed:
            sessions, scratch = self._sessions, self._scratch
        if sessions is not None:
            sessions.close()
        if scratch is not None:
            scratch.close()

    def _place(self) -> Path:
        with self._placing:  # sweeping takes its time; whoever asks for the state need not wait
            if self._scratch is None:
                self._scratch = Scratch(self._home() / "scratch")
            return self._scratch.path

    def _opened(self) -> Sessions:
        folder = self._place() / "sessions"
        with self._changed:
            if self._sessions is None:
                self._sessions = self._opening(folder, self._note)
            return self._sessions

    def _open(self, folder: Path, listener: Callable[[SetUp], None]) -> Sessions:
        home = self._home()
        return Sessions(
            folder,
            self._settings,
            environment_home=home,
            listener=listener,
            announce=self._note_change,
        )

    def _look_here(self) -> tuple[Level, str]:
        return look(kernel_python(self._home()), self._settings)

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

    def _note_level(self, level: Level, why: str) -> None:
        """Only as long as nobody has made the sandbox, which knows better."""
        with self._changed:
            if isinstance(self._state, Unprepared):
                self._state = Unprepared(level, why)
                self._changed.notify_all()

    def _note_change(self, level: Level, why: str) -> None:
        """A supervisor has looked at the levels, perhaps after another one has died."""
        with self._changed:
            match self._state:
                case Unprepared():
                    self._state = Unprepared(level, why)
                case Usable() if level is Level.NONE:
                    self._state = Unusable(SandboxRefused(tried=why, command=mending_command()))
                case Usable(packages=packages):
                    self._state = Usable(level, why, packages)
            self._changed.notify_all()

    def _note(self, set_up: SetUp) -> None:
        with self._changed:
            if isinstance(self._state, Preparing):
                self._state = Preparing(set_up if set_up.what else None)
                self._changed.notify_all()
