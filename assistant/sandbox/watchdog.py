"""Who uses more than its share ends: looked at ten times a second, in the supervisor.

The hard limits (cgroup, rlimits, sized mounts) come first where they exist; this is for what they
do not count: a tree of processes without a cgroup, the folder on the disk, the machine as a whole.
Between two looks a session can overshoot: by as much as it can write in a tenth of a second.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from assistant.sandbox.jailed import Jailed, Usage
from assistant.sandbox.limits import Limits
from assistant.sandbox.stage import parents

_log = logging.getLogger(__name__)
_INTERVAL = 0.1
_REST = 5  # a look that took long is followed by a rest this many times as long


class Over(StrEnum):
    """Which limit a session was ended for."""

    MEMORY = "memory"
    PROCESSES = "processes"
    DISK = "disk"
    FILES = "files"
    MACHINE_MEMORY = "machine memory"
    MACHINE_DISK = "machine disk"


@dataclass(frozen=True)
class Floors:
    """What the machine itself must keep free, in bytes."""

    memory: int = 512 << 20
    disk: int = 512 << 20


def over(usage: Usage, limits: Limits) -> Over | None:
    """The first limit that is passed."""
    passed = {
        Over.MEMORY: usage.memory > limits.memory,
        Over.PROCESSES: usage.processes > limits.processes * 2,  # rlimits stop it long before
        Over.DISK: usage.disk > limits.disk or usage.tmp > limits.tmp,
        Over.FILES: usage.files > limits.files,
    }
    return next((limit for limit, is_passed in passed.items() if is_passed), None)


class Watchdog:
    """One thread for all sessions; `ended` is told which was killed, and why."""

    def __init__(self, ended: Callable[[Jailed, Over], None], floors: Floors | None = None) -> None:
        self._ended = ended
        self._floors = floors or Floors()
        self._watched: set[int] = set()
        self._sessions: dict[int, Jailed] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def add(self, jailed: Jailed) -> None:
        with self._lock:
            self._sessions[id(jailed)] = jailed

    def discard(self, jailed: Jailed) -> None:
        with self._lock:
            self._sessions.pop(id(jailed), None)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rest = _INTERVAL
        while not self._stop.wait(rest):
            began = time.monotonic()
            with self._lock:
                sessions = list(self._sessions.values())
            self._look(sessions)
            rest = max(_INTERVAL, (time.monotonic() - began) * _REST)

    def _look(self, sessions: list[Jailed]) -> None:
        table = parents() if sessions else {}
        used: list[tuple[Jailed, Usage]] = []
        for jailed in sessions:
            try:
                usage = jailed.usage(table)
            except OSError:  # its folder is gone: somebody is closing it
                continue
            used.append((jailed, usage))
            if limit := over(usage, jailed.what.limits):
                self._end(jailed, limit, usage)
        if limit := self._machine(jailed for jailed, _ in used):
            largest = max(used, key=lambda each: _weight(each[1], limit))
            self._end(largest[0], limit, largest[1])

    def _machine(self, sessions: Iterable[Jailed]) -> Over | None:
        """Whether the machine runs out of something, while there is a session to end for it."""
        works = [jailed.what.work for jailed in sessions]
        if works and available_memory() < self._floors.memory:
            return Over.MACHINE_MEMORY
        if any(free_disk(work) < self._floors.disk for work in works):
            return Over.MACHINE_DISK
        return None

    def _end(self, jailed: Jailed, limit: Over, usage: Usage) -> None:
        _log.warning("sandbox %d: over its limit of %s: %s", jailed.pid, limit, usage)
        self.discard(jailed)
        jailed.kill()
        self._ended(jailed, limit)


def _weight(usage: Usage, limit: Over) -> int:
    return usage.disk + usage.tmp if limit is Over.MACHINE_DISK else usage.memory


def available_memory() -> int:
    """MemAvailable; plenty where /proc does not say."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62


def free_disk(path: Path) -> int:
    """Plenty for a folder that somebody has just deleted."""
    try:
        known = os.statvfs(path)
    except OSError:
        return 1 << 62
    return known.f_bavail * known.f_frsize
