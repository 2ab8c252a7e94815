"""How much of the machine a session may use: rlimits, one set for every process of it."""

import resource
from dataclasses import dataclass

from assistant.sandbox.processes import tasks_of_user

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The defaults of the interpreter; sizes in bytes."""

    memory: int = 1024 * _MEGABYTE  # of all processes together
    processes: int = 96  # and threads
    open_files: int = 256  # of one process
    file_size: int = 128 * _MEGABYTE
    disk: int = 200 * _MEGABYTE  # of the working folder
    files: int = 5000  # in the working folder
    tmp: int = 256 * _MEGABYTE  # of the private /tmp
    shared_memory: int = 64 * _MEGABYTE  # /dev/shm, where there is a private one
    niceness: int = 12  # a busy session costs a running answer less than a tenth


def rlimits(limits: Limits, *, shared_uid: int | None) -> list[tuple[int, int]]:
    """(resource, limit) for setrlimit(2).

    RLIMIT_NPROC counts what the user has anywhere: with the app's own uid, its threads too.
    """
    others = tasks_of_user(shared_uid) if shared_uid is not None else 0
    return [
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_NPROC, limits.processes + others),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        *_linux(),
    ]


def _linux() -> list[tuple[int, int]]:
    names = ("RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO", "RLIMIT_NICE")
    return [(getattr(resource, name), 0) for name in names if hasattr(resource, name)]
