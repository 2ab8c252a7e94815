"""The process that launches and watches kernels, so that the app's own need not be near them.

Started once by the app, with an environment of a few allowed names and one socket, over which both
talk JSON (channel.py). It ends when that socket does, and everything that it launched with it.
"""

import contextlib
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.errors import SandboxFailed, SandboxRefused
from assistant.outputs import Output
from assistant.sandbox.channel import Channel
from assistant.sandbox.jailed import Jailed
from assistant.sandbox.kernel import RunEnd
from assistant.sandbox.level import Level
from assistant.sandbox.place import Place
from assistant.sandbox.plan import Policy
from assistant.sandbox.probe import MINIMUM, LevelReport, attack, examine, minimum_level, refusal
from assistant.sandbox.processes import memory
from assistant.sandbox.settings import SandboxSettings
from assistant.sandbox.slots import sweep
from assistant.sandbox.watchdog import Over, Watchdog
from assistant.sandbox.wire import changes
from assistant.sandbox.worker import Worker

log = logging.getLogger(__name__)
_TICK = 0.5
_LOOKING = 10
_RETRY = 30  # seconds until a kernel is tried again for the pool, after one that did not live


class Supervisor:
    """Every session by its conversation's id. Requests come in one thread, answers leave in any."""

    def __init__(
        self, channel: Channel, home: Path, place: Place, settings: SandboxSettings
    ) -> None:
        self._channel = channel
        self._home = home
        self._place = place
        self._settings = settings
        self._sessions: dict[str, Worker] = {}
        self._pool: list[Worker] = []
        self._refill_at = 0.0
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._watchdog = Watchdog(self._over)
        self._housekeeper = threading.Thread(target=self._keep_house, name="housekeeper")
        self._housekeeper.start()

    def serve(self) -> None:
        """Until the app is gone."""
        requests: dict[str, Callable[[dict[str, Any]], None]] = {
            "run": self._run,
            "stop": self._stop,
            "variables": self._variables,
            "close": self._close,
            "wait": self._wait,
        }
        while True:
            try:
                request = self._channel.receive()
            except EOFError:
                return
            try:
                requests[request["do"]](request)
            except Exception as error:  # a mistake of ours must not end every session
                log.exception("A request failed")
                self._answer(request, error=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        self._closed.set()
        self._housekeeper.join()
        with self._lock:
            workers = [*self._sessions.values(), *self._pool]
        for worker in workers:
            worker.close("the app has ended")
        for worker in workers:
            worker.join()
        self._watchdog.close()

    # --- requests -------------------------------------------------------------------------------

    def _run(self, request: dict[str, Any]) -> None:
        worker = self._worker(request["session"], Path(request["work"]))
        if worker is None:
            self._answer(request, ended="refused", reason="full")
            return
        sent: list[Output] = []

        def outputs(now: Sequence[Output]) -> None:
            for edit in changes(sent, now):
                self._send({"id": request["id"], "edits": [edit]})
            sent[:] = now

        def done(end: RunEnd) -> None:
            self._answer(request, ended=end.ended, seconds=end.seconds)

        def failed(reason: str) -> None:
            self._answer(request, ended="crashed", reason=reason)

        worker.run(request["code"], request["seconds"], outputs, done, failed)

    def _stop(self, request: dict[str, Any]) -> None:
        if worker := self._sessions.get(request["session"]):
            worker.stop()
        self._answer(request)

    def _variables(self, request: dict[str, Any]) -> None:
        worker = self._sessions.get(request["session"])
        if worker is None or worker.is_busy:
            self._answer(request, variables=[])
        else:
            worker.variables(lambda found: self._answer(request, variables=found))

    def _close(self, request: dict[str, Any]) -> None:
        """Answers once nothing of the session is left."""
        worker = self._sessions.get(request["session"])
        if worker is None:
            self._answer(request)
        else:
            worker.close("closed", closed=lambda _: self._answer(request))

    def _wait(self, request: dict[str, Any]) -> None:
        """Answers once a kernel of the pool is ready."""
        with self._lock:
            self._fill()
            self._pool[0].when_ready(lambda: self._answer(request))

    # --- sessions -------------------------------------------------------------------------------

    def _worker(self, session: str, work: Path) -> Worker | None:
        """The session's, or a waiting one that becomes it, or a new one; None when all are busy."""
        with self._lock:
            known = self._sessions.get(session)
            if known and not known.is_leaving:
                known.is_busy = True
                return known
            if not self._make_room():
                return None
            worker = self._waiting(work) or self._new(work)
            worker.session = session
            worker.is_busy = True  # from now on nobody takes its place
            worker.last_used = time.monotonic()
            self._sessions[session] = worker
            return worker

    def _waiting(self, work: Path) -> Worker | None:
        """One of the pool, with this folder."""
        waiting = next((each for each in self._pool if each.jailed and not each.is_leaving), None)
        if waiting:
            self._pool.remove(waiting)
            self._refill_at = time.monotonic() + self._settings.refill_seconds
            waiting.adopt(work)
        return waiting

    def _make_room(self) -> bool:
        """A place for one more, at the cost of the oldest idle session."""
        live = [worker for worker in self._sessions.values() if not worker.is_leaving]
        return len(live) < self._settings.max_sessions or self._evict("room")

    def _evict(self, reason: str) -> bool:
        idle = [each for each in self._sessions.values() if not each.is_busy | each.is_leaving]
        if idle:
            min(idle, key=lambda worker: worker.last_used).retire(reason)
        return bool(idle)

    def _new(self, work: Path) -> Worker:
        return Worker(self._place, work, self._watchdog, self._ended)

    def _ended(self, worker: Worker) -> None:
        with self._lock:
            if worker in self._pool:
                self._pool.remove(worker)
                self._refill_at = time.monotonic() + _RETRY
            if self._sessions.get(worker.session) is worker:
                del self._sessions[worker.session]
        if worker.session:
            gone = {"session": worker.session, "reason": worker.reason, "names": worker.names}
            self._send({"gone": gone})

    def _over(self, jailed: Jailed, limit: Over) -> None:
        with self._lock:
            workers = [*self._sessions.values(), *self._pool]
        for worker in workers:
            if worker.jailed is jailed:
                worker.over(limit)

    # --- house ----------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        while not self._closed.wait(_TICK):
            with self._lock:
                self._cull()
                self._refill()

    def _cull(self) -> None:
        now = time.monotonic()
        for worker in self._sessions.values():
            is_idle = not worker.is_busy and not worker.is_leaving
            if is_idle and now - worker.last_used > self._settings.idle_seconds:
                worker.retire("idle")
        if self._memory() > self._settings.total_memory:
            self._evict("memory")

    def _memory(self) -> int:
        jails = [worker.jailed for worker in self._sessions.values() if not worker.is_leaving]
        limit = self._settings.limits.memory
        return sum(memory(jailed.pids(), limit) for jailed in jails if jailed)

    def _refill(self) -> None:
        if time.monotonic() > self._refill_at:
            self._fill()

    def _fill(self) -> None:
        while len(self._pool) < self._settings.pool:
            work = Path(tempfile.mkdtemp(prefix="waiting-", dir=self._home))
            self._pool.append(self._new(work))

    # --- answers --------------------------------------------------------------------------------

    def _answer(self, request: dict[str, Any], **fields: object) -> None:
        self._send({"id": request.get("id"), "answer": fields})

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # the app is gone; serve() ends
            self._channel.send(message)


def main(descriptor: int) -> None:
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(message)s")
    os.umask(0o077)
    channel = Channel(socket.socket(fileno=descriptor))
    hello = channel.receive()
    if hello["look"]:
        os.nice(_LOOKING)  # nobody waits for it
    settings = SandboxSettings.of_json(hello["settings"])
    python, home = Path(hello["python"]), Path(hello["home"])
    sweep()
    try:
        level, why = choose_level(settings, python)
    except SandboxRefused as error:
        channel.send({"level": Level.NONE, "why": error.fields["tried"], **error.fields})
        return
    except SandboxFailed as error:  # what is demanded is no level
        channel.send({"level": Level.NONE, "why": error.fields["reason"]})
        return
    if level is Level.UNSAFE:
        log.warning("Nothing confines the code of the interpreter, and it was asked to run it")
    with contextlib.suppress(OSError):  # the app is gone already
        channel.send({"level": level, "why": why})
    if hello["look"]:
        return
    supervisor = Supervisor(channel, home, place(settings, level, python), settings)
    try:
        supervisor.serve()
    finally:
        supervisor.close()


def place(settings: SandboxSettings, level: Level, python: Path) -> Place:
    if settings.polite:
        return Place(level, python, settings.limits)
    limits = replace(settings.limits, niceness=0)
    return Place(level, python, limits, Policy(cgroup=False))


def choose_level(settings: SandboxSettings, python: Path) -> tuple[Level, str]:
    """The one that is asked for, if it holds, or the strongest that does, and why no stronger."""
    if level := settings.level:
        minimum = minimum_level(os.environ.get(MINIMUM))
        weak = f"weaker than {MINIMUM}={minimum}" if level.rank > minimum.rank else ""
        if problem := weak or attack(level, python):
            raise refusal(LevelReport(Level.NONE, ((level, problem),)))
        return level, "asked for"
    report = examine(python, os.environ, unsafe=settings.unsafe)
    if report.level is Level.NONE:
        raise refusal(report)
    return report.level, "; ".join(f"{level}: {reason}" for level, reason in report.tried)
