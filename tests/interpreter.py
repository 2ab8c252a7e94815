"""Real sessions for tests, and the kernel environment that they need."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assistant.coderunner import CodeResult
from assistant.outputs import ErrorOutput, NoteOutput, TextOutput
from assistant.sandbox.session import Session
from assistant.sandbox.sessions import Sessions
from assistant.sandbox.settings import SandboxSettings
from engine import model_home

NEVER = threading.Event()


@contextmanager
def open_sessions(home: Path, **settings: Any) -> Iterator[Sessions]:
    """At the best level here; no engine runs beside a test, so that it need not step back."""
    chosen = SandboxSettings(**{"pool": 0, "polite": False, **settings})
    sessions = Sessions(home, chosen, environment_home=model_home())
    try:
        yield sessions
    finally:
        sessions.close()


def run(session: Session, code: str) -> CodeResult:
    return session.run(code, NEVER, lambda _: None)


def text_of(result: CodeResult, *streams: str) -> str:
    """What it printed, or what came out as a value."""
    wanted = streams or ("result", "stdout")
    texts = [each for each in result.outputs if isinstance(each, TextOutput)]
    return "".join(each.text for each in texts if each.stream in wanted)


def notes_of(result: CodeResult) -> str:
    """What we had to say beside it."""
    return "".join(each.text for each in result.outputs if isinstance(each, NoteOutput))


def error_of(result: CodeResult) -> ErrorOutput:
    """Its last output, which is an error."""
    last = result.outputs[-1]
    assert isinstance(last, ErrorOutput)
    return last
