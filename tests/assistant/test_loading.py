"""The model's way from a file to an engine."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_engine import FakeEngine, as_engine, loader_of

from assistant import Failed, ModelLoader, ModelState, Ready
from assistant.errors import InternalError, ModelNotFound, UnknownFormat
from assistant.formats import ChatFormat
from assistant.loading import Compiling, Fetching, Load, Loading, Starting
from engine import (
    BadModelFile,
    CacheNotWritable,
    DownloadFailed,
    DownloadProgress,
    Engine,
    EngineOptions,
    LoadListener,
    LoadProgress,
    LoadStage,
    Tokenizer,
)

Listener = Callable[[DownloadProgress], None]


def end_of(loader: ModelLoader) -> ModelState:
    state = loader.state
    while not isinstance(state, Ready | Failed):
        state = loader.wait_change(state)
    return state


def loading(result: FakeEngine | Exception) -> Load:
    def load(path: Path, options: EngineOptions, listener: LoadListener) -> Engine:
        if isinstance(result, Exception):
            raise result
        return as_engine(result)

    return load


def no_fetch(home: Path, listener: Listener) -> Path:
    raise AssertionError("nothing was to be fetched")


def test_a_given_file_is_loaded_and_nothing_is_fetched(tmp_path: Path) -> None:
    file = tmp_path / "my.gguf"
    file.touch()
    fake = FakeEngine()
    loader = ModelLoader(lambda: tmp_path, load=loading(fake), fetch=no_fetch)
    loader.open(file)
    state = end_of(loader)
    assert isinstance(state, Ready)
    assert state.engine is as_engine(fake)
    assert state.format.name == "ChatML"


def test_a_loader_tells_each_stage_as_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "starter.gguf"
    file.touch()
    seen: list[ModelState] = []
    gate = threading.Semaphore(0)

    def fetch(home: Path, listener: Listener) -> Path:
        listener(DownloadProgress(10, 100, "hub", 9.0))
        gate.acquire()
        return file

    def load(path: Path, options: EngineOptions, listener: LoadListener) -> Engine:
        assert path == file
        assert options.kernel_cache == tmp_path / "kernels"
        listener(LoadProgress(LoadStage.COMPILE, 1, 4))
        gate.acquire()
        listener(LoadProgress(LoadStage.WEIGHTS, 50, 100, 1.0))
        gate.acquire()
        return as_engine(FakeEngine())

    loader = ModelLoader(lambda: tmp_path, load=load, fetch=fetch)
    state = loader.state
    assert isinstance(state, Starting)
    loader.open(None)
    while not isinstance(state := loader.wait_change(state), Ready):
        if not isinstance(state, Starting):
            seen.append(state)
            gate.release()
    assert seen == [Fetching(10, 100, "hub", 9.0), Compiling(1, 4), Loading(50, 100, 1.0)]


@pytest.mark.parametrize(
    "error",
    [
        DownloadFailed(what="w", reason="r", tried="t", remedy="y"),
        BadModelFile(path="p", where="w", found="f", expected="e"),
    ],
)
def test_a_refusal_is_a_state_with_the_error_itself(tmp_path: Path, error: Exception) -> None:
    file = tmp_path / "my.gguf"
    file.touch()
    loader = ModelLoader(lambda: tmp_path, load=loading(error), fetch=no_fetch)
    loader.open(file)
    state = end_of(loader)
    assert isinstance(state, Failed)
    assert state.error is error


def test_a_home_that_refuses_is_a_state_too(tmp_path: Path) -> None:
    error = CacheNotWritable(path=tmp_path, reason="no")

    def home() -> Path:
        raise error

    loader = ModelLoader(home, load=loading(FakeEngine()), fetch=no_fetch)
    loader.open(None)
    state = end_of(loader)
    assert isinstance(state, Failed)
    assert state.error is error


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    loader = ModelLoader(lambda: tmp_path, load=loading(FakeEngine()), fetch=no_fetch)
    loader.open(tmp_path / "nowhere.gguf")
    state = end_of(loader)
    assert isinstance(state, Failed)
    assert isinstance(state.error, ModelNotFound)
    assert "nowhere.gguf" in str(state.error)


def test_a_model_of_no_known_format_is_closed_again(tmp_path: Path) -> None:
    fake = FakeEngine(specials=[])
    loader = loader_of(fake, tmp_path)
    loader.open(None)
    state = end_of(loader)
    assert isinstance(state, Failed)
    assert isinstance(state.error, UnknownFormat)
    assert fake.closed


def test_a_mistake_of_ours_is_logged_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "my.gguf"
    file.touch()
    loader = ModelLoader(lambda: tmp_path, load=loading(ZeroDivisionError()), fetch=no_fetch)
    loader.open(file)
    state = end_of(loader)
    assert isinstance(state, Failed)
    assert isinstance(state.error, InternalError)
    assert "ZeroDivisionError" in caplog.text


def test_after_a_failure_another_file_can_be_opened(tmp_path: Path) -> None:
    loader = loader_of(FakeEngine(), tmp_path)
    loader.open(tmp_path / "nowhere.gguf")
    assert isinstance(end_of(loader), Failed)
    loader.open(tmp_path / "starter.gguf")
    assert isinstance(end_of(loader), Ready)


def test_a_model_that_is_there_is_not_loaded_again(tmp_path: Path) -> None:
    loader = loader_of(FakeEngine(), tmp_path)
    loader.open(None)
    ready = end_of(loader)
    loader.open(tmp_path / "nowhere.gguf")
    assert loader.state is ready


def test_closing_closes_the_engine(tmp_path: Path) -> None:
    fake = FakeEngine()
    loader = loader_of(fake, tmp_path)
    loader.open(None)
    end_of(loader)
    loader.close()
    assert fake.closed
    assert not isinstance(loader.state, Ready)


def test_a_ready_model_is_made_ready_for_calls_without_waiting_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: queue.Queue[tuple[ChatFormat, Tokenizer, ModelState]] = queue.Queue()

    def note(chat_format: ChatFormat, tokenizer: Tokenizer) -> None:
        asked.put((chat_format, tokenizer, loader.state))

    monkeypatch.setattr("assistant.loading.prepare", note)
    loader = loader_of(FakeEngine(), tmp_path)
    loader.open(None)
    state = end_of(loader)
    assert isinstance(state, Ready)
    assert asked.get(timeout=60) == (state.format, state.engine.tokenizer, state)
