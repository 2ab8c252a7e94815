"""What a session sees of the file system at levels 1 and 1c, as steps in order.

An empty read-only root; the Python it needs, read-only; /proc and /dev of its own, with everything
about the machine covered; /tmp, /dev/shm and /mnt/data, which alone can be written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.sandbox.interpreter import configuration_files, folders_of, system_folders
from assistant.sandbox.plan import TMP, WORK, Launch, Policy

STAGE = "/run/ro/stage.py"
_SCRIPT = Path(__file__).with_name("stage.py")
_USERS = "root:x:0:0::/:/bin/sh\nuser:x:{uid}:{uid}::/mnt/data:/bin/sh\n"
_GROUPS = "root:x:0:\nuser:x:{uid}:\n"
# Files and folders of /proc that tell of, or reach, the machine below.
_SECRET_FILES = (
    *("kallsyms", "keys", "key-users", "timer_list", "config.gz", "cmdline", "iomem", "ioports"),
    *("slabinfo", "vmallocinfo", "kpagecount", "kpageflags", "kpagecgroup", "mtrr", "interrupts"),
    *("diskstats", "partitions", "crypto", "locks", "modules", "sched_debug", "kcore"),
    *("sysrq-trigger", "version_signature", "pagetypeinfo", "latency_stats"),
)
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the session's own, made here
_SECRET_FOLDERS = ("acpi", "fs", "driver", "tty", "irq", "bus", "scsi", "asound")


@dataclass(frozen=True)
class Step:
    """`kind` is dir, bind, ro, tmpfs, link, data, proc, dev or seal (make read-only)."""

    kind: str
    target: str
    source: str = ""
    size: int = 0
    mode: int = 0o755


def steps(what: Launch, policy: Policy, uid: int, *, proc: bool = True) -> list[Step]:
    """Everything to do, parents first; `uid` is who the session is inside."""
    if not policy.paths:
        return [Step("bind", "/", "/"), *_devices(what, policy)]
    found = [*_system(), *_data(uid), *_proc(policy, proc=proc), *_devices(what, policy)]
    found.append(Step("tmpfs", str(TMP), size=what.limits.tmp, mode=0o1777))
    kind = "ro" if policy.read_only else "bind"
    found += _shown([*folders_of(what.python), *what.readable], found, kind)
    found += [*_parents([str(WORK)]), *_stage(), Step("bind", str(WORK), str(what.work))]
    if policy.read_only:
        found += [Step("seal", "/proc")] * proc + [Step("seal", "/")]
    return found


def _stage() -> list[Step]:
    return [
        *_parents([STAGE]),
        Step("data", STAGE, _SCRIPT.read_text(encoding="utf-8"), mode=0o444),
    ]


def _system() -> Iterator[Step]:
    for path in system_folders():
        if path.is_symlink():
            yield Step("link", str(path), str(path.readlink()))
        else:
            yield from _parents([str(path)])
            yield Step("ro", str(path), str(path))
    for path in configuration_files():
        yield from _parents([str(path)])
        yield Step("ro", str(path), str(path))


def _data(uid: int) -> Iterator[Step]:
    yield Step("data", "/etc/passwd", _USERS.format(uid=uid), mode=0o444)
    yield Step("data", "/etc/group", _GROUPS.format(uid=uid), mode=0o444)


def _proc(policy: Policy, *, proc: bool) -> Iterator[Step]:
    if not proc:
        yield Step("tmpfs", "/proc", size=4096)
        yield Step("seal", "/proc")
        return
    yield Step("proc", "/proc")
    if not policy.read_only:
        return
    yield Step("ro", "/proc/sys", "/proc/sys")
    for name in _SECRET_FILES:
        if Path("/proc", name).exists():
            yield Step("ro", f"/proc/{name}", "/dev/null")
    for name in _SECRET_FOLDERS:
        if Path("/proc", name).is_dir():
            yield Step("tmpfs", f"/proc/{name}", size=4096)
            yield Step("seal", f"/proc/{name}")


def _devices(what: Launch, policy: Policy) -> Iterator[Step]:
    yield Step("dev", "/dev")
    yield Step("tmpfs", _SHARED_MEMORY, size=what.limits.shared_memory, mode=0o1777)
    if policy.read_only:
        yield Step("seal", "/dev")


def _shown(paths: Iterable[Path], before: list[Step], kind: str) -> list[Step]:
    """Those that are not there already, below something that is."""
    shown = [Path(step.target) for step in before if step.kind == "ro"]
    found: list[Step] = []
    for path in dict.fromkeys(paths):
        if any(path.is_relative_to(seen) for seen in shown):
            continue
        shown.append(path)
        found += [*_parents([str(path)]), Step(kind, str(path), str(path))]
    return found


def _parents(targets: Iterable[str]) -> Iterator[Step]:
    """bwrap would make them for the owner alone."""
    for target in targets:
        for parent in reversed(Path(target).parents[:-1]):
            yield Step("dir", str(parent))
