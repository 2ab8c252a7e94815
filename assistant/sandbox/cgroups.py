"""Limits that hold for a whole session at once, where cgroups can be written: cgroups(7).

Version 1 with its own folder per controller (memory, pids, cpu), or version 2 when its root lets
us. Without them rlimits and the watchdog stand alone.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.sandbox.limits import Limits

BASE = Path("/sys/fs/cgroup")
_FOLDER = "assistant-sandbox"
_SHARES = 20  # against 1024: all sessions together take a fiftieth of each core from an answer
_WEIGHT = 2  # against 100, the same in version 2
_KINDS = ("memory", "pids", "cpu")
_SPARE_PROCESSES = 8  # the launcher's own
_numbers = itertools.count()


@dataclass(frozen=True)
class Cgroup:
    """One session's folders; empty when nothing could be made."""

    folders: tuple[Path, ...]

    def add(self, pids: Iterable[int]) -> None:
        for folder in self.folders:
            for pid in pids:
                (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed in it for want of memory."""
        for folder in self.folders:
            for name in ("memory.oom_control", "memory.events"):
                if "oom_kill 0" not in (text := _text(folder / name)) and "oom_kill " in text:
                    return True
        return False

    def remove(self) -> None:
        """Once no process is left in it."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def sweep(base: Path = BASE) -> None:
    """Remove what dead supervisors left; a folder that still has processes stays."""
    for parent in (base / _FOLDER, *(base / kind / _FOLDER for kind in _KINDS)):
        for folder in parent.iterdir() if parent.is_dir() else ():
            if folder.is_dir() and not Path("/proc", folder.name.partition("-")[0]).exists():
                Cgroup((folder,)).remove()


def make(limits: Limits, base: Path = BASE) -> Cgroup:
    """A new one for a session, with whatever controllers can be had."""
    name = f"{os.getpid()}-{next(_numbers)}"
    if (base / "cgroup.controllers").exists():
        return Cgroup(_version_2(base / _FOLDER, name, limits))
    values = {
        "memory": {"memory.limit_in_bytes": limits.memory},
        "pids": {"pids.max": limits.processes + _SPARE_PROCESSES},
    }
    folders = [_version_1(base / kind / _FOLDER, name, values.get(kind, {})) for kind in _KINDS]
    return Cgroup(tuple(folder for folder in folders if folder))


def _version_1(parent: Path, name: str, values: Mapping[str, int]) -> Path | None:
    if not parent.parent.is_dir():
        return None
    try:
        parent.mkdir(exist_ok=True)
        if (parent / "cpu.shares").exists():
            (parent / "cpu.shares").write_text(str(_SHARES))
        return _filled(parent / name, values)
    except OSError:
        return None


def _version_2(parent: Path, name: str, limits: Limits) -> tuple[Path, ...]:
    values = {"memory.max": limits.memory, "pids.max": limits.processes + _SPARE_PROCESSES}
    try:
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        (parent / "cpu.weight").write_text(str(_WEIGHT))
        return (_filled(parent / name, values),)
    except OSError:
        return ()


def _filled(folder: Path, values: Mapping[str, int]) -> Path:
    folder.mkdir()
    try:
        for file, value in values.items():
            (folder / file).write_text(str(value))
    except OSError:
        folder.rmdir()
        raise
    return folder


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
