"""Removing a folder that hostile code has filled, as deep, as closed and as oddly as it likes.

No link is followed. Folders are moved up and emptied one after the other, so that depth costs
neither stack nor descriptors, and no path gets too long.
"""

import contextlib
import itertools
import os
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """The folder and all in it; a link in its place goes, and what it leads to stays.

    What cannot be removed is left: the next sweep tries again.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        top = _opened(str(path))
        try:
            _empty(top)
        finally:
            os.close(top)
        path.rmdir()


def _empty(top: int) -> None:
    numbers = itertools.count()
    while folders := _without_files(top):
        for name in folders:
            folder = _opened(name, top)
            try:
                for below in _without_files(folder):
                    _up(folder, below, top, numbers)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)


def _without_files(folder: int) -> list[str]:
    """Unlinks whatever is no folder; the names of those that are."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _up(folder: int, name: str, top: int, numbers: "itertools.count[int]") -> None:
    """Moves a folder to the top, under a name that nothing has there."""
    os.close(_opened(name, folder))  # to move it, it has to be open to us
    while True:
        fresh = f".{next(numbers)}"
        try:
            os.stat(fresh, dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, fresh, src_dir_fd=folder, dst_dir_fd=top)
            return


def _opened(name: str, above: int | None = None) -> int:
    """For reading, even when its mode forbids that to its owner."""
    look = os.open(name, _LOOK, dir_fd=above)
    try:
        if os.fstat(look).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            Path(f"/proc/self/fd/{look}").chmod(0o700)
        return os.open(".", _FOLDER, dir_fd=look)
    finally:
        os.close(look)
