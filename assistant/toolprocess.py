"""One process that runs one tool file, and the talk with it: a line of JSON each way.

Every wait has a limit and can be cancelled; every read is bounded. Whatever the process does, its
owner gets an answer or a Fault, and a process that made a fault is ended with all its children.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # where `tools` is imported from
MAX_LINE = 32 * 10**6  # bytes of one answer
MAX_PLACE = 20_000  # bytes of the text that says where a process is
NAP = 0.05  # seconds between two looks at whether the call was cancelled
LONGEST_STEP = 1.0  # a machine that slept, or a stopped process, is not a slow tool
FAREWELL = 0.5  # seconds of silence after which a process has said where it is
CHUNK = 1 << 20

_MACHINERY = ("<frozen ", "/tools/_", "/asyncio/")


class Fault(Exception):
    """The process gave no answer: what happened, in words, and the way there if it is known."""

    def __init__(self, name: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.detail = detail


class ToolProcess:
    """Started when made. One thread talks to it at a time; any thread may end it."""

    def __init__(self, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools._worker", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._received = bytearray()
        self._lock = threading.Lock()
        self._ended = False

    def ask(
        self, request: Mapping[str, object], seconds: float, cancelled: threading.Event
    ) -> Mapping[str, object]:
        countdown = Countdown(seconds)
        self._send(json.dumps(request).encode() + b"\n", countdown, cancelled)
        return self._receive(countdown, cancelled)

    def receive(self, seconds: float, cancelled: threading.Event) -> Mapping[str, object]:
        return self._receive(Countdown(seconds), cancelled)

    def end(self) -> None:
        """Kills the process and its children; a second time does nothing."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            # Not yet waited for, so the number is still its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Ends the process and gives its pipes back, once nobody talks to it any more."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _send(self, line: bytes, countdown: "Countdown", cancelled: threading.Event) -> None:
        rest = memoryview(line)
        while rest:
            if self._wait(writing=True, countdown=countdown, cancelled=cancelled):
                try:
                    rest = rest[os.write(self._in, rest) :]
                except BrokenPipeError:
                    raise self._died() from None

    def _receive(self, countdown: "Countdown", cancelled: threading.Event) -> Mapping[str, object]:
        n_searched = 0
        while (end := self._received.find(b"\n", n_searched)) < 0:
            n_searched = len(self._received)
            if n_searched > MAX_LINE:
                raise Fault("TooMuch", f"its answer has more than {MAX_LINE} bytes")
            if self._wait(writing=False, countdown=countdown, cancelled=cancelled):
                chunk = os.read(self._out, CHUNK)
                if not chunk:
                    raise self._died()
                self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return _parsed(line)

    def _wait(self, *, writing: bool, countdown: "Countdown", cancelled: threading.Event) -> bool:
        """Whether the pipe is ready now; looks again and again for a limit that is reached."""
        if cancelled.is_set():
            raise Fault("Cancelled", "it was stopped by the user")
        if countdown.is_over():
            message = f"it was stopped after {countdown.seconds:g} seconds, its time limit"
            raise Fault("TimeLimit", message, self._place())
        return _is_ready(self._in if writing else self._out, writing=writing, seconds=NAP)

    def _place(self) -> str:
        """Where the process is, as its own Python tells when it gets this signal."""
        told = b""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        while len(told) < MAX_PLACE and _is_ready(self._out, writing=False, seconds=FAREWELL):
            chunk = os.read(self._out, MAX_PLACE)
            if not chunk:
                break
            told += chunk
        lines = told.decode("utf-8", "replace").splitlines()
        places = [line for line in lines if line.startswith("  File ")]
        own = [line for line in places if not any(mark in line for mark in _MACHINERY)]
        return "\n".join(["It was here, most recent call first:", *own]) if own else ""

    def _died(self) -> Fault:
        self.end()
        code = self._process.returncode
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Fault("ProcessEnded", f"its process ended {how}")


class Countdown:
    """So many seconds of a machine that is awake."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._last = time.monotonic()

    def is_over(self) -> bool:
        now = time.monotonic()
        self._left -= min(now - self._last, LONGEST_STEP)
        self._last = now
        return self._left <= 0


def _is_ready(pipe: int, *, writing: bool, seconds: float) -> bool:
    poll = select.poll()  # unlike select(), it knows pipes of any number
    poll.register(pipe, select.POLLOUT if writing else select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _parsed(line: bytes) -> Mapping[str, object]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Fault("Garbled", f"it answered what cannot be read: {line[:80]!r}")
    return message
