"""How much of the disk a session holds: its folders, and the files it deleted but keeps open.

What it does not cover: as a root without CAP_SYS_PTRACE the open files of another uid cannot be
seen; then only the watchdog's floor of free space stands against deleted ones.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
_DELETED = b"(deleted)"


@dataclass(frozen=True)
class Holding:
    size: int
    files: int


def folder(path: Path, enough: int) -> Holding:
    """Everything below; counting stops after `enough` files. What cannot be read counts as such."""
    size, files, waiting = 0, 0, [str(path)]
    while waiting and files <= enough:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    if files > enough:
                        break
                    known = entry.stat(follow_symlinks=False)
                    size += known.st_blocks * _BLOCK
                    if stat.S_ISDIR(known.st_mode):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue  # gone in the meantime
        except OSError:
            files = enough + 1  # too deep a path, or closed to us: not what a person needs
    return Holding(size, files)


def deleted(pids: Iterable[int], device: int, *, mapped: bool) -> int:
    """Bytes of files without a name on `device` that these processes keep, open or `mapped`."""
    held: dict[int, int] = {}
    for pid in pids:
        held |= _open(pid, device)
        if mapped:
            held = _mapped(pid, device) | held
    return sum(held.values())


def _open(pid: int, device: int) -> dict[int, int]:
    """inode -> bytes."""
    found = {}
    try:
        names = os.scandir(f"/proc/{pid}/fd")
    except OSError:
        return {}
    with names:
        for name in names:
            try:
                known = name.stat()
            except OSError:
                continue
            if known.st_dev == device and known.st_nlink == 0 and stat.S_ISREG(known.st_mode):
                found[known.st_ino] = known.st_blocks * _BLOCK
    return found


def _mapped(pid: int, device: int) -> dict[int, int]:
    """inode -> bytes that are mapped: at most what the file has, if it was not mapped twice."""
    found: dict[int, int] = {}
    try:
        lines = Path(f"/proc/{pid}/maps").read_bytes().splitlines()
    except OSError:
        return {}
    for line in lines:
        if _DELETED not in line:
            continue
        addresses, _, _, numbers, inode = line.split()[:5]
        major, minor = (int(part, 16) for part in numbers.split(b":"))
        if os.makedev(major, minor) == device:
            start, end = (int(part, 16) for part in addresses.split(b"-"))
            found[int(inode)] = found.get(int(inode), 0) + end - start
    return found
