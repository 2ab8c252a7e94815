"""The process's one assistant: what becomes of the process around it."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from patience import PATIENCE

from assistant import Assistant, install, instance, state
from assistant.errors import ModelNotFound
from assistant.loading import Failed, ModelState, Starting
from assistant.workbench import Workbench


@pytest.fixture
def _nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.setenv("MODEL", str(tmp_path / "none.gguf"))
    monkeypatch.setattr(state, "_instance", None)
    monkeypatch.setattr(Workbench, "foresee", lambda *_: None)  # the sandbox is no matter here
    yield
    install(None)


@pytest.mark.usefixtures("_nothing_there")
def test_what_lives_as_long_as_the_process_is_looked_through_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = threading.Event()
    monkeypatch.setattr(gc, "freeze", told.set)
    running = instance()
    try:
        assert told.wait(PATIENCE)
    finally:
        running.close()


class SlowLoad:
    """An assistant as far as waiting for its model goes."""

    def __init__(self, calls: list[str]) -> None:
        self.model_state: ModelState = Starting()
        self._calls = calls

    def wait_model(self, _seen: ModelState) -> ModelState:
        self._calls.append("loaded")
        return Failed(ModelNotFound(path="none.gguf"))


def test_that_begins_when_the_model_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append("collected"))
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("frozen"))
    state._keep(cast(Assistant, SlowLoad(calls)))
    assert calls == ["loaded", "collected", "frozen"]
