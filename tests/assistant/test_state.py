"""The process's one assistant: what becomes of the process around it."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE

from assistant import install, instance, state
from assistant.loading import Failed
from assistant.workbench import Workbench


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[threading.Event]:
    """Set when the collector is told to pass over what there is; nothing is, in this process."""
    told = threading.Event()
    monkeypatch.setattr(gc, "freeze", told.set)
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.setenv("MODEL", str(tmp_path / "none.gguf"))
    monkeypatch.setattr(state, "_instance", None)
    monkeypatch.setattr(Workbench, "foresee", lambda *_: None)  # the sandbox is no matter here
    yield told
    install(None)


def test_what_was_loaded_is_looked_through_no_more(frozen: threading.Event) -> None:
    running = instance()
    try:
        assert frozen.wait(PATIENCE)
        assert isinstance(running.model_state, Failed)  # and not before that was known
    finally:
        running.close()
