"""A sandbox whose code gives what the test says; its folders are real."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from scripted_tools import ScriptedCode, printed

from assistant.coderunner import CodeResult, OutputListener
from assistant.errors import AssistantError
from assistant.outputs import TextOutput
from assistant.sandbox.environment import SetUp
from assistant.sandbox.files import FileEntry, WorkFolder
from assistant.sandbox.level import Level
from assistant.sandbox.limits import Limits
from assistant.sandbox.session import SessionState, SessionStatus
from assistant.sandbox.sessions import SandboxReport, Sessions
from assistant.workbench import Look, Workbench


class ScriptedSession(ScriptedCode):
    """One conversation's. Without results left, code gives what it says itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.status = SessionStatus(SessionState.READY)
        self.work = WorkFolder(folder, Limits())
        self.n_restarts = 0
        self.is_closed = False
        self.hangs = False
        self.started = threading.Event()
        self.held: list[dict[str, str]] = []

    def run(self, code: str, cancelled: threading.Event, listener: OutputListener) -> CodeResult:
        if self.hangs:
            self.ran.append(code)
            listener([TextOutput("working\n", "stdout")])
            self.started.set()
            cancelled.wait()
            return CodeResult((TextOutput("working\n", "stdout"),), "cancelled", 1.0, "1", ())
        if not self.results:
            self.results.append(printed(f"ran {code}"))
        return super().run(code, cancelled, listener)

    def files(self) -> Sequence[FileEntry]:
        return self.work.files()

    def upload(self, name: str, data: bytes | BinaryIO) -> str:
        return self.work.write(name, data)

    def read_file(self, name: str) -> bytes:
        return self.work.read(name)

    def delete(self, name: str) -> None:
        self.work.delete(name)

    def zip_all(self) -> bytes:
        return self.work.zip()

    def variables(self) -> list[dict[str, str]]:
        return self.held

    def restart(self) -> None:
        self.n_restarts += 1

    def close(self) -> None:
        self.is_closed = True


class ScriptedSessions:
    """Stands where `Sessions` stands. `error` is what making it meets."""

    def __init__(self, home: Path, level: Level = Level.NAMESPACES) -> None:
        self.home = home
        self.level = level
        self.error: AssistantError | None = None
        self.sessions: dict[str, ScriptedSession] = {}
        self.is_closed = False
        self.steps: list[SetUp] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.listener: Callable[[SetUp], None] = lambda _: None

    def session(self, conversation_id: str) -> ScriptedSession:
        if conversation_id not in self.sessions:
            self.sessions[conversation_id] = ScriptedSession(self.home / conversation_id)
        return self.sessions[conversation_id]

    def start(self) -> SandboxReport:
        for step in self.steps:
            self.listener(step)
        self.may_start.wait()
        if self.error is not None:
            raise self.error
        return SandboxReport(self.level, "1: no user namespaces", {"numpy": "2.0"})

    def close(self) -> None:
        self.is_closed = True


def workbench_of(sessions: ScriptedSessions, look: Look | None = None) -> Workbench:
    def opening(home: Path, listener: Callable[[SetUp], None]) -> Sessions:
        sessions.listener = listener
        return cast(Sessions, sessions)

    return Workbench(lambda: sessions.home, opening, look)
