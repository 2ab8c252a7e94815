"""Level 1c: the namespaces of level 1 by our own launcher, where pivot_root is refused.

Root needs CAP_SYS_ADMIN (Colab-like containers); a normal user needs user namespaces. What it
lacks next to bubblewrap: years of other people's eyes.
"""

import dataclasses
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from assistant.errors import SandboxFailed
from assistant.sandbox.level import Level
from assistant.sandbox.memory_file import memory_file
from assistant.sandbox.plan import TMP, WORK, Launch, Policy, Prepared
from assistant.sandbox.slots import Slot
from assistant.sandbox.view import STAGE, Step, steps

_SCRIPT = Path(__file__).with_name("jail.py")
_USER = 1000
_TRY = 30  # seconds


def prepare(what: Launch, policy: Policy, slot: Slot | None) -> Prepared:
    """Raises with the first thing that is refused here."""
    uid = slot.uid if slot else _USER
    view = steps(what, policy, uid, proc=_proc_can_be_mounted(what.python))
    root = tempfile.mkdtemp(prefix="sandbox-root-")
    spec = _spec(root, view, sorted(policy.namespaces))
    script = memory_file(_SCRIPT.read_bytes())
    return Prepared(
        outer=_command(what.python, script, spec),
        work=WORK if policy.paths else what.work,
        tmp=TMP,
        stage=STAGE if policy.paths else "",
        fds=[spec, script],
        clean=lambda: Path(root).rmdir(),
    )


def _spec(root: str, view: Sequence[Step], namespaces: Sequence[str]) -> int:
    spec = {
        "root": root,
        "user": None if os.geteuid() == 0 else _USER,
        "namespaces": list(namespaces),
        "steps": [dataclasses.asdict(step) for step in view],
    }
    return memory_file(json.dumps(spec).encode())


def _command(python: Path, script: int, spec: int) -> list[str]:
    return [str(python), "-I", "-S", "-B", f"/proc/self/fd/{script}", str(spec)]


@functools.cache
def _proc_can_be_mounted(python: Path) -> bool:
    """Some hosts refuse a new /proc; raises when even without it nothing can be made."""
    problem = ""
    for proc in (True, False):
        problem = _try(python, [Step("bind", "/", "/")] + [Step("proc", "/proc")] * proc)
        if not problem:
            return proc
    raise SandboxFailed(level=Level.CHROOT, reason=problem)


def _try(python: Path, view: list[Step]) -> str:
    """Why these steps cannot be done; "" when they can."""
    with tempfile.TemporaryDirectory(prefix="sandbox-root-") as root:
        spec = _spec(root, view, sorted(Policy().namespaces))
        script = memory_file(_SCRIPT.read_bytes())
        try:
            done = subprocess.run(
                [*_command(python, script, spec), str(python), "-I", "-S", "-c", ""],
                capture_output=True,
                timeout=_TRY,
                cwd="/",
                pass_fds=[spec, script],
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            os.close(spec)
            os.close(script)
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["failed"]
    return "" if done.returncode == 0 else said[-1]
