"""A user id per session, where we are root: what one session leaves, another cannot touch.

The ids 61000-61099 are kept for this. They are the machine's, so a lock file says which is taken;
a lock that can be had means that its owner is dead, and whatever still runs with that id is ended
before it is given out again.
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import SandboxFailed
from assistant.sandbox import cgroups
from assistant.sandbox.processes import of_user
from assistant.sandbox.stage import kill_user

UIDS = range(61000, 61100)
LOCKS = Path("/run/assistant-sandbox")
_ATTEMPTS = 200


@dataclass(frozen=True)
class Slot:
    """A uid that is ours until `release`."""

    uid: int
    lock: int

    def empty(self) -> None:
        """End everything of this uid, and see that it is gone."""
        for _ in range(_ATTEMPTS):
            if not of_user(self.uid):
                return
            kill_user(self.uid)
        raise SandboxFailed(level="2", reason=f"processes of uid {self.uid} do not end")

    def release(self) -> None:
        self.empty()
        os.close(self.lock)

    def own(self, path: Path) -> None:
        """Give a folder and all in it to this uid, while nobody works in it.

        A file with a second name is left alone: the other name may be somebody else's.
        """
        os.chown(path, self.uid, self.uid, follow_symlinks=False)
        waiting = [str(path)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    known = entry.stat(follow_symlinks=False)
                    is_folder = entry.is_dir(follow_symlinks=False)
                    waiting += [entry.path] * is_folder
                    if known.st_uid != self.uid and (is_folder or known.st_nlink == 1):
                        os.chown(entry.path, self.uid, self.uid, follow_symlinks=False)


def take() -> Slot:
    """The first free uid, proved empty."""
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    for uid in UIDS:
        lock = os.open(LOCKS / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _locked(lock):
            slot = Slot(uid, lock)
            slot.empty()
            return slot
        os.close(lock)
    raise SandboxFailed(level="2", reason=f"all {len(UIDS)} sandbox users are taken")


def sweep() -> int:
    """End what a dead app left behind, and remove its cgroups; how many slots were not empty."""
    swept = 0
    for uid in UIDS if os.geteuid() == 0 and LOCKS.exists() else ():
        lock = os.open(LOCKS / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _locked(lock) and of_user(uid):
            Slot(uid, lock).empty()
            swept += 1
        os.close(lock)
    cgroups.sweep()
    return swept


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
