"""The tools of a folder: every file in it is watched, loaded in the background and tried out."""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.toolcatalog import Catalog, Examples, LoadedFile, Trial
from assistant.toolprocess import ROOT
from assistant.toolresults import failure
from assistant.toolsource import ToolInfo, ToolResult, Trouble
from assistant.toolworker import ToolWorker

log = logging.getLogger(__name__)

TOOLS = ROOT / "tools"  # the folder that the app watches
IMPORT_LIMIT = 10.0  # seconds
N_LOADERS = 2

Stamp = tuple[int, ...]


@dataclass
class _Watched:
    """A file of the folder. `stamp` is of what was loaded last, or is being loaded."""

    stamp: Stamp
    is_loading: bool = True
    loaded: LoadedFile | None = None


class FolderTools:
    """A source of tools that follows its folder. `revision` grows with every change."""

    def __init__(
        self, folder: Path = TOOLS, *, every: float = 1.0, import_limit: float = IMPORT_LIMIT
    ) -> None:
        self._folder = folder
        self._every = every
        self._import_limit = import_limit
        self._changed = threading.Condition()
        self._files: dict[Path, _Watched] = {}
        self._workers: set[ToolWorker] = set()
        self._catalog = Catalog()
        self._has_looked = False
        self._closing = threading.Event()
        self._loaders = ThreadPoolExecutor(N_LOADERS, thread_name_prefix="tool-loader")
        self._watcher = threading.Thread(target=self._watch, name="tool-watcher", daemon=True)
        self.revision = 0
        self._watcher.start()

    def tools(self) -> Sequence[ToolInfo]:
        return self._catalog.tools

    def troubles(self) -> Sequence[Trouble]:
        return self._catalog.troubles

    def examples(self) -> Mapping[str, Examples]:
        """How each tool's examples went, by its name."""
        return self._catalog.examples

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        found = self._catalog.workers.get(name)
        if found is None:
            reason = "it was removed, or its file is in trouble"
            return failure("UnknownTool", f"There is no tool {name}: {reason}.")
        info, worker = found
        return worker.call(info, arguments, folder, cancelled)

    def wait_change(self, seen: int, timeout: float | None = None) -> int:
        """The revision, as soon as it is another than `seen`."""
        with self._changed:
            self._changed.wait_for(lambda: self.revision != seen, timeout)
            return self.revision

    def wait_settled(self, timeout: float | None = None) -> bool:
        """Whether every file that is there has been loaded and its examples have been run."""
        with self._changed:
            return self._changed.wait_for(self._is_settled, timeout)

    def close(self) -> None:
        """Ends the watch and every process."""
        self._closing.set()
        self._watcher.join()
        with self._changed:
            workers = list(self._workers)
            self._files.clear()
            self._publish()
        for worker in workers:
            worker.close()
        self._loaders.shutdown(cancel_futures=True)

    def _is_settled(self) -> bool:
        if self._closing.is_set():
            return True
        loading = any(file.is_loading for file in self._files.values())
        running = any(each.trial is Trial.RUNNING for each in self._catalog.examples.values())
        return self._has_looked and not loading and not running

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                self._look()
            except Exception:  # the thread's edge: one bad look must not end the watch
                log.exception("Looking at %s failed", self._folder)
            self._closing.wait(self._every)

    def _look(self) -> None:
        """Compares the folder with what is known of it, and has loaded what is new."""
        found = _stamps(self._folder)
        with self._changed:
            gone = [path for path in self._files if path not in found]
            for path in gone:
                self._drop(self._files.pop(path).loaded)
            for path, stamp in found.items():
                known = self._files.get(path)
                if known is None:
                    known = self._files[path] = _Watched(stamp)
                    self._loaders.submit(self._load, path, known)
                elif known.stamp != stamp and not known.is_loading:
                    known.stamp, known.is_loading = stamp, True
                    self._loaders.submit(self._load, path, known)
            if gone:
                self._publish()
            self._has_looked = True
            self._changed.notify_all()
            workers = list(self._workers)
        for worker in workers:
            worker.rest()

    def _load(self, path: Path, watched: _Watched) -> None:
        try:
            self._take(path, watched)
        except Exception:  # the thread's edge
            log.exception("Loading %s failed", path)
            with self._changed:
                watched.is_loading = False
                self._changed.notify_all()

    def _take(self, path: Path, watched: _Watched) -> None:
        """Loads a file, offers its tools in place of those it had, and tries its examples."""
        worker = ToolWorker(path, self._import_limit)
        with self._changed:
            if self._closing.is_set():
                return
            self._workers.add(worker)
        found = worker.load()
        offered = () if isinstance(found, Trouble) else found
        examples = {each.info.name: Examples.untried(each.n_examples) for each in offered}
        self._adopt(path, watched, LoadedFile(path.name, worker, found, examples))
        for each in offered:
            if each.n_examples:
                tried = Examples.tried(each.n_examples, worker.try_examples(each))
                self._record(watched, worker, {each.info.name: tried})
        worker.rest(longest=0.0)  # most tools are not called for hours; memory is for the model

    def _adopt(self, path: Path, watched: _Watched, loaded: LoadedFile) -> None:
        """Puts what was loaded in its place, unless the file has gone since."""
        with self._changed:
            if self._files.get(path) is not watched:
                self._drop(loaded)
                return
            self._drop(watched.loaded)
            watched.loaded, watched.is_loading = loaded, False
            self._publish()

    def _record(self, watched: _Watched, worker: ToolWorker, tried: Mapping[str, Examples]) -> None:
        """Notes how examples went, unless they are of a file that has been changed since."""
        with self._changed:
            loaded = watched.loaded
            if loaded and loaded.worker is worker:
                watched.loaded = replace(loaded, examples={**loaded.examples, **tried})
                self._publish()

    def _drop(self, loaded: LoadedFile | None) -> None:
        if loaded:
            self._workers.discard(loaded.worker)
            loaded.worker.retire()

    def _publish(self) -> None:
        self._catalog = Catalog.of(file.loaded for file in self._files.values() if file.loaded)
        self.revision += 1
        self._changed.notify_all()


def _stamps(folder: Path) -> dict[Path, Stamp]:
    """The folder's tool files, each with a mark that changes when it, or a secret, does."""
    secrets = Path(os.environ.get("SECRETS_FILE") or ROOT / ".streamlit/secrets.toml")
    with_secrets = _stamp(secrets) or ()
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if path.suffix == ".py" and not path.name.startswith((".", "_")):
                stamp = _stamp(path)
                if stamp:
                    found[path] = (*stamp, *with_secrets)
    return found


def _stamp(path: Path) -> Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
