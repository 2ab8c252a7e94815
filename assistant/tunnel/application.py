"""The app that is made public: the one that runs already, or one of our own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from assistant.errors import AppEnded, AppNotStarted, GateNotShut, PortTaken
from assistant.tunnel import child
from engine import model_home

LAUNCHER = Path(__file__).parents[2] / "streamlit_app.py"
LOG = "app.log"

STATES = {"starting", "fetching", "compiling", "loading", "ready", "failed"}  # as /health says
ANSWER = 5.0  # seconds to wait for one
START = 120.0  # seconds for the app to start; a model loads behind its pages
SHUT = 10.0  # seconds for the gate to see that the app is public now
LOOK = 0.1  # seconds between looks
ENDING = 10.0  # seconds that it has to end by itself
MAX_BODY = 1 << 16


class Gate(Enum):
    SHUT = "shut"  # everybody has to sign in
    OPEN = "open"
    SILENT = "silent"  # no answer, as of an app that is too busy


Pause = Callable[[float], None]  # waits so many seconds; raises if there is no more reason to


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    body: bytes


def launch_command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "streamlit", "run", str(LAUNCHER)),
        *("--server.port", str(port), "--server.address", "127.0.0.1"),
        *("--server.headless", "true"),
    ]


class Application:
    """Joined if it answers on the port, else started; whoever started it ends it."""

    def __init__(self, port: int, command: Sequence[str] | None = None) -> None:
        self._port = port
        self._command = command or launch_command(port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is one to join; something else on the port is an error."""
        try:
            answer = ask(self._port, "/health")
        except ConnectionRefusedError:
            return False
        except (OSError, HTTPException) as error:
            raise PortTaken(port=self._port) from error
        if not is_ours(answer):
            raise PortTaken(port=self._port)
        return True

    def start(self, pause: Pause) -> None:
        """Returns when it answers; its pages say how far the model is."""
        log = model_home() / LOG
        with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as output:
            self._process = child.start(
                self._command, os.environ, output=output, folder=LAUNCHER.parent
            )
        for _ in range(round(START / LOOK)):
            if self._process.poll() is not None:
                raise AppNotStarted(log=log, reason=last_line(log))
            if self._answers():
                return
            pause(LOOK)
        raise AppNotStarted(log=log, reason="timeout")

    def require_shut(self, pause: Pause) -> None:
        """That nobody comes in without signing in, not even from here: now that it is public.

        It also says that the app looks into the same `access.db` as we do.
        """
        for _ in range(round(SHUT / LOOK)):
            if self._gate() is Gate.SHUT:
                return
            pause(LOOK)
        raise GateNotShut(port=self._port)

    def check(self) -> None:
        """That it is still so: another server may have taken the app's port."""
        if self._gate() is Gate.OPEN:
            raise GateNotShut(port=self._port)

    def close(self) -> None:
        if self._process is not None:
            child.end(self._process, ENDING)

    def _gate(self) -> Gate:
        """What somebody without a cookie meets; an app that is gone is an error."""
        if self._process is not None and self._process.poll() is not None:
            raise AppEnded(port=self._port)
        try:
            answer = ask(self._port, "/")
        except ConnectionRefusedError as error:
            raise AppEnded(port=self._port) from error
        except (OSError, HTTPException):
            return Gate.SILENT
        return Gate.SHUT if is_shut(answer) else Gate.OPEN

    def _answers(self) -> bool:
        try:
            return is_ours(ask(self._port, "/health"))
        except (OSError, HTTPException):
            return False


def ask(port: int, path: str) -> Answer:
    """Directly, whatever proxy is set for the world outside."""
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"})
        response = connection.getresponse()
        return Answer(
            response.status, response.headers.get("Location", ""), response.read(MAX_BODY)
        )
    finally:
        connection.close()


def is_ours(answer: Answer) -> bool:
    try:
        health = json.loads(answer.body)
    except ValueError:
        return False
    return (
        answer.status in (200, 503) and isinstance(health, dict) and health.get("state") in STATES
    )


def is_shut(answer: Answer) -> bool:
    return answer.status in (401, 403) or (
        answer.status in (302, 303, 307) and answer.location.startswith("/signin")
    )


def last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "-"
