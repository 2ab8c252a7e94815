"""How fast the engine is on this machine: `python -m engine.bench -m FILE`.

First the ceiling is measured: how fast the same threads read memory and do nothing else. Decoding
reads every weight once a token, so its speed has a share of that ceiling; the share counts the
bytes that the weights take in the file. Machines are noisy: each figure is the median of
`--repeat` runs after a warm-up, and only ratios within one report mean much.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import EngineOptions, SamplingParams
from engine.engine import Engine
from engine.errors import EngineError
from engine.events import Finished, GenerationStats
from engine.home import model_home
from engine.kernels.ceiling import read_all
from engine.memory import granted_cores
from engine.open import open_model_file
from engine.starter import fetch_starter
from engine.weights import allocate, file_bytes_per_step

_CEILING_BYTES = 1 << 30


@dataclass(frozen=True)
class Report:
    """Speeds in tokens/s, times in seconds, sizes in bytes."""

    machine: str
    model: str
    kernels: str
    threads: int
    prompt_tokens: int
    output_tokens: int
    concurrency: int
    read_ceiling: float  # bytes/s
    weight_bytes: int  # read for each step
    prefill: float
    decode: float  # all requests together
    decode_share_of_ceiling: float
    time_to_first_token: float
    load_seconds: float
    resident_bytes: int
    first_start_seconds: float | None
    later_start_seconds: float | None


def read_ceiling(threads: int, repeat: int) -> float:
    """Bytes per second that `threads` read together."""
    memory = allocate(_CEILING_BYTES)
    memory[::4096] = 1  # have real pages, not the one zero page
    part = _CEILING_BYTES // threads // 256 * 256
    starts = [memory.ctypes.data + part * thread for thread in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = []
        for _ in range(repeat + 1):
            started = time.perf_counter()
            list(pool.map(lambda start: read_all(start, part), starts))
            seconds.append(time.perf_counter() - started)
    return part * threads / statistics.median(seconds[1:])


def measure(path: Path, options: EngineOptions, args: argparse.Namespace) -> Report:
    """Load the model and run the benchmark's requests."""
    threads = options.threads or granted_cores()
    ceiling = read_ceiling(threads, args.repeat)
    starts = _start_seconds(path, threads) if args.start else (None, None)
    started = time.perf_counter()
    engine = Engine.load(path, options)
    load_seconds = time.perf_counter() - started
    try:
        runs = [_run(engine, args, seed) for seed in range(args.repeat + 1)][1:]
    finally:
        engine.close()
    prefill, decode, first = (statistics.median(column) for column in zip(*runs, strict=True))
    with_file = open_model_file(path)
    weight_bytes = file_bytes_per_step(with_file)
    with_file.close()
    return Report(
        machine=_machine(),
        model=f"{engine.config.name} ({path.name})",
        kernels=engine.kernels,
        threads=threads,
        prompt_tokens=args.prompt,
        output_tokens=args.output,
        concurrency=args.concurrency,
        read_ceiling=ceiling,
        weight_bytes=weight_bytes,
        prefill=prefill,
        decode=decode,
        decode_share_of_ceiling=decode / args.concurrency * weight_bytes / ceiling,
        time_to_first_token=first,
        load_seconds=load_seconds,
        resident_bytes=_peak_resident_bytes(),
        first_start_seconds=starts[0],
        later_start_seconds=starts[1],
    )


def _run(engine: Engine, args: argparse.Namespace, seed: int) -> tuple[float, float, float]:
    """One round of simultaneous requests: prefill and decode speed, time to first token."""
    rng = np.random.default_rng(seed)  # new prompts each round, so that no prefix is cached
    params = SamplingParams(temperature=0, max_new_tokens=args.output, ignore_eos=True)
    high = engine.config.vocab_size
    started = time.perf_counter()
    handles = [
        engine.generate([int(i) for i in rng.integers(0, high, args.prompt)], params)
        for _ in range(args.concurrency)
    ]
    stats = [_wait(handle) for handle in handles]
    seconds = time.perf_counter() - started
    reading = max(one.time_to_first_token for one in stats)
    outputs = sum(one.output_tokens - 1 for one in stats)
    prefill = args.prompt * args.concurrency / reading
    decode = outputs / (seconds - reading) if outputs else 0.0
    return prefill, decode, reading


def _wait(handle: Any) -> GenerationStats:
    for event in handle:
        if isinstance(event, Finished):
            if event.error is not None:
                raise event.error
            return event.stats
    raise AssertionError("a generation ends with Finished")


def _start_seconds(path: Path, threads: int) -> tuple[float, float]:
    """A new process until the engine is ready: with no compiled kernels, then with them."""
    with tempfile.TemporaryDirectory() as cache:
        return _one_start(path, threads, cache), _one_start(path, threads, cache)


def _one_start(path: Path, threads: int, cache: str) -> float:
    command = [sys.executable, "-m", "engine.bench", "--load-only", "-m", str(path)]
    command += ["--threads", str(threads), "--kernel-cache", cache]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def _peak_resident_bytes() -> int:
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0  # not told by this system


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.bench", description=__doc__)
    parser.add_argument("-m", "--model", type=Path, help="model file (default: the starter)")
    parser.add_argument("--prompt", type=int, default=512, help="prompt tokens")
    parser.add_argument("--output", type=int, default=128, help="output tokens")
    parser.add_argument("--concurrency", type=int, default=1, help="requests at once")
    parser.add_argument("--repeat", type=int, default=3, help="rounds after the warm-up")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--kernels", default="auto", help="auto, or a variant to force")
    parser.add_argument("--start", action="store_true", help="also time a first and a later start")
    parser.add_argument("--kernel-cache", type=Path, help="folder of compiled kernels")
    parser.add_argument("--load-only", action="store_true", help="load the model and leave")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    try:
        path = args.model or fetch_starter(model_home())
        cache = args.kernel_cache or model_home() / "kernels"
        options = EngineOptions(threads=args.threads, kernels=args.kernels, kernel_cache=cache)
        if args.load_only:
            Engine.load(path, options).close()
            return 0
        report = measure(path, options, args)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=2) if args.json else _table(report))
    return 0


def _table(report: Report) -> str:
    rows = [
        ("machine", report.machine),
        ("model", report.model),
        ("kernels", f"{report.kernels}, {report.threads} threads"),
        ("memory-read ceiling", f"{report.read_ceiling / 1e9:.1f} GB/s"),
        ("prefill", f"{report.prefill:.1f} tokens/s ({report.prompt_tokens} tokens)"),
        ("decode", f"{report.decode:.2f} tokens/s ({report.output_tokens} tokens, "
         f"{report.concurrency} at once), {report.decode_share_of_ceiling:.0%} of the ceiling"),
        ("time to first token", f"{report.time_to_first_token:.2f} s"),
        ("load", f"{report.load_seconds:.2f} s"),
        ("peak resident memory", f"{report.resident_bytes / 1e6:.0f} MB"),
    ]  # fmt: skip
    if report.first_start_seconds is not None:
        rows.append(("first start", f"{report.first_start_seconds:.1f} s"))
        rows.append(("later start", f"{report.later_start_seconds:.1f} s"))
    return "\n".join(f"{name:>22}  {value}" for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
