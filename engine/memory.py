"""What the machine grants this process: memory and cores, under the limits of its control groups.

Both functions take the folder that holds `proc` and `sys`, so that tests can build one. Without
it (macOS) they fall back to what the system reports as a whole.
"""

import os
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def available_memory(root: Path = ROOT) -> int:
    """Bytes this process may still use: the machine's, or its control group's if that is less."""
    return max(0, min([_machine_memory(root), *_memory_left_in_groups(root)]))


def granted_cores(root: Path = ROOT) -> int:
    """Cores that can be kept busy without being throttled, at least 1."""
    return max(1, int(min([_allowed_cores(), *_core_quotas(root)])))


def format_bytes(n_bytes: int) -> str:
    """`3_500_000_000` is "3.5 GB"."""
    value, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _machine_memory(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _memory_left_in_groups(root: Path) -> list[int]:
    left = []
    for group in _groups(root, ""):
        limit, used = _number(group / "memory.max"), _number(group / "memory.current")
        if limit is not None and used is not None:
            left.append(limit - used + _reclaimable(group, "inactive_file"))
    for group in _groups(root, "memory"):
        limit = _number(group / "memory.limit_in_bytes")
        used = _number(group / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            left.append(limit - used + _reclaimable(group, "total_inactive_file"))
    return left


def _reclaimable(group: Path, name: str) -> int:
    """Cached file pages count as used, but the kernel drops them when memory is asked for."""
    for line in _lines(group / "memory.stat"):
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _core_quotas(root: Path) -> list[float]:
    quotas = []
    for group in _groups(root, ""):
        for line in _lines(group / "cpu.max"):
            quota, _, period = line.partition(" ")
            if quota != "max":
                quotas.append(int(quota) / int(period))
    for group in _groups(root, "cpu"):
        microseconds = _number(group / "cpu.cfs_quota_us")
        period_us = _number(group / "cpu.cfs_period_us")
        if microseconds is not None and microseconds > 0 and period_us:
            quotas.append(microseconds / period_us)
    return quotas


def _groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's control group and all above it; "" is version 2's tree.

    Inside a container the path may be the host's and absent here; its ancestors end at the
    mount, which then is the container's own group.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            inside = PurePosixPath(path.lstrip("/"))
            mounts = [names, controller] if controller else ["", "unified"]
            tops = [root / "sys/fs/cgroup" / mount for mount in mounts]
            return [top / folder for top in tops for folder in (inside, *inside.parents)]
    return []


def _number(path: Path) -> int | None:
    """The file's number; None if there is no such file or it says "max"."""
    lines = _lines(path)
    return None if not lines or lines[0] == "max" else int(lines[0])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
