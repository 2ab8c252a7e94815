"""What is held back while the app has a public address, from everybody who uses it.

Asked at each turn, each call and each run, so that it also holds for what was allowed, or begun,
before the sharing. The answer may be a second old.

Not covered: a call that is already running when the sharing begins comes to its end.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from assistant.access.sharing import Allowance, Sharing
from assistant.coderunner import CodeResult, CodeRunner, OutputListener
from assistant.errors import AssistantError, CodeNotPublic
from assistant.outputs import ErrorOutput
from assistant.sandbox.level import Level
from assistant.toolsource import Effects

FRESH = 1.0  # seconds
RISKY = (Effects.WRITE, Effects.NETWORK)


class Shares(Protocol):
    """What `AccessStore` knows of the sharing."""

    def sharing(self) -> Sharing | None: ...

    def ask_stop(self) -> None: ...


class NeverShared:
    """Where nothing is served: the terminal, and tests."""

    def sharing(self) -> Sharing | None:
        return None

    def ask_stop(self) -> None: ...


class Exposure:
    """Whether the app is public now, and what that forbids. Safe to use from any thread."""

    def __init__(
        self, shares: Shares | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shares = shares or NeverShared()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[float, Sharing | None] | None = None

    def sharing(self) -> Sharing | None:
        with self._lock:
            now = self._clock()
            if self._seen is None or now - self._seen[0] >= FRESH:
                self._seen = (now, self._shares.sharing())
            return self._seen[1]

    def stop(self) -> None:
        """Asks the process that shares to end it."""
        self._shares.ask_stop()

    def forbids(self, allowance: Allowance) -> bool:
        """Whether the app is public, and was not told to allow this risk."""
        sharing = self.sharing()
        return sharing is not None and allowance not in sharing.allows

    def forbids_tool(self, effects: Effects) -> bool:
        return effects in RISKY and self.forbids(Allowance.RISKY_TOOLS)

    def forbids_level(self, level: Level, owner: str = "") -> bool:
        """Code of those who are elsewhere needs a sandbox that keeps all its promises.

        Without a public address they are the ones who have a name, as on a local network.
        """
        if level.enforced:
            return False
        if self.sharing() is None:
            return owner != ""
        return self.forbids(Allowance.UNSAFE_INTERPRETER)

    def check_level(self, level: Level, owner: str) -> None:
        if self.forbids_level(level, owner):
            raise CodeNotPublic(level=level)


@dataclass(frozen=True)
class GuardedCode:
    """A conversation's Python, where `check` refuses a run by raising."""

    runner: CodeRunner
    check: Callable[[], None]

    def run(self, code: str, cancelled: threading.Event, listener: OutputListener) -> CodeResult:
        try:
            self.check()
        except AssistantError as error:
            outputs = (ErrorOutput(type(error).__name__, str(error)),)
            return CodeResult(outputs, "refused", 0.0, "", ())
        return self.runner.run(code, cancelled, listener)
