"""The app's end of the supervisor: starts it, asks it, hears from it."""

import contextlib
import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from assistant.sandbox.channel import Channel
from assistant.sandbox.environment import KernelEnvironment
from assistant.sandbox.level import Level
from assistant.sandbox.settings import SandboxSettings

ALLOWED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SANDBOX_MIN_LEVEL")
DOCTOR = "python -m assistant doctor"  # says more, when a supervisor could not
START = Path(__file__).with_name("start.py")
ENDED = "the process that watches over all sessions has ended"
GONE: dict[str, Any] = {"answer": {"ended": "crashed", "reason": ENDED}}


def look(python: Path, settings: SandboxSettings) -> tuple[Level, str]:
    """Which level holds here, and why no stronger one does; found by a process that then ends."""
    process, channel = _start()
    with contextlib.closing(channel), process:
        first = _hello(channel, python, settings, Path(), look=True)
    return Level(first["level"]), str(first["why"])


class Client:
    """Safe to use from any thread."""

    def __init__(
        self,
        home: Path,
        environment: KernelEnvironment,
        settings: SandboxSettings,
        gone: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """Blocks until the level is chosen.

        `gone` is told of a session that ends by itself, and without a "session" of all of them.
        """
        self._gone = gone
        self._ids = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._process, self._channel = _start()
        first = _hello(self._channel, environment.python, settings, home)
        self.level, self.why = Level(first["level"]), str(first["why"])
        self.command = str(first.get("command", DOCTOR))  # that mends it, when there is no level
        self._reader = threading.Thread(target=self._read, name="sandbox", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not self._is_closed

    def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """The answer to one request."""
        for message in self.follow(do, **fields):
            answer = message.get("answer")
        return answer if isinstance(answer, dict) else {}

    def follow(self, do: str, **fields: object) -> Iterator[dict[str, Any]]:
        """What comes for one request; the last has an "answer". Nothing for a moment: {}."""
        number = next(self._ids)
        inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            self._waiting[number] = inbox
            if self._is_closed:
                inbox.put(GONE)
        try:
            self._send({"id": number, "do": do, **fields})
            while "answer" not in (message := _next(inbox)):
                yield message
            yield message
        finally:
            with self._lock:
                del self._waiting[number]

    def close(self) -> None:
        """Ends the supervisor, and every session with it."""
        self._channel.close()
        self._reader.join()
        self._process.wait()

    def _send(self, message: object) -> None:
        try:
            self._channel.send(message)
        except OSError:
            self._end()

    def _read(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                self._end()
                return
            if isinstance(gone := message.get("gone"), dict):
                self._gone(gone)
                continue
            with self._lock:
                inbox = self._waiting.get(message.get("id", -1))
            if inbox:
                inbox.put(message)

    def _end(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._gone({"reason": ENDED})  # all of them, before any can begin anew
            self._is_closed = True
            for inbox in self._waiting.values():
                inbox.put(GONE)


def _hello(
    channel: Channel, python: Path, settings: SandboxSettings, home: Path, *, look: bool = False
) -> dict[str, Any]:
    """What a supervisor says first: its level, and why that."""
    hello = {"settings": settings.as_json(), "python": str(python), "home": str(home), "look": look}
    try:
        channel.send(hello)
        return channel.receive()
    except (OSError, EOFError):
        return {"level": Level.NONE, "why": "the supervisor did not start"}


def _next(inbox: queue.SimpleQueue[dict[str, Any]]) -> dict[str, Any]:
    try:
        return inbox.get(timeout=0.05)
    except queue.Empty:
        return {}


def _start() -> tuple[subprocess.Popen[bytes], Channel]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-B", str(START), str(START.parent.parent), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ALLOWED if name in os.environ},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return process, Channel(ours)
