"""One door to every level: `launch` starts a confined program, `Jailed` is what can be done to it.

    launch(level, what) -> Jailed      raises SandboxFailed, and then nothing is left behind
    Jailed.pid                         the program, as the host numbers it
    Jailed.work_path / tmp_path        its folders as *it* sees them: /mnt/data and /tmp where there
                                       are mounts (1, 1c), the host's own paths otherwise
    Jailed.uid                         who it runs as, when not as us: fchown to it what you write

Call it from one long-lived thread: at level 1 the death of the *thread* that launched ends the
session (PR_SET_PDEATHSIG). The environment is written as for level 1; values that are /mnt/data or
/tmp, or below, are rewritten to what is there. The program starts in its working folder.

What it does not cover: bugs of the kernel, which every session shares with the app. For strangers
put the whole app into a microVM; docs/sandbox.md says how.
"""

import base64
import contextlib
import json
import os
import platform
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import SandboxFailed
from assistant.sandbox import bubblewrap, cgroups, chroot, confined, landlock, seccomp, slots
from assistant.sandbox.cgroups import Cgroup
from assistant.sandbox.jailed import Jailed, Usage
from assistant.sandbox.level import Level
from assistant.sandbox.limits import Limits, rlimits
from assistant.sandbox.plan import FULL, TMP, WORK, Launch, Policy, Prepared, bare
from assistant.sandbox.processes import descendants
from assistant.sandbox.slots import Slot

__all__ = ["Jailed", "Launch", "Level", "Limits", "Policy", "Usage", "launch"]

STAGE = Path(__file__).with_name("stage.py")
_PATIENCE = 300  # waits of a tenth of a second: a machine that stands still does not count
_STEP = 0.1
_FIRST_TO_GO = "1000"  # when memory runs out, before anything of the app's


def launch(level: Level, what: Launch, policy: Policy = FULL) -> Jailed:
    """Start `what` at `level`; `policy` is for tests alone."""
    policy = bare(policy) if level is Level.UNSAFE else policy
    slot = slots.take() if os.geteuid() == 0 and policy.uid else None
    try:
        if slot:
            slot.own(what.work)
        prepared = _prepare(level, what, policy, slot)
    except BaseException:
        if slot:
            slot.release()
        raise
    return _Start(level, what, policy, slot, prepared).run()


def _prepare(level: Level, what: Launch, policy: Policy, slot: Slot | None) -> Prepared:
    if level in (Level.LANDLOCK, Level.LANDLOCK_SHARED, Level.WEAK, Level.UNSAFE):
        return confined.prepare(level, what, policy, slot)
    if level is Level.NAMESPACES:
        return bubblewrap.prepare(what, policy, slot)
    if level is Level.CHROOT:
        return chroot.prepare(what, policy, slot)
    raise SandboxFailed(level=level, reason="nothing is made at this level")


@dataclass
class _Start:
    """From a prepared level to a running program, or to nothing."""

    level: Level
    what: Launch
    policy: Policy
    slot: Slot | None
    prepared: Prepared

    def run(self) -> Jailed:
        plan_read, plan_write = os.pipe()
        status_read, status_write = os.pipe()
        control_read, control = os.pipe() if self.prepared.guarded else (-1, -1)
        said = os.memfd_create("said", os.MFD_CLOEXEC)
        stage = os.open(STAGE, os.O_RDONLY | os.O_CLOEXEC)
        inside = [plan_read, status_write] + [control_read] * self.prepared.guarded
        output = os.open(os.devnull, os.O_WRONLY) if self.what.output is None else -1
        outlet = output if self.what.output is None else self.what.output
        try:
            outer = self._popen(inside, stage, said, outlet)
        finally:
            for descriptor in (*inside, stage, *self.prepared.fds):
                os.close(descriptor)
        jailed = self._jailed(outer, control)
        try:
            self._hello(status_read)
            self._bind_from_outside(jailed)
            self._send_plan(plan_write, jailed, outlet)
            plan_write = -1
            self._success(status_read)
        except BaseException as error:
            jailed.close()
            if isinstance(error, OSError):
                raise SandboxFailed(level=self.level, reason=_words(said, error)) from error
            raise
        finally:
            for descriptor in (plan_write, status_read, said, output):
                if descriptor >= 0:
                    os.close(descriptor)
        return jailed

    def _popen(
        self, inside: list[int], stage: int, said: int, outlet: int
    ) -> subprocess.Popen[bytes]:
        script = self.prepared.stage or f"/proc/self/fd/{stage}"
        numbers = [str(descriptor) for descriptor in inside]
        if self.prepared.guarded:
            numbers.append(str(self.slot.uid if self.slot else -1))
        python = [str(self.what.python), "-I", "-S", "-B", script, *numbers]
        own = [] if self.prepared.stage else [stage]
        return subprocess.Popen(
            [*self.prepared.outer, *python],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
            pass_fds=[*inside, *own, outlet, *self.prepared.fds, *self.what.pass_fds],
        )

    def _jailed(self, outer: subprocess.Popen[bytes], control: int) -> Jailed:
        return Jailed(
            level=self.level,
            pid=outer.pid,
            what=self.what,
            prepared=self.prepared,
            outer=outer,
            control=control,
            slot=self.slot,
            cgroup=cgroups.make(self.what.limits) if self.policy.cgroup else Cgroup(()),
        )

    def _bind_from_outside(self, jailed: Jailed) -> None:
        """What has to be done to every process inside before the stage is let go."""
        pids = descendants(jailed.outer.pid)
        jailed.pid = pids[-1]  # the stage: none of outer -> init -> stage has forked more
        jailed.cgroup.add(pids)
        for pid in pids:
            _write(f"/proc/{pid}/oom_score_adj", _FIRST_TO_GO)
            already = os.getpriority(os.PRIO_PROCESS, pid)  # only root may take some of it away
            os.setpriority(os.PRIO_PROCESS, pid, max(already, self.what.limits.niceness))
        for pid in pids:
            if os.getsid(pid) != os.getsid(0):  # or all that was started beside us would be nice
                _write(f"/proc/{pid}/autogroup", str(self.what.limits.niceness))

    def _hello(self, status: int) -> None:
        if _read(status) != b"\n":
            raise OSError("it did not start")

    def _success(self, status: int) -> None:
        """The pipe closes without a word when the program has taken the stage's place."""
        if problem := _read(status):
            raise OSError(problem.decode(errors="replace"))

    def _send_plan(self, pipe: int, jailed: Jailed, outlet: int) -> None:
        with open(pipe, "wb") as file:
            file.write(json.dumps(self._plan(jailed.pid, outlet)).encode())

    def _plan(self, pid: int, outlet: int) -> dict[str, object]:
        rules = self.prepared.landlock
        shared = self.level in (Level.LANDLOCK_SHARED, Level.UNSAFE)
        limits = rlimits(self.what.limits, shared_uid=os.geteuid() if shared else None)
        return {
            "uid": self.slot.uid if self.slot else None,
            "directory": str(self.prepared.work),
            "limits": limits if self.policy.rlimits else [],
            "drop": self.policy.uid,
            "landlock": rules.as_json() if rules else None,
            "seccomp": self._filter(pid) if self.policy.seccomp else None,
            "program": list(self.what.argv),
            "environment": self._environment(),
            "keep": list(self.what.pass_fds),
            "output": outlet,
        }

    def _filter(self, pid: int) -> str:
        shared = self.level is Level.LANDLOCK_SHARED
        old = shared and not landlock.keeps_signals_inside(landlock.abi())
        program = seccomp.program(
            platform.machine(),
            own_tree=not self.prepared.guarded,
            shared_uid=shared,
            signals_to=pid if old else None,
        )
        return base64.b64encode(program).decode()

    def _environment(self) -> dict[str, str]:
        seen = {WORK: self.prepared.work, TMP: self.prepared.tmp}
        return {name: _moved(value, seen) for name, value in self.what.environment.items()}


def _moved(value: str, seen: dict[Path, Path]) -> str:
    for usual, actual in seen.items():
        if value == str(usual) or value.startswith(f"{usual}/"):
            return str(actual) + value[len(str(usual)) :]
    return value


def _write(path: str, value: str) -> None:
    """Better with than without: a guard of root's, or a kernel without the file, has none."""
    with contextlib.suppress(OSError):
        Path(path).write_text(value)


def _read(pipe: int) -> bytes:
    """What there is to read, or b"" at the end."""
    for _ in range(_PATIENCE):
        if select.select([pipe], [], [], _STEP)[0]:
            return os.read(pipe, 65536)
    raise OSError("it does not answer")


def _words(said: int, error: OSError) -> str:
    """The launcher's own complaint, else ours."""
    text = os.pread(said, 2000, 0).decode(errors="replace").strip()
    return f"{error.strerror or error}; {text}".strip("; ") if text else str(error)
