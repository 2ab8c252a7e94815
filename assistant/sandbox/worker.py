"""One session in the supervisor: a thread that launches a kernel, owns it, and ends with it.

The thread outlives the kernel because a jail ends with the thread that launched it.
"""

import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import AssistantError
from assistant.outputs import Output
from assistant.sandbox import tree
from assistant.sandbox.jailed import Jailed
from assistant.sandbox.kernel import Kernel, KernelDied, RunEnd
from assistant.sandbox.messages import Collector
from assistant.sandbox.place import Place
from assistant.sandbox.watchdog import Over, Watchdog

log = logging.getLogger(__name__)
_LOOK = 0.25  # seconds between two looks at an idle kernel
_FLUSH = 0.05

Failed = Callable[[str], None]
Outputs = Callable[[Sequence[Output]], None]
Done = Callable[[RunEnd], None]
Variables = Callable[[list[dict[str, str]]], None]


@dataclass(frozen=True)
class _Job:
    """Something to do with the kernel, or whom to tell that there is none any more."""

    do: Callable[[Kernel], None]
    failed: Failed = lambda _: None


class Worker:
    """All its methods return at once; answers come by callbacks, in its own thread."""

    def __init__(
        self, place: Place, work: Path, watchdog: Watchdog, ended: Callable[["Worker"], None]
    ) -> None:
        self.work = work
        self.session = ""  # whose it is; "" while it waits in the pool
        self.reason = ""  # why it ended
        self.names: list[str] = []  # the variables that ended with it
        self.last_used = time.monotonic()
        self.is_busy = False
        self.is_leaving = False
        self._place = place
        self._watchdog = watchdog
        self._ended = ended
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._last_words: Callable[[], None] = lambda: None
        self._queueing = threading.Lock()
        self._is_buried = False
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._kernel: Kernel | None = None
        self._thread = threading.Thread(target=self._live, name="session", daemon=True)
        self._thread.start()

    @property
    def jailed(self) -> Jailed | None:
        return self._kernel.jailed if self._kernel else None

    def run(self, code: str, seconds: float, outputs: Outputs, done: Done, failed: Failed) -> None:
        self._stop.clear()
        self._put(_Job(lambda kernel: self._run(kernel, code, seconds, outputs, done), failed))

    def stop(self) -> None:
        """Ends the run under way."""
        self._stop.set()

    def variables(self, done: Variables) -> None:
        self._put(_Job(lambda kernel: done(kernel.variables()), lambda _: done([])))

    def close(self, reason: str, *, closed: Failed = lambda _: None) -> None:
        """Ends the session at once; `closed` is told when nothing is left of it."""
        self.is_leaving = True
        self._closing.set()
        self._put(_Job(lambda _: self._end(reason)))
        self._put(_Job(lambda _: None, closed))

    def retire(self, reason: str) -> None:
        """Ends an idle session after asking what is lost by it."""
        self.is_leaving = True
        self._put(_Job(self._note_names))
        self._put(_Job(lambda _: self._end(reason)))

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Tells once the kernel answers, or has ended."""
        self._put(_Job(lambda _: ready(), lambda _: ready()))

    def join(self) -> None:
        self._thread.join()

    def _put(self, job: _Job) -> None:
        with self._queueing:
            if not self._is_buried:
                self._jobs.put(job)
                return
        job.failed(self.reason)

    def over(self, limit: Over) -> None:
        """The watchdog has ended the kernel."""
        if self._kernel:
            self._kernel.over = str(limit)
            self._kernel.told.set()

    def adopt(self, work: Path) -> None:
        """Makes the folder of a waiting kernel a conversation's, with what that one has."""
        assert self._kernel
        jailed = self._kernel.jailed
        if work.exists():
            for entry in list(work.iterdir()):
                entry.rename(self.work / entry.name)
            work.rmdir()
            if jailed.slot:
                jailed.slot.own(self.work)
        self.work = self.work.rename(work)
        jailed.what = dataclasses.replace(jailed.what, work=work)

    def _live(self) -> None:
        try:
            self._kernel = Kernel(self._place, self.work, self._closing)
            self._watchdog.add(self._kernel.jailed)
            self._kernel.wait_ready()
            self._serve(self._kernel)
        except KernelDied as error:
            self._end(str(error))
        except (AssistantError, OSError) as error:
            self._end(f"it could not be started: {error}")
        except Exception as error:  # the thread's edge: whoever waits must be told
            log.exception("A session failed")
            self._end(f"it failed inside ({type(error).__name__})")
        finally:
            self._bury()

    def _serve(self, kernel: Kernel) -> None:
        while not self.reason:
            try:
                job = self._jobs.get(timeout=_LOOK)
            except queue.Empty:
                job = None
            if job:
                job.do(kernel)
            if not self.reason and not kernel.alive:
                self._end(kernel.obituary())

    def _run(self, kernel: Kernel, code: str, seconds: float, outputs: Outputs, done: Done) -> None:
        collector = Collector()
        flush = _Flush(collector, outputs)
        end = kernel.run(code, seconds, self._stop, collector, flush.perhaps)
        flush.now()
        self.last_used = time.monotonic()
        self.is_busy = False
        if kernel.alive:
            done(end)
        else:  # told when all of it is cleared away: the next run may follow at once
            self._last_words = lambda: done(end)
            self._end(kernel.obituary())

    def _note_names(self, kernel: Kernel) -> None:
        with contextlib.suppress(KernelDied):
            self.names = [entry["name"] for entry in kernel.variables()]

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.is_leaving = True

    def _bury(self) -> None:
        if self._kernel:
            self._watchdog.discard(self._kernel.jailed)
            try:
                self._kernel.close()
            except (AssistantError, OSError):
                log.exception("A session could not be cleared away")
        if not self.session:
            tree.remove(self.work)
        with self._queueing:
            self._is_buried = self.is_leaving = True
        self._ended(self)
        self._last_words()
        while not self._jobs.empty():
            self._jobs.get().failed(self.reason)


class _Flush:
    """Tells of a run's outputs as they grow, but not for every message."""

    def __init__(self, collector: Collector, outputs: Outputs) -> None:
        self._collector = collector
        self._outputs = outputs
        self._told: list[Output] = []
        self._at = 0.0

    def perhaps(self) -> None:
        if time.monotonic() - self._at > _FLUSH:
            self.now()

    def now(self) -> None:
        self._at = time.monotonic()
        now = list(self._collector.outputs)
        if len(now) != len(self._told) or any(map(_differ, now, self._told)):
            self._told = now
            self._outputs(now)


def _differ(one: object, other: object) -> bool:
    return one is not other
