"""What /proc says of a session's processes.

Everything below the process that was started belongs to the session: orphans fall to the init of
its pid namespace or to its guard, never out of the tree.
"""

from collections.abc import Iterable
from pathlib import Path

from assistant.sandbox.stage import descendants

__all__ = ["descendants", "memory", "of_user", "oldest", "tasks_of_user"]

_RESIDENT = ("RssAnon", "RssShmem", "VmSwap")


def memory(pids: Iterable[int], enough: int) -> int:
    """Bytes that are these processes' own. Exact (PSS) only where the quick sum is too much."""
    pids = list(pids)
    quick = {pid: _resident(pid) for pid in pids}
    if sum(quick.values()) <= enough:
        return sum(quick.values())
    return sum(min(quick[pid], _proportional(pid, quick[pid])) for pid in pids)


def of_user(uid: int) -> list[int]:
    """Every process that this uid owns or could become.

    Not what has ended and waits to be buried: in a container there may be nobody who ever does.
    """
    alive = ((pid, fields) for pid, fields in _statuses() if "Z" not in fields.get("State", ""))
    return [pid for pid, fields in alive if str(uid) in fields.get("Uid", "").split()]


def tasks_of_user(uid: int) -> int:
    """Processes and threads that count against RLIMIT_NPROC of this uid."""
    owned = (fields for _, fields in _statuses() if fields.get("Uid", "").split()[:1] == [str(uid)])
    return sum(int(fields.get("Threads", "1")) for fields in owned)


def oldest(pids: Iterable[int]) -> int:
    """The one that was started first."""
    return min(pids, key=_started)


def _statuses() -> Iterable[tuple[int, dict[str, str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _fields(entry / "status")):
            yield int(entry.name), fields


def _fields(path: Path) -> dict[str, str]:
    """`Name: value` lines; nothing for a process that has ended."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _kilobytes(value: str) -> int:
    return int(value.split()[0]) * 1024


def _resident(pid: int) -> int:
    fields = _fields(Path(f"/proc/{pid}/status"))
    return sum(_kilobytes(fields[name]) for name in _RESIDENT if name in fields)


def _proportional(pid: int, otherwise: int) -> int:
    """Without CAP_SYS_PTRACE another user's is unreadable; then the higher figure stands."""
    fields = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    parts = ("Pss", "SwapPss")
    return sum(_kilobytes(fields[name]) for name in parts) if "Pss" in fields else otherwise


def _started(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 1 << 62
    return int(text.rpartition(")")[2].split()[19])
