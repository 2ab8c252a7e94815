"""The model's way from a file to an engine, in a thread, with a state that anyone can read."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import engine
from assistant.errors import AssistantError, InternalError, ModelNotFound
from assistant.formats import ChatFormat, format_for
from assistant.grammar import prepare
from engine import DownloadProgress, Engine, EngineOptions, LoadListener, LoadProgress, LoadStage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Starting:
    """Nothing is known yet."""


@dataclass(frozen=True)
class Fetching:
    """The starter model is on its way here, in bytes."""

    done: int
    total: int
    source: str
    seconds_left: float | None


@dataclass(frozen=True)
class Compiling:
    """Kernels are compiled for this processor: on the first start only."""

    done: int
    total: int


@dataclass(frozen=True)
class Loading:
    """Weights are read and repacked, in bytes of the file."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True)
class Ready:
    engine: Engine
    format: ChatFormat


@dataclass(frozen=True)
class Failed:
    error: engine.EngineError | AssistantError


ModelState = Starting | Fetching | Compiling | Loading | Ready | Failed

Load = Callable[[Path, EngineOptions, LoadListener], Engine]
Fetch = Callable[[Path, Callable[[DownloadProgress], None]], Path]


def load_engine(path: Path, options: EngineOptions, listener: LoadListener) -> Engine:
    return Engine.load(path, options, listener)


class ModelLoader:
    """Fetches the starter if no file is given, loads it, and says how far it has come."""

    def __init__(
        self,
        home: Callable[[], Path] = engine.model_home,
        threads: int = 0,
        kv_type: str = EngineOptions.kv_type,
        load: Load = load_engine,
        fetch: Fetch = engine.fetch_starter,
    ) -> None:
        self.home = home
        self._options = EngineOptions(threads=threads, kv_type=kv_type)
        self._load = load
        self._fetch = fetch
        self._changed = threading.Condition()
        self._state: ModelState = Starting()
        self._at_work = False

    @property
    def state(self) -> ModelState:
        with self._changed:
            return self._state

    def open(self, path: Path | None) -> None:
        """Starts loading `path`, or the starter. Does nothing while a model is or gets loaded."""
        with self._changed:
            if self._at_work or isinstance(self._state, Ready):
                return
            self._at_work = True
            self._set(Starting())
        threading.Thread(target=self._run, args=(path,), name="model", daemon=True).start()

    def wait_change(self, seen: ModelState, timeout: float | None = None) -> ModelState:
        """The state, as soon as it is another than `seen` or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._state is not seen, timeout)
            return self._state

    def close(self) -> None:
        state = self.state
        if isinstance(state, Ready):
            self._set(Starting())
            state.engine.close()

    def _run(self, path: Path | None) -> None:
        state: ModelState
        try:
            state = self._open(path)
        except (engine.EngineError, AssistantError) as error:
            log.error("%s", error)
            state = Failed(error)
        except Exception as error:  # the thread's edge: the page must learn of it
            log.exception("Loading failed")
            state = Failed(InternalError(kind=type(error).__name__))
        with self._changed:
            self._at_work = False
            self._set(state)
        if isinstance(state, Ready):  # not before: a first answer without tools need not wait
            prepare(state.format, state.engine.tokenizer)

    def _open(self, path: Path | None) -> Ready:
        home = self.home()
        if path is None:
            path = self._fetch(home, self._on_fetch)
        if not path.is_file():
            raise ModelNotFound(path=path)
        options = replace(self._options, kernel_cache=home / "kernels")
        loaded = self._load(path, options, self._on_load)
        try:
            return Ready(loaded, format_for(loaded))
        except AssistantError:
            loaded.close()
            raise

    def _on_fetch(self, progress: DownloadProgress) -> None:
        self._set(Fetching(progress.done, progress.total, progress.source, progress.seconds_left))

    def _on_load(self, progress: LoadProgress) -> None:
        if progress.stage is LoadStage.COMPILE:
            self._set(Compiling(progress.done, progress.total))
        else:
            self._set(Loading(progress.done, progress.total, progress.seconds_left))

    def _set(self, state: ModelState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()
