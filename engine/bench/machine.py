"""The machine a report is about, and how fast it reads memory."""

import os
import platform
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.kernels.ceiling import read_all
from engine.weights import allocate

CEILING_BYTES = 1 << 30


def read_ceiling(threads: int, repeat: int) -> list[float]:
    """Bytes per second that `threads` read together, after a warm-up."""
    memory = allocate(CEILING_BYTES)
    memory[::4096] = 1  # have real pages, not the one zero page
    part = CEILING_BYTES // threads // 256 * 256
    starts = [memory.ctypes.data + part * thread for thread in range(threads)]
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeat + 1):
            started = time.perf_counter()
            list(pool.map(lambda start: read_all(start, part), starts))
            seconds.append(time.perf_counter() - started)
    return [part * threads / each for each in seconds[1:]]


def machine_name() -> str:
    model = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"


def source_commit() -> str:
    """The commit of this source, "-dirty" if files differ from it; "" outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    run = subprocess.run(
        [git, "describe", "--always", "--dirty", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip()


def peak_resident_bytes() -> int:
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0  # not told by this system


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
