"""One run of cloudflared, from its start to its end."""

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import (
    AssistantError,
    TunnelEnded,
    TunnelRateLimited,
    TunnelRefused,
    TunnelUnreachable,
)
from assistant.tunnel import child
from assistant.tunnel.cloudflared import Target, command_line, environment
from assistant.tunnel.logs import (
    MAX_LINE,
    Address,
    Connected,
    Trouble,
    clean,
    is_complaint,
    read_line,
)

ENDING = 5.0  # seconds that it has to end by itself
MAX_REASON = 300  # characters of its last complaint


@dataclass(frozen=True)
class Opened:
    """Requests come in at this address."""

    tunnel: object
    url: str


@dataclass(frozen=True)
class Broken:
    """It ended without being asked."""

    tunnel: object
    error: AssistantError


class Tunnel:
    """Started at once, from the main thread. `tell` is called from a thread that reads its log."""

    def __init__(
        self, program: Path, target: Target, tell: Callable[[Opened | Broken], None]
    ) -> None:
        self._tell = tell
        self._url = f"https://{target.hostname}" if target.hostname else ""
        self._has_token = bool(target.token)
        self._open = self._closing = False
        self._trouble: Trouble | None = None
        self._complaint = ""
        self._process = child.start(
            command_line(program, target),
            environment(target, os.environ),
            output=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, name="tunnel log", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Ends it, if it has not ended; nothing is told after this."""
        self._closing = True
        child.end(self._process, ENDING)
        self._reader.join()

    def why(self) -> AssistantError | None:
        """What its log complains of; None if of nothing."""
        match self._trouble:
            case Trouble.RATE_LIMIT:
                return TunnelRateLimited()
            case Trouble.BAD_TOKEN if self._has_token:
                return TunnelRefused()
            case Trouble.NO_NETWORK:
                return TunnelUnreachable(reason=self._complaint)
        return None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as log:
            while line := log.readline(MAX_LINE):
                self._hear(line.decode(errors="replace"))
        code = self._process.wait()
        if not self._closing:
            error = self.why() or TunnelEnded(code=code, reason=self._complaint or "-")
            self._tell(Broken(self, error))

    def _hear(self, line: str) -> None:
        if is_complaint(clean(line)):
            self._complaint = clean(line)[:MAX_REASON]
        match read_line(line):
            case Address(url) if not self._url:
                self._url = url
            case Connected() if self._url and not self._open:
                self._open, self._trouble = True, None
                self._tell(Opened(self, self._url))
            case Trouble() as trouble:
                self._trouble = trouble
