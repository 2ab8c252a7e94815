"""Runs hostile snippets at a level, in a world of canaries, and judges them from outside.

As a script it is one batch: `attacks.py LEVEL UID PYTHON` with the snippets as JSON on stdin and a
list of what went wrong as JSON on stdout. UID -1 stays who we are; any other is become first, which
is how a normal user's levels are tried on a machine where tests run as root.
"""

import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from outside import CANARY, SYSTEM_PYTHON, World, world

from assistant.sandbox.jailed import Jailed
from assistant.sandbox.launch import Launch, Level, Limits, Policy, launch
from assistant.sandbox.processes import of_user
from assistant.sandbox.watchdog import Floors, Over, Watchdog

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data" / "attacks.yaml"
NORMAL_USER = 54321
MEGABYTE = 1 << 20
LIMITS = Limits(
    memory=256 * MEGABYTE,
    disk=60 * MEGABYTE,
    file_size=32 * MEGABYTE,
    processes=48,
    niceness=0,  # no answer runs beside them, and a busy machine must not starve them
)
DEADLINE, GRACE = 3.0, 4.0  # seconds of a run, and from SIGINT to SIGKILL
TELLING = 5.0  # seconds in which the watchdog says why
KEPT, SEEN = 1 * MEGABYTE, 8 * MEGABYTE  # bytes of output
AT_ONCE = 3


@dataclass(frozen=True)
class Snippet:
    """One attack, as the shared file has them, and what may be switched off for it."""

    id: str
    code: str
    pass_if: str = "no_breach"
    max_seconds: float = 30
    policy: dict[str, Any] = field(default_factory=dict)
    must_succeed: bool = False


def shared_snippets() -> list[Snippet]:
    """Those of the shared file that one plain Python can run; none where it is not there."""
    if not SHARED.exists():
        return []
    found = []
    for entry in yaml.safe_load(SHARED.read_text(encoding="utf-8")):
        session_only = any(word in entry["code"] for word in ("IPython", "ipython", "jupyter"))
        if entry["side"] == "kernel" and not session_only:
            names = ("id", "code", "pass_if", "max_seconds")
            found.append(Snippet(**{name: entry[name] for name in names}))
    return found


# --- one attack ---------------------------------------------------------------------------------


@dataclass
class Run:
    """What one run did."""

    output: str = ""
    code: int | None = None
    seconds: float = 0.0
    forced: bool = False  # SIGINT was not enough
    over: Over | None = None
    memory: int = 0
    disk: int = 0
    left: int = 0


class Attacker:
    """Launches from one place that lives as long as every session."""

    def __init__(self, level: Level, python: Path, outside: World) -> None:
        self.level, self.python, self.outside = level, python, outside
        self.ended: dict[int, Over] = {}
        self.told = threading.Condition()
        self.watchdog = Watchdog(self._note, Floors(memory=0, disk=0))

    def _note(self, jailed: Jailed, limit: Over) -> None:
        with self.told:
            self.ended[id(jailed)] = limit
            self.told.notify_all()

    def attempt(self, snippet: Snippet) -> list[str]:
        """What is wrong about this snippet; nothing when all is as expected."""
        before = self.outside.facts()
        with tempfile.TemporaryDirectory(prefix="own-") as own:
            Path(own).chmod(0o755)
            work = Path(own, "work")
            work.mkdir()
            run = self.run(snippet, work)
            if snippet.pass_if == "restart_clean":
                again = Snippet("again", "import os; print('LEFT' * os.path.exists('/tmp/left'))")
                run.output = self.run(again, work).output.replace("LEFT", "BREACH")
            suid = [path for path in work.rglob("*") if path.lstat().st_mode & stat.S_ISUID]
            roots = [path for path in suid if path.lstat().st_uid == 0]
        wrong = _judge(snippet, run)
        wrong += [f"{path} is root's and setuid" for path in roots]
        wrong += ["something outside was changed"] * (self.outside.facts() != before)
        wrong += self.outside.reached()
        wrong += ["the process was ended"] * (self.outside.process.poll() is not None)
        if snippet.must_succeed:
            return [] if wrong else [f"it did not succeed: {run}"]
        return [f"{each}: {run}" for each in wrong]

    def run(self, snippet: Snippet, work: Path) -> Run:
        code = self.outside.filled(snippet.code, work.parent, self.level, self.python)
        reading, writing = os.pipe()
        what = Launch(
            argv=[str(self.python), "-B", "-c", code],
            work=work,
            python=self.python,
            readable=[self.outside.base / "readable"],
            limits=LIMITS,
            environment={"HOME": "/mnt/data", "TMPDIR": "/tmp", "PATH": "/usr/bin:/bin"},
            output=writing,
        )
        try:
            jailed = launch(self.level, what, Policy(**_policy(snippet.policy)))
        finally:
            os.close(writing)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, reading)
            stack.callback(jailed.close)
            if not snippet.must_succeed:  # it would end what no limit ends
                self.watchdog.add(jailed)
            stack.callback(self.watchdog.discard, jailed)
            run = _watched(jailed, reading, snippet)
            if run.code == 128 + signal.SIGKILL and not (run.forced or jailed.out_of_memory()):
                with self.told:  # the watchdog kills first and tells then
                    self.told.wait_for(lambda: id(jailed) in self.ended, TELLING)
            run.over = self.ended.pop(id(jailed), None)
        run.left = len(of_user(jailed.uid)) if jailed.uid is not None else len(jailed.pids())
        return run


def _policy(switched: dict[str, Any]) -> dict[str, Any]:
    given = dict(switched)
    if "namespaces" in given:
        given["namespaces"] = Policy().namespaces - set(given["namespaces"])
    return given


def _watched(jailed: Jailed, reading: int, snippet: Snippet) -> Run:
    """Until it ends, says too much, or is late; then SIGINT, then SIGKILL."""
    run, began, seen, kept = Run(), time.monotonic(), 0, b""
    timed = snippet.pass_if in ("killed_in_time", "interrupted")
    deadline = began + (DEADLINE if timed else snippet.max_seconds)
    interrupted = 0.0
    while jailed.poll() is None or select.select([reading], [], [], 0)[0]:
        now = time.monotonic()
        if not interrupted and (now > deadline or seen > SEEN):
            jailed.interrupt()
            interrupted = now
        if interrupted and now > interrupted + GRACE and jailed.poll() is None:
            run.forced = True
            jailed.kill()
        if select.select([reading], [], [], 0.05)[0]:
            chunk = os.read(reading, 65536)
            if not chunk:
                break
            seen += len(chunk)
            kept += chunk[: max(0, KEPT - len(kept))]
        if jailed.poll() is None:
            usage = jailed.usage()
            run.memory, run.disk = max(run.memory, usage.memory), max(run.disk, usage.disk)
    if jailed.poll() is None:
        with contextlib.suppress(TimeoutError):
            jailed.wait(GRACE)
    run.code, run.seconds = jailed.poll(), time.monotonic() - began
    run.output = kept.decode(errors="replace")
    return run


def _judge(snippet: Snippet, run: Run) -> list[str]:
    wrong = []
    if "BREACH" in run.output or CANARY in run.output:
        wrong.append("it worked")
    if run.left:
        wrong.append("processes are left")
    if not run.output and run.code == 0 and snippet.pass_if.startswith("no_breach"):
        wrong.append("it never ran")
    if "mem_bounded" in snippet.pass_if and run.memory > 2 * LIMITS.memory:
        wrong.append("too much memory")
    # how far it gets depends on how busy the machine is; it wants 4 GB
    if "disk_bounded" in snippet.pass_if and (run.over is not Over.DISK or run.disk > 1 << 30):
        wrong.append("too much disk")
    if snippet.pass_if == "killed_in_time" and run.code == 0:
        wrong.append("it ended by itself")
    if snippet.pass_if == "interrupted" and (run.forced or "KeyboardInterrupt" not in run.output):
        wrong.append("it was not interrupted")
    return wrong


# --- batches ------------------------------------------------------------------------------------


def batch(level: Level, python: Path, snippets: Sequence[Snippet]) -> dict[str, list[str]]:
    """id -> what is wrong. The threads live until all is done, as launching demands."""
    one_by_one = any(each.must_succeed for each in snippets)  # they change the world
    with world() as outside, ThreadPoolExecutor(1 if one_by_one else AT_ONCE) as pool:
        attacker = Attacker(level, python, outside)
        results = dict(
            zip((each.id for each in snippets), pool.map(attacker.attempt, snippets), strict=True)
        )
        attacker.watchdog.close()
    return results


def as_user(
    level: Level, snippets: Sequence[Snippet], uid: int = -1, python: Path = SYSTEM_PYTHON
) -> dict[str, list[str]]:
    """The same in a process of its own, as another user if wanted."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), level, str(uid), str(python)],
        input=json.dumps([asdict(each) for each in snippets]).encode(),
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "APP_SECRET": CANARY},
        timeout=600,
    )
    results: dict[str, list[str]] = json.loads(done.stdout)
    return results


def main(arguments: list[str]) -> None:
    level, uid, python = Level(arguments[0]), int(arguments[1]), Path(arguments[2])
    snippets = [Snippet(**entry) for entry in json.load(sys.stdin)]
    os.umask(0o022)
    if uid >= 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.chdir("/")
    json.dump(batch(level, python, snippets), sys.stdout)


if __name__ == "__main__":
    assert threading.current_thread() is threading.main_thread()
    main(sys.argv[1:])
