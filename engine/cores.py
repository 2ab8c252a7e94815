"""Which core a thread of the team keeps to.

Linux shares a machine between control groups and sessions before it looks at their threads. Beside
one busy program it thinks two cores fairly shared when that has one, and a team's two threads the
other, where they wait for each other: a third of the speed, whatever the program's priority. A team
that fills the granted cores loses no choice by keeping each thread on its own; a smaller one is
left alone, as another team might keep to the same cores.
"""

import contextlib
import os
from collections.abc import Sequence


def team_cores(threads: int) -> Sequence[int | None]:
    """A core for each thread of a team; None where it may run on any."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return [None] * threads
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if 1 < threads == len(allowed) else [None] * threads


def keep_to(core: int | None) -> None:
    """From now on the calling thread, and what it starts, runs on that core only."""
    if core is not None:
        with contextlib.suppress(OSError):  # taken away since: it runs on what is left
            os.sched_setaffinity(0, {core})
