"""Becomes another program, one that dies with the process that started it.

`python -I -S leash.py PARENT PROGRAM ARGUMENT…`, run by its path: every start waits for it, so it
imports next to nothing. `preexec_fn` would do the same, but not in a process with threads.

Not covered: systems other than Linux have nothing like PR_SET_PDEATHSIG. There the program outlives
a parent that is killed by SIGKILL; any other end of the parent ends it as everywhere.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127


def become(parent: int, command: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked for its death to be told
            return NOT_STARTED
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return NOT_STARTED


if __name__ == "__main__":
    sys.exit(become(int(sys.argv[1]), sys.argv[2:]))
