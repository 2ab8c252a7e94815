"""A process's own folder for what lasts no longer than it does: sessions' files and tools' files.

Conversations are kept in memory only, so what a former process left can be reached by nobody.
Whoever starts removes it. A lock tells the living from the dead: it goes with its process, however
that ends, and is held before it gets its name. A folder without one is somebody's who is starting.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path

from assistant.sandbox import tree

_PREFIX = "assistant-run-"
_LOCK = "lock"
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_EVERYBODY_MAY_PASS = 0o711  # and see no names: a session has a uid of its own where we are root


class Scratch:
    """Below `home`, or where temporary files are, if a session's uid could not come to `home`."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=_EVERYBODY_MAY_PASS, parents=True, exist_ok=True)
        base = home if os.geteuid() or passable(home) else Path(tempfile.gettempdir())
        for each in {home, base}:
            _sweep(each)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self.path.chmod(_EVERYBODY_MAY_PASS)
        self._lock = os.open(self.path / "new", _OPEN | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.path / "new").rename(self.path / _LOCK)

    def close(self) -> None:
        tree.remove(self.path)
        os.close(self._lock)


def passable(folder: Path) -> bool:
    """Whether other users can come to what is below it."""
    whole = [folder.absolute(), *folder.absolute().parents]
    return all(each.stat().st_mode & stat.S_IXOTH for each in whole)


def _sweep(base: Path) -> None:
    """Removes the folders of dead processes of ours; where others write too, theirs are theirs."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            known = folder.lstat()
            if known.st_uid == os.geteuid() and stat.S_ISDIR(known.st_mode):
                _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    lock = os.open(folder / _LOCK, _OPEN)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tree.remove(folder)
    finally:
        os.close(lock)
