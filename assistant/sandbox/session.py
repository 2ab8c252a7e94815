"""The app's side: one conversation's Python, as the turn loop and the pages use it.

Nothing here runs, unpickles or decodes what came out of a jail; the supervisor has made plain
values of it.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol, get_args

from assistant.coderunner import CodeEnded, CodeResult, OutputListener
from assistant.errors import AssistantError, SandboxWeaker
from assistant.outputs import ErrorOutput, NoteOutput, Output
from assistant.sandbox.client import Client
from assistant.sandbox.files import FileEntry, WorkFolder
from assistant.sandbox.level import Level
from assistant.sandbox.notebook import Cell, export_notebook
from assistant.sandbox.settings import SandboxSettings
from assistant.sandbox.wire import apply

MAX_CODE = 1_000_000
_ENDED: tuple[CodeEnded, ...] = get_args(CodeEnded)
_FULL = "Every session is busy. Try again when one has ended."
_REASONS = {
    "idle": "it was idle for too long",
    "room": "another conversation needed its place",
    "memory": "all sessions together used too much memory",
}


class SessionState(StrEnum):
    NEW = "new"  # nothing has run yet
    READY = "ready"
    BUSY = "busy"
    DEAD = "dead"  # the next run starts afresh


@dataclass(frozen=True)
class SessionStatus:
    """How a session is, and when it has ended: why, and which variables went with it."""

    state: SessionState
    reason: str = ""  # "idle", "room", "memory", "restart" or what happened
    lost: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reason as the model reads it."""
        return _REASONS.get(self.reason, self.reason)


class Host(Protocol):
    """What a session needs of all sessions."""

    @property
    def settings(self) -> SandboxSettings: ...

    def client(self) -> Client:
        """The supervisor, started if need be. Raises EnvironmentFailed and SandboxRefused."""
        ...

    def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """A request to a supervisor that runs; nothing is started for it."""
        ...

    def forget(self, key: str) -> None: ...


class Session:
    """One conversation's Python. Safe to use from any thread; runs wait for each other."""

    def __init__(
        self, key: str, folder: WorkFolder, host: Host, level: Level | None = None
    ) -> None:
        """`level` is what could be known of the isolation when it was allowed to run."""
        self.level = level
        self._key = key
        self._folder = folder
        self._host = host
        self._running = threading.Lock()
        self._status = SessionStatus(SessionState.NEW)
        self._is_gone = threading.Event()
        self._is_closed = threading.Event()

    @property
    def status(self) -> SessionStatus:
        return self._status

    @property
    def folder(self) -> Path:
        return self._folder.path

    def wait_gone(self, seconds: float) -> bool:
        """Until its Python has ended by itself; whether it has."""
        return self._is_gone.wait(seconds)

    def run(self, code: str, cancelled: threading.Event, listener: OutputListener) -> CodeResult:
        began = time.monotonic()
        with _Turn(self._running, cancelled) as is_ours:
            if not is_ours or self._is_closed.is_set():
                return CodeResult((), "cancelled", time.monotonic() - began, "", ())
            try:
                client = self._host.client()
                self._check(client.level)
            except AssistantError as error:
                return _refused(type(error).__name__, str(error), began)
            if len(code) > MAX_CODE:
                return _refused("CodeTooLong", f"At most {MAX_CODE} characters can be run.", began)
            return self._run(client, code, cancelled, listener)

    def replay(
        self, codes: Sequence[str], cancelled: threading.Event, listener: OutputListener
    ) -> list[CodeResult]:
        """Afresh, and these one after the other, up to the first that does not end well."""
        self.restart()
        results: list[CodeResult] = []
        for code in codes:
            results.append(self.run(code, cancelled, listener))
            if results[-1].ended != "ok":
                break
        return results

    def files(self) -> list[FileEntry]:
        return self._folder.files()

    def read_file(self, name: str) -> bytes:
        """Raises NoSuchFile and FileTooLarge."""
        return self._folder.read(name)

    def delete(self, name: str) -> None:
        self._folder.delete(name)

    def upload(self, name: str, data: bytes | BinaryIO) -> str:
        """Stores a file for the code; returns the name that it got.

        Raises BadFileName, FileTooLarge and FolderFull, all before anything is read.
        """
        return self._folder.write(name, data)

    def zip_all(self) -> bytes:
        return self._folder.zip()

    def variables(self) -> list[dict[str, str]]:
        """Name, type, shape and size, by the kernel's word; nothing while it is busy."""
        if self._status.state is not SessionState.READY:
            return []
        found = self._host.ask("variables", session=self._key).get("variables")
        return found if isinstance(found, list) else []

    def restart(self) -> None:
        """Ends the Python at once, and what it is running; the files stay."""
        self._host.ask("close", session=self._key)
        if self._status.state is not SessionState.NEW:
            self._status = SessionStatus(SessionState.NEW)

    def export_notebook(self, cells: Sequence[Cell]) -> bytes:
        return export_notebook(cells)

    def close(self) -> None:
        """Ends it, and deletes its files."""
        self._is_closed.set()
        self._host.ask("close", session=self._key)
        with self._running:
            self._folder.remove()
        self._host.forget(self._key)

    def gone(self, reason: str, lost: Sequence[str]) -> None:
        """Its kernel has ended by itself."""
        if self._status.state is not SessionState.NEW:
            self._status = SessionStatus(SessionState.DEAD, reason, tuple(lost))
        self._is_gone.set()

    def _check(self, level: Level) -> None:
        """Once refuses to run at a weaker level than whoever allowed it could know of."""
        before, self.level = self.level, level
        if before is not None and level.rank > before.rank:
            raise SandboxWeaker(level=level, before=before)

    def _run(
        self, client: Client, code: str, cancelled: threading.Event, listener: OutputListener
    ) -> CodeResult:
        outputs = [*_notice(self._status)]
        n_notices = len(outputs)
        before = self._folder.state()
        self._status = SessionStatus(SessionState.BUSY)
        self._is_gone.clear()
        began = time.monotonic()
        answer: dict[str, Any] = {}
        for message in self._follow(client, code, cancelled):
            answer = message.get("answer", answer)
            if "edits" in message:
                rest = outputs[n_notices:]
                apply(message["edits"], rest)
                outputs[n_notices:] = rest
                listener(tuple(outputs))
        ended = _ended(answer.get("ended"))
        if reason := answer.get("reason"):
            outputs.append(_reason(ended, str(reason)))
            listener(tuple(outputs))
        if self._status.state is SessionState.BUSY:
            self._status = SessionStatus(SessionState.READY)
        took = float(answer.get("seconds", time.monotonic() - began))
        after = self._folder.state()
        new = tuple(name for name, state in after.items() if before.get(name) != state)
        return CodeResult(tuple(outputs), ended, took, client.level, new)

    def _follow(
        self, client: Client, code: str, cancelled: threading.Event
    ) -> Iterator[dict[str, Any]]:
        """What the supervisor says of a run; passes a cancel on."""
        is_stopped = False
        safe = code.encode("utf-8", "replace").decode()
        seconds = self._host.settings.run_seconds
        work = str(self._folder.path)
        for message in client.follow(
            "run", session=self._key, work=work, code=safe, seconds=seconds
        ):
            if cancelled.is_set() and not is_stopped:
                is_stopped = True
                client.ask("stop", session=self._key)
            yield message


class _Turn:
    """A lock, waited for until somebody cancels."""

    def __init__(self, lock: threading.Lock, cancelled: threading.Event) -> None:
        self._lock = lock
        self._cancelled = cancelled
        self._is_ours = False

    def __enter__(self) -> bool:
        while not self._is_ours and not self._cancelled.is_set():
            self._is_ours = self._lock.acquire(timeout=0.05)
        return self._is_ours

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._lock.release()


def _ended(value: object) -> CodeEnded:
    return next((ended for ended in _ENDED if ended == value), "crashed")


def _refused(name: str, words: str, began: float) -> CodeResult:
    outputs = (ErrorOutput(name, words),)
    return CodeResult(outputs, "refused", time.monotonic() - began, "", ())


def _reason(ended: CodeEnded, reason: str) -> ErrorOutput:
    """Why a run did not take place."""
    if ended == "refused":
        return ErrorOutput("SessionsFull", _FULL)
    return ErrorOutput("KernelDied", f"The Python process ended: {reason}. Its variables are lost.")


def _notice(status: SessionStatus) -> list[Output]:
    """Said before what a fresh session gives, so that the model knows too."""
    if status.state is not SessionState.DEAD:
        return []
    lost = f" These variables are gone: {', '.join(status.lost)}." if status.lost else ""
    return [NoteOutput(f"A new Python session; the last one ended: {status.why}.{lost}")]
