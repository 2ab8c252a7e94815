"""Level 1: bubblewrap, bwrap(1), with every namespace.

As a normal user it needs user namespaces. As root it does without them: root makes the mounts, and
the stage, inside, becomes the session's own uid. The code never runs as the host's uid 0, to whom
/proc/sys belongs whatever the mounts say.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.errors import SandboxFailed
from assistant.sandbox.level import Level
from assistant.sandbox.memory_file import memory_file
from assistant.sandbox.plan import TMP, WORK, Launch, Policy, Prepared
from assistant.sandbox.slots import Slot
from assistant.sandbox.view import STAGE, Step, steps

_USER = 1000  # who a normal user is inside
_KEPT = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")  # for the stage alone, which drops them
_TRY = 30  # seconds that an empty sandbox may take


@dataclass(frozen=True)
class Variant:
    """What this machine lets bubblewrap do."""

    program: str
    disable_userns: bool
    proc: bool


def prepare(what: Launch, policy: Policy, slot: Slot | None) -> Prepared:
    """Raises with bubblewrap's own words when it cannot work here."""
    use = variant(os.geteuid() == 0)
    opened: list[int] = []
    flags = _flags(use, policy, root=os.geteuid() == 0)
    for step in steps(what, policy, slot.uid if slot else _USER, proc=use.proc):
        flags += _arguments(step, opened)
    arguments = memory_file("\0".join(flags).encode())
    return Prepared(
        outer=[use.program, "--args", str(arguments), "--"],
        work=WORK if policy.paths else what.work,
        tmp=TMP,
        stage=STAGE if policy.paths else "",
        fds=[arguments, *opened],
    )


@functools.cache
def variant(root: bool) -> Variant:
    """The fullest set of options that works; found by trying, once."""
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxFailed(level=Level.NAMESPACES, reason="bubblewrap is not installed")
    problem = ""
    for disable, proc in ((True, True), (False, True), (False, False)):
        if root and disable:
            continue
        use = Variant(program, disable_userns=disable, proc=proc)
        problem = _try(use, root=root)
        if not problem:
            return use
    raise SandboxFailed(level=Level.NAMESPACES, reason=problem)


def _try(use: Variant, *, root: bool) -> str:
    """Why an empty sandbox cannot be made; "" when it can."""
    proc = ["--proc", "/proc"] if use.proc else ["--size", "4096", "--tmpfs", "/proc"]
    command = [use.program, *_flags(use, Policy(), root=root), "--ro-bind", "/", "/", *proc]
    command += ["--perms", "0755", "--size", "4096", "--tmpfs", str(TMP)]
    try:
        done = subprocess.run(
            [*command, "--dev", "/dev", "true"],
            capture_output=True,
            timeout=_TRY,
            cwd="/",
            env={"PATH": os.defpath},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "failed"


def _flags(use: Variant, policy: Policy, *, root: bool) -> list[str]:
    flags = ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name in ("pid", "net", "ipc", "uts"):
        flags += [f"--unshare-{name}"] if name in policy.namespaces else []
    flags += ["--unshare-cgroup-try"] if "cgroup" in policy.namespaces else []
    flags += ["--hostname", "sandbox"] if "uts" in policy.namespaces else []
    if root:
        for capability in _KEPT:
            flags += ["--cap-add", capability]
        return flags
    flags += ["--unshare-user", "--uid", str(_USER), "--gid", str(_USER)]
    return flags + (["--disable-userns"] if use.disable_userns else [])


def _arguments(step: Step, opened: list[int]) -> Sequence[str]:
    """One step in bubblewrap's words; `opened` collects the descriptors that it reads."""
    mode = ("--perms", f"{step.mode:04o}")
    match step.kind:
        case "dir":
            return (*mode, "--dir", step.target)
        case "bind":
            return ("--bind", step.source, step.target)
        case "ro":
            return ("--ro-bind", step.source, step.target)
        case "tmpfs":
            return (*mode, "--size", str(step.size), "--tmpfs", step.target)
        case "link":
            return ("--symlink", step.source, step.target)
        case "proc" | "dev":
            return (f"--{step.kind}", step.target)
        case "seal":
            return ("--remount-ro", step.target)
        case _:
            opened.append(memory_file(step.source.encode()))
            return (*mode, "--ro-bind-data", str(opened[-1]), step.target)
