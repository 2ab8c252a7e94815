"""Levels 2, 2s, 3 and unsafe: the host's own tree, with everything not needed refused.

There is no mount namespace, so the working folder keeps its own path: `/mnt/data` does not exist
inside, and /tmp is a private folder of the host. With root each session has its own uid. At the
unsafe level nothing is refused, and the policy says so.
"""

import os
import tempfile
from functools import partial
from pathlib import Path

from assistant.errors import SandboxFailed
from assistant.sandbox import landlock, tree
from assistant.sandbox.interpreter import configuration_files, folders_of, system_folders
from assistant.sandbox.level import Level
from assistant.sandbox.plan import Launch, Policy, Prepared
from assistant.sandbox.slots import Slot

# Facts about the machine that libraries ask for; nothing else of /proc and /sys can be opened.
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")


def prepare(level: Level, what: Launch, policy: Policy, slot: Slot | None) -> Prepared:
    """Raises when what this level is made of is not there."""
    version = landlock.abi()
    by_landlock = level in (Level.LANDLOCK, Level.LANDLOCK_SHARED)
    if by_landlock and version == 0:
        raise SandboxFailed(level=level, reason="the kernel has no Landlock")
    if level is Level.LANDLOCK_SHARED and os.geteuid() == 0:
        raise SandboxFailed(level=level, reason="code never runs as root; root has level 2")
    if level is not Level.LANDLOCK_SHARED and slot is None and policy.uid:
        raise SandboxFailed(level=level, reason="only root can give a session a uid of its own")
    tmp = _private_tmp(slot)
    rules = None
    if policy.paths and by_landlock:
        readable = [*system_folders(), *configuration_files(), *folders_of(what.python)]
        readable += [*what.readable, *(Path(name) for name in _MACHINE)]
        rules = landlock.ruleset(version, readable, [what.work, tmp])
    return Prepared(
        outer=[],
        work=what.work,
        tmp=tmp,
        landlock=rules,
        guarded=True,
        clean=partial(tree.remove, tmp),
    )


def _private_tmp(slot: Slot | None) -> Path:
    tmp = Path(tempfile.mkdtemp(prefix="sandbox-"))
    if slot:
        slot.own(tmp)
    return tmp
