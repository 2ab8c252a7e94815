"""Which level holds here: found by attacking each, strongest first, when the supervisor starts.

A level counts only if every attack inside it is refused, the canaries outside are untouched, and
the kernel says that the program is what it should be. Anything else, also any error and any delay,
means the next level down. It fails closed: with nothing left the level is NONE.
"""

import json
import os
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.errors import SandboxFailed, SandboxRefused
from assistant.sandbox.canaries import Canaries, canaries
from assistant.sandbox.launch import Jailed, Launch, Limits, Policy, launch
from assistant.sandbox.level import Level
from assistant.sandbox.plan import FULL
from assistant.sandbox.probe_attacks import ATTACKS

MINIMUM = "SANDBOX_MIN_LEVEL"
UNSAFE_OPTION = "--unsafe-interpreter"
_LOST_WHEN_WEAK = {"read_a_process"}  # the banner says so
_SCRIPT = Path(__file__).with_name("probe_attacks.py")
_LIMITS = Limits(processes=24)
_PATIENCE = 300  # waits of a tenth of a second: a busy machine is no reason for a weaker level
_STEP = 0.1
_SWITCHES = (  # of kernels that keep user namespaces from normal users: name, off, on
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "10000"),
)


@dataclass(frozen=True)
class LevelReport:
    """What was found: for the page, /health and `doctor`."""

    level: Level
    tried: tuple[tuple[Level, str], ...] = ()  # the stronger ones, and why not
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        tried = [{"level": str(level), "reason": reason} for level, reason in self.tried]
        return {"level": str(self.level), "tried": tried, "seconds": round(self.seconds, 3)}


def choose(
    python: Path,
    readable: Sequence[Path] = (),
    minimum: Level = Level.WEAK,
    policy: Policy = FULL,
) -> LevelReport:
    """The strongest level that holds and is at least `minimum`; else NONE.

    `python` and `readable` as sessions will have them: what is probed is what is used.
    """
    began = time.monotonic()
    tried: list[tuple[Level, str]] = []
    for level in candidates():
        if level.rank > minimum.rank:
            tried.append((level, f"weaker than {MINIMUM}={minimum}"))
            continue
        problem = attack(level, python, readable, policy)
        if not problem:
            return LevelReport(level, tuple(tried), time.monotonic() - began)
        tried.append((level, problem))
    return LevelReport(Level.NONE, tuple(tried), time.monotonic() - began)


def examine(python: Path, environment: Mapping[str, str], *, unsafe: bool = False) -> LevelReport:
    """The level as the app takes it. With `unsafe` no level is needed, unless one is demanded."""
    demanded = environment.get(MINIMUM)
    report = choose(python, minimum=minimum_level(demanded))
    if report.level is Level.NONE and unsafe and not demanded and candidates():
        return replace(report, level=Level.UNSAFE)
    return report


def candidates() -> list[Level]:
    """Those that can exist for this user on this system; all are made of what Linux has."""
    if sys.platform != "linux":
        return []
    if os.geteuid() == 0:
        return [Level.NAMESPACES, Level.CHROOT, Level.LANDLOCK, Level.WEAK]
    return [Level.NAMESPACES, Level.CHROOT, Level.LANDLOCK_SHARED]


def minimum_level(value: str | None) -> Level:
    """What SANDBOX_MIN_LEVEL asks for; unset, the weakest that holds at all. L2 is 2."""
    text = (value or Level.WEAK).strip().lower().removeprefix("l")
    known = [level for level in Level if level is not Level.UNSAFE]
    if text not in known:
        reason = f"{MINIMUM} is {value!r}, and can be {', '.join(known)}"
        raise SandboxFailed(level=text, reason=reason)
    return Level(text)


def refusal(report: LevelReport) -> SandboxRefused:
    """What a person is told at level 0: what failed, and the one command that mends it."""
    tried = "; ".join(f"{level}: {reason}" for level, reason in report.tried)
    return SandboxRefused(tried=tried or "the sandbox needs Linux", command=mending_command())


def mending_command() -> str:
    """For this machine, or to go to one where it works."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    for name, off, on in _SWITCHES if sudo else ():
        if _sysctl(name) == off:
            return f"{sudo}sysctl -w {name}={on}"
    if sys.platform == "linux" and not shutil.which("bwrap"):
        return f"{sudo}apt-get install -y bubblewrap"
    return "docker run --rm -p 8501:8501 IMAGE"


def attack(level: Level, python: Path, readable: Sequence[Path] = (), policy: Policy = FULL) -> str:
    """Why `level` does not hold; "" when it does."""
    try:
        with canaries(python) as outside, tempfile.TemporaryDirectory(prefix="sandbox-") as base:
            Path(base).chmod(0o711)  # a session's uid has to pass
            work = Path(base, "work")
            work.mkdir(0o700)
            problems = _problems(level, python, readable, policy, outside, work)
            return "; ".join([*problems, *outside.harm()])
    except SandboxFailed as error:
        return str(error.fields["reason"])
    except (OSError, ValueError) as error:
        return str(error)


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return ""


def _problems(
    level: Level,
    python: Path,
    readable: Sequence[Path],
    policy: Policy,
    outside: Canaries,
    work: Path,
) -> list[str]:
    """What the attacks say of themselves, and the kernel of the attacker."""
    reading, writing = os.pipe()
    world = json.dumps({**outside.world(), "processes": _LIMITS.processes * 4})
    program = [str(python), "-I", "-S", "-B", "-c", _SCRIPT.read_text(encoding="utf-8"), world]
    what = Launch(program, work, python, readable, limits=_LIMITS, output=writing)
    try:
        jailed = launch(level, what, policy)
        try:
            os.close(writing)
            writing = -1
            results = json.loads(_read(reading))
            return _breaches(level, results) + _facts(jailed)
        finally:
            jailed.close()
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def _breaches(level: Level, results: dict[str, str]) -> list[str]:
    """Every attack must have been made, and refused."""
    found = []
    for each in ATTACKS:
        name, result = each.__name__, results.get(each.__name__, "not tried")
        if result != "held" and not (level is Level.WEAK and name in _LOST_WHEN_WEAK):
            found.append(f"{name.replace('_', ' ')}: {result}")
    return found


def _facts(jailed: Jailed) -> list[str]:
    """From outside: no rights, none to be had, a filter, and at level 1 namespaces of its own."""
    text = Path(f"/proc/{jailed.pid}/status").read_text(encoding="utf-8", errors="replace")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    wanted = {"NoNewPrivs": "1", "Seccomp": "2"}
    wanted |= dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0" * 16)
    found = [name for name, value in wanted.items() if fields.get(name, "").strip() != value]
    found += ["Uid"] if "0" in fields.get("Uid", "0").split() else []
    if jailed.level in (Level.NAMESPACES, Level.CHROOT):
        found += [name for name in ("mnt", "pid", "net", "ipc") if _shared(jailed.pid, name)]
    return [f"{name} is not what it should be" for name in found]


def _shared(pid: int, namespace: str) -> bool:
    """Where we may not look (root without CAP_SYS_PTRACE), the canaries alone decide."""
    try:
        theirs = Path(f"/proc/{pid}/ns/{namespace}").readlink()
    except PermissionError:
        return False
    return theirs == Path(f"/proc/self/ns/{namespace}").readlink()


def _read(pipe: int) -> bytes:
    """The one line of results; the attacker then waits to be looked at."""
    for _ in range(_PATIENCE):
        if select.select([pipe], [], [], _STEP)[0]:
            return os.read(pipe, 65536)
    raise OSError("the attacks did not end")
