"""Asking the system for the registers that it hands out on request only: AMX's tiles."""

import ctypes
import platform
import sys
from functools import cache

_ARCH_PRCTL = 158  # the system call's number on x86-64 Linux
_REQUEST_PERMISSION = 0x1023  # ARCH_REQ_XCOMP_PERM
_TILE_DATA = 18  # the state component of the tiles' registers


@cache
def tiles_allowed() -> bool:
    """Whether this process may use tiles; the first call asks the system for it (Linux 5.16)."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0)
