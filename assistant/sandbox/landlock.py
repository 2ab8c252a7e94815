"""Which paths the code may touch where there is no mount namespace: Landlock, landlock(7).

This side decides the rules; `stage` makes the ruleset and enters it, as the last thing but seccomp.

What it does not cover: stat, access, readlink, chmod, chown, utime, xattrs, and truncate(2) before
ABI 3. With a uid of its own the file system's permissions do; with the app's uid seccomp does.
"""

import ctypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_CREATE_RULESET = 444  # the same number on every architecture
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 64, 512, 2048
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1  # every right of ABI 1
_SINCE = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEVICE}
_NET = 3  # ABI 4: bind and connect of TCP
_SCOPES = 3  # ABI 6: abstract unix sockets, signals
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Ruleset:
    """What `stage` needs to enter it; numbers are the bits of <linux/landlock.h>."""

    filesystem: int
    network: int
    scopes: int
    rules: tuple[tuple[str, int], ...]

    def as_json(self) -> Mapping[str, object]:
        return {"attributes": [self.filesystem, self.network, self.scopes], "rules": self.rules}


def abi() -> int:
    """The kernel's Landlock version; 0 without it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syscall") or os.uname().sysname != "Linux":
        return 0
    answer = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return max(int(answer), 0)


def keeps_signals_inside(version: int) -> bool:
    return version >= 6


def ruleset(version: int, readable: Iterable[Path], writable: Iterable[Path]) -> Ruleset:
    """Everything is refused, except reading `readable` and everything harmless in `writable`."""
    handled = _FIRST
    for since, right in _SINCE.items():
        handled |= right if version >= since else 0
    read = _EXECUTE | _READ_FILE | _READ_DIR
    full = handled & ~(_MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEVICE)
    rules = [(path, read) for path in readable] + [(path, full) for path in writable]
    rules += [(Path(device), _READ_FILE | _WRITE_FILE) for device in _DEVICES]
    return Ruleset(
        filesystem=handled,
        network=_NET if version >= 4 else 0,
        scopes=_SCOPES if version >= 6 else 0,
        rules=tuple((str(path), _fitting(path, rights)) for path, rights in rules if path.exists()),
    )


def _fitting(path: Path, rights: int) -> int:
    """A rule for a file may not name the rights of folders."""
    return rights if path.is_dir() else rights & _OF_FILES
