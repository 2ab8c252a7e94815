"""The command `python -m engine.bench`."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import engine.bench
from engine.bar import byte_bar
from engine.bench.machine import machine_name, peak_resident_bytes, read_ceiling, source_commit
from engine.bench.peer import Comparison, Pattern, Task, compare
from engine.bench.report import Report, ServerReport, as_json, as_text
from engine.bench.row import Bench, Row, Sizes
from engine.bench.rows import ROWS
from engine.bench.server import Server, measure
from engine.config import KV_TYPES, EngineOptions
from engine.engine import Engine
from engine.errors import BadSetting, EngineError
from engine.home import model_home
from engine.open import open_model_file
from engine.random_model import RANDOM_TYPES, SHAPES, make_random
from engine.starter import fetch_starter
from engine.threads import asked_threads, tuned_threads
from engine.weights import file_bytes_per_step

_SHORT = ("prefill", "decode")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _arguments(arguments)
    try:
        if args.make_random:
            return _make_random(args)
        report = _measure_server(args) if args.server else _measure_model(args)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if report is not None:
        print(as_json(report) if args.json else as_text(report))
    return 0


def _measure_model(args: argparse.Namespace) -> Report | None:
    """None if it was only to be loaded."""
    path, options = args.model or fetch_starter(model_home()), _options(args)
    if args.load_only:
        Engine.load(path, options).close()
        return None
    return _measure(path, options, args)


def _options(args: argparse.Namespace) -> EngineOptions:
    """With the threads decided, as the ceiling is measured with the same ones."""
    cache = args.kernel_cache or model_home() / "kernels"
    asked = args.threads or asked_threads(os.environ)
    options = EngineOptions(
        threads=asked, kernels=args.kernels, kernel_cache=cache, kv_type=args.kv_type
    )
    return replace(options, threads=asked or tuned_threads(cache))


def _measure(path: Path, options: EngineOptions, args: argparse.Namespace) -> Report:
    _say(f"read ceiling, {options.threads} threads: one warm-up, then {args.repeat} rounds")
    ceiling = Row("ceiling", "memory read", "GB/s", _ceiling(options.threads, args.repeat))
    rows = [ceiling, *(_start_rows(path, options.threads) if args.start else ())]
    with_file = open_model_file(path)
    weight_bytes = file_bytes_per_step(with_file)
    with_file.close()
    started = time.perf_counter()
    loaded = Engine.load(path, options)
    rows.append(Row("load", "until ready", "s", (time.perf_counter() - started,)))
    try:
        bench = Bench(loaded, args.repeat, ceiling.median * 1e9, weight_bytes, _say)
        sizes = Sizes(args.prompt, args.output, args.concurrency, args.contexts)
        for name in args.rows:
            rows += ROWS[name](bench, sizes)
        comparisons = [each for command in args.compare for each in _compare(bench, command, args)]
    finally:
        loaded.close()
    return Report(
        machine=machine_name(),
        commit=source_commit(),
        model=f"{loaded.config.name} ({path.name})",
        kernels=loaded.kernels,
        threads=loaded.threads,
        repeat=args.repeat,
        weight_bytes=weight_bytes,
        resident_bytes=peak_resident_bytes(),
        rows=tuple(rows),
        comparisons=tuple(comparisons),
    )


def _measure_server(args: argparse.Namespace) -> ServerReport:
    server = Server(args.server)
    rows = measure(server, max(args.prompt), max(args.output), args.repeat, _say)
    return ServerReport(machine_name(), server.url, server.model, args.repeat, tuple(rows))


def _ceiling(threads: int, repeat: int) -> tuple[float, ...]:
    return tuple(speed / 1e9 for speed in read_ceiling(threads, repeat))


def _compare(bench: Bench, command: str, args: argparse.Namespace) -> list[Comparison]:
    prompt, output = max(args.prompt), max(args.output)
    tasks = {"prefill": Task(prompt, 0), "decode": Task(0, output, prompt)}
    patterns = [Pattern(tasks[name], expression) for name, expression in args.figure]
    return compare(bench, command, patterns, Task(prompt, output, wall=True))


def _start_rows(path: Path, threads: int) -> Iterator[Row]:
    """A new process until the engine is ready: with no compiled kernels, then with them."""
    with tempfile.TemporaryDirectory() as cache:
        for what in ("first start, compiling", "later start"):
            _say(f"{what}, in a process of its own")
            yield Row("start", what, "s", (_one_start(path, threads, cache),))


def _one_start(path: Path, threads: int, cache: str) -> float:
    command = [sys.executable, "-m", "engine.bench", "--load-only", "-m", str(path.absolute())]
    command += ["--threads", str(threads), "--kernel-cache", cache]
    started = time.perf_counter()
    run = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    if run.returncode:
        raise BadSetting(name="--start", value=str(path), rule="a model that can be loaded")
    return time.perf_counter() - started


def _make_random(args: argparse.Namespace) -> int:
    shape, console = SHAPES[args.make_random], Console(stderr=True)
    with byte_bar(console, "Writing") as update:
        make_random(shape, args.type, args.out, force=args.force, listener=update)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engine.bench",
        description=engine.bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(parser)
    _add_how(parser)
    _add_random(parser)
    args = parser.parse_args(arguments)
    if args.make_random and args.out is None:
        parser.error("--make-random wants -o FILE")
    if args.rows is None:
        args.rows = list(ROWS) if args.all else [] if args.compare else list(_SHORT)
    args.prompt = args.prompt or ([16, 64, 512] if args.all else [512])
    args.concurrency = args.concurrency or ([1, 4, 8] if args.all else [1])
    return args


def _add_what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-m", "--model", type=Path, help="model file (default: the starter)")
    add("--rows", type=_names, metavar="NAMES", help=f"of {','.join(ROWS)} (default: two)")
    add("--all", action="store_true", help="all rows, several prompts, several at once")
    add("--prompt", type=_counts(1), metavar="N,...", help="prompt tokens (default: 512)")
    add("--output", type=_counts(2), default=[128], metavar="N,...", help="default: 128")
    add("--concurrency", type=_counts(1), metavar="N,...", help="requests at once (default: 1)")
    add("--contexts", type=_counts(1), default=[500, 8000], metavar="N,...", help="of row long")
    add("--server", metavar="URL", help="stream from a server, and ask it meanwhile")
    add("--start", action="store_true", help="also time a first and a later start")
    add("--compare", action="append", default=[], metavar="COMMAND", help="run in turn with ours")
    add("--figure", action="append", default=[], type=_figure, metavar="NAME=REGEX",
        help="of --compare's output: prefill or decode, group 1 is tokens/s, (?P<ms>...) a token's "
        "milliseconds")  # fmt: skip


def _add_how(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--repeat", type=_positive, default=3, metavar="N", help="rounds after the warm-up")
    add("--threads", type=int, default=0, metavar="N", help="default: measured once")
    add("--kernels", default="auto", help="auto, or a variant to force")
    add(
        "--kv-type",
        choices=KV_TYPES,
        default=EngineOptions.kv_type,
        help="of cached keys and values",
    )
    add("--kernel-cache", type=Path, help="folder of compiled kernels")
    add("--load-only", action="store_true", help="load the model and leave")
    add("--json", action="store_true", help="print the report as JSON")


def _add_random(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--make-random", choices=SHAPES, help="write a model file of random weights instead")
    add("-t", "--type", choices=RANDOM_TYPES, default="q4_0", help="default: q4_0")
    add("-o", "--out", type=Path, metavar="FILE", help="FILE.bin (chatglm.cpp) or FILE.gguf")
    add("--force", action="store_true", help="replace an existing file")


def _counts(least: int) -> Callable[[str], list[int]]:
    def numbers(text: str) -> list[int]:
        counts = [int(part) for part in text.split(",")]
        if min(counts) < least:
            raise argparse.ArgumentTypeError(f"each must be {least} or more")
        return counts

    return numbers


def _positive(text: str) -> int:
    (count,) = _counts(1)(text)
    return count


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(ROWS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(ROWS)}")
    return names


def _figure(text: str) -> tuple[str, re.Pattern[str]]:
    name, _, expression = text.partition("=")
    if name not in _SHORT:
        raise argparse.ArgumentTypeError("begin with prefill= or decode=")
    try:
        return name, re.compile(expression)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{expression}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
