"""How many threads to run: measured at the first start on a machine, remembered after.

Decoding is bound by how fast memory is read and prefill by arithmetic, so both are timed at a few
counts. More threads win unless fewer are clearly faster, as where granted cores share one core.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llvmlite import binding

from engine.errors import BadSetting
from engine.kernels.ceiling import read_all
from engine.memory import available_memory, granted_cores
from engine.weights import allocate

log = logging.getLogger(__name__)

VARIABLE = "ASSISTANT_THREADS"

_READ_BYTES = 1 << 28  # no cache holds it
_NEAR_BYTES = 1 << 18  # the second cache does, and a read outweighs the call
_NEAR_ROUNDS = 1000
_ROUNDS = 3  # the best counts: whatever else runs on the machine only slows down
_CLEARLY = 1.05

Measure = Callable[[int], float]  # speed at a count of threads


def asked_threads(environment: Mapping[str, str]) -> int:
    """What ASSISTANT_THREADS says; 0, which leaves it to us, if it is not set."""
    value = environment.get(VARIABLE, "").strip()
    if not value:
        return 0
    if not value.isascii() or not value.isdigit():
        raise BadSetting(name=VARIABLE, value=value, rule="a whole number; 0 lets us choose")
    return int(value)


def tuned_threads(cache_folder: Path | None, measure: Measure | None = None) -> int:
    """The best count for this machine, from `cache_folder` where it was measured before.

    Without a folder nothing is measured, as it would be again at every start.
    """
    granted = granted_cores()
    if granted == 1 or cache_folder is None:
        return granted
    path = cache_folder / f"threads-{_machine_key(granted)}"
    known = _read(path, granted)
    if known:
        return known
    started = time.perf_counter()
    best = _best_of(_candidates(granted), measure or _measured())
    log.info(
        "%d of %d granted cores are fastest (measured in %.1f s); %s or --threads overrides",
        best,
        granted,
        time.perf_counter() - started,
        VARIABLE,
    )
    _keep(path, best)
    return best


def _machine_key(granted: int) -> str:
    name = f"{binding.get_host_cpu_name()} {os.cpu_count()} {granted}"
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _read(path: Path, granted: int) -> int:
    """The count in the file; 0 if there is none that can be."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() and 1 <= int(text) <= granted else 0


def _keep(path: Path, threads: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f"{threads}\n", encoding="ascii")
        part.replace(path)
    except OSError as error:  # it is measured again next time
        log.warning("%s: %s", path, error)


def _candidates(granted: int) -> list[int]:
    """The most first."""
    return sorted({granted, granted - 1, max(1, granted // 2)}, reverse=True)


def _best_of(candidates: list[int], measure: Measure) -> int:
    """The most threads unless fewer are clearly faster."""
    speeds = dict.fromkeys(candidates, 0.0)
    for _ in range(_ROUNDS):
        for threads in candidates:
            speeds[threads] = max(speeds[threads], measure(threads))
    best = candidates[0]
    for threads in candidates[1:]:
        if speeds[threads] > _CLEARLY * speeds[best]:
            best = threads
    return best


def _measured() -> Measure:
    """Reading from memory and from the second cache: bytes/s, multiplied."""
    size = min(_READ_BYTES, available_memory() // 8) // 256 * 256
    memory = allocate(size)
    memory[::4096] = 1  # have real pages, not the one zero page
    read_all(memory.ctypes.data, 256)  # compile

    def measure(threads: int) -> float:
        part = size // threads // 256 * 256
        starts = [memory.ctypes.data + part * thread for thread in range(threads)]
        near = min(part, _NEAR_BYTES)
        with ThreadPoolExecutor(threads) as pool:
            far_speed = sum(pool.map(lambda start: _speed(start, part, 1), starts))
            near_speed = sum(pool.map(lambda start: _speed(start, near, _NEAR_ROUNDS), starts))
        return far_speed * near_speed

    return measure


def _speed(address: int, size: int, rounds: int) -> float:
    """Bytes that this thread reads in a second of its own time.

    Its own, as other programs' share of a core today says nothing about tomorrow.
    """
    started = time.thread_time()
    for _ in range(rounds):
        read_all(address, size)
    return size * rounds / max(time.thread_time() - started, 1e-9)
