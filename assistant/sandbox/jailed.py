"""A confined program: what can be done to it, and what it uses."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assistant.sandbox import disk
from assistant.sandbox.cgroups import Cgroup
from assistant.sandbox.level import Level
from assistant.sandbox.plan import TMP, Launch, Prepared
from assistant.sandbox.processes import descendants, memory
from assistant.sandbox.slots import Slot

_BURIAL = 10  # seconds that the kernel may take to end a pid namespace


@dataclass(frozen=True)
class Usage:
    """Bytes, and how many."""

    memory: int
    processes: int
    disk: int  # the work folder, and deleted files that are still open
    files: int
    tmp: int  # /tmp, where it is a folder of the host; elsewhere its size is fixed


@dataclass
class Jailed:
    """A program and everything below it, until `close`."""

    level: Level
    pid: int  # the program, as the host numbers it
    what: Launch
    prepared: Prepared
    outer: subprocess.Popen[bytes]
    control: int  # closing it tells the guard to end everything
    slot: Slot | None
    cgroup: Cgroup
    _looks: int = field(default=0)
    _closed: bool = field(default=False)

    @property
    def work_path(self) -> Path:
        """The work folder as the program sees it."""
        return self.prepared.work

    @property
    def tmp_path(self) -> Path:
        return self.prepared.tmp

    @property
    def uid(self) -> int | None:
        """Who it runs as, when not as we do; fchown what you write into its folder."""
        return self.slot.uid if self.slot else None

    def poll(self) -> int | None:
        """The exit code once it has ended; 128 + n after signal n."""
        return self.outer.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutError."""
        try:
            return self.outer.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def interrupt(self) -> None:
        """SIGINT: stops C code too, which a message over a channel does not."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)

    def pids(self, parents: Mapping[int, int] | None = None) -> list[int]:
        """Every process of it; `parents` is a look at /proc that was taken already."""
        return descendants(self.outer.pid, parents) if self.poll() is None else []

    def usage(self, parents: Mapping[int, int] | None = None) -> Usage:
        pids, limits, work = self.pids(parents), self.what.limits, self.what.work
        self._looks += 1
        holding = disk.folder(work, limits.files)
        gone = disk.deleted(pids, work.stat().st_dev, mapped=self._looks % 10 == 1)
        own_tmp = self.prepared.tmp != TMP
        return Usage(
            memory=memory(pids, limits.memory),
            processes=len(pids),
            disk=holding.size + gone,
            files=holding.files,
            tmp=disk.folder(self.prepared.tmp, limits.files).size if own_tmp else 0,
        )

    def out_of_memory(self) -> bool:
        """Whether the kernel killed in it because of its limit."""
        return self.cgroup.out_of_memory()

    def kill(self) -> None:
        """End all of it; returns once nothing is left."""
        if self.control >= 0:
            os.close(self.control)
            self.control = -1
        if not self.prepared.guarded and self.poll() is None:
            # The init inside ends last; the outer process then ends by itself, having buried it.
            for pid in descendants(self.outer.pid) or [self.outer.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.outer.wait(_BURIAL)
            self.outer.kill()
        self.outer.wait()
        if self.slot:
            self.slot.empty()

    def close(self) -> None:
        """Kill, and give back what the sandbox was made of; the work folder stays."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self.cgroup.remove()
        self.prepared.clean()
        if self.slot:
            self.slot.release()
