"""Another program's command, run in turn with ours.

llama-bench's `-o json` says what it measured, and we measure the same. Of any other command a
figure is found in its output by a pattern, or only its time is taken.
"""

import json
import re
import shlex
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.bench.row import Bench
from engine.bench.rows import decoder, prefill_speed
from engine.bench.timeline import greedy, run
from engine.errors import BadSetting

_LAST = 300  # characters of a failed command's last words


@dataclass(frozen=True)
class Task:
    """So many tokens read, so many written, after so many that were there before."""

    prompt: int
    output: int
    depth: int = 0
    wall: bool = False  # the time of the whole, not a speed

    @property
    def name(self) -> str:
        read = f"prefill {self.prompt}" if self.prompt else ""
        wrote = f"decode {self.output}" if self.output else ""
        after = f" after {self.depth}" if self.depth else ""
        kind = ", wall time" if self.wall else ""
        return " + ".join(part for part in (read, wrote) if part) + after + kind


@dataclass(frozen=True)
class Pattern:
    """Where in a command's output a task's tokens/s stand: group 1, or `ms` a token."""

    task: Task
    expression: re.Pattern[str]


@dataclass(frozen=True)
class Comparison:
    """Both sides' rounds in the order they were run; a ratio above 1 means that we are faster."""

    name: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours / theirs if self.unit != "s" else theirs / ours for ours, theirs in pairs]

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)


def compare(
    bench: Bench, command: str, patterns: Sequence[Pattern], wall: Task
) -> list[Comparison]:
    """Ours, theirs, ours, theirs. A round of both before them warms up and tells the tasks."""
    bench.say(f"{command}: one warm-up, then {bench.repeat} rounds in turn with ours")
    tasks = list(_figures(command, patterns, wall))
    measures = {task: _Measure(bench, task) for task in tasks}
    for measure in measures.values():
        measure.once()
    ours: dict[Task, list[float]] = {task: [] for task in tasks}
    theirs: dict[Task, list[float]] = {task: [] for task in tasks}
    for _ in range(bench.repeat):
        for task, measure in measures.items():
            ours[task].append(measure.once())
        found = _figures(command, patterns, wall)
        for task in tasks:
            theirs[task].append(found[task])
    return [
        Comparison(task.name, "s" if task.wall else "tokens/s", tuple(ours[task]), tuple(rounds))
        for task, rounds in theirs.items()
    ]


class _Measure:
    """Our side of a task."""

    def __init__(self, bench: Bench, task: Task) -> None:
        self._bench, self._task = bench, task
        self._decode = decoder(bench, 1, max(1, task.depth), max(2, task.output))

    def once(self) -> float:
        task = self._task
        if not task.output:
            return prefill_speed(self._bench, task.prompt, task.depth)
        if not task.prompt:
            return self._decode()
        prompt = self._bench.prompt(task.prompt)
        (line,) = run(self._bench.engine, [prompt], greedy(task.output))
        return line.seconds if task.wall else (task.prompt + task.output) / line.seconds


def _figures(command: str, patterns: Sequence[Pattern], wall: Task) -> dict[Task, float]:
    started = time.perf_counter()
    output = _output(command)
    seconds = time.perf_counter() - started
    if patterns:
        return {pattern.task: _speed_in(output, pattern) for pattern in patterns}
    return llama_bench_figures(output) or {wall: seconds}


def llama_bench_figures(output: str) -> dict[Task, float]:
    """Tokens/s of each test in llama-bench's JSON; empty if this is something else."""
    try:
        tests = json.loads(output)
        return {
            Task(test["n_prompt"], test["n_gen"], test.get("n_depth", 0)): float(test["avg_ts"])
            for test in tests
        }
    except (ValueError, TypeError, KeyError):
        return {}


def _speed_in(output: str, pattern: Pattern) -> float:
    wanted = pattern.expression
    found = wanted.search(output)
    if found is None:
        raise _bad("--figure", wanted.pattern, "a pattern that is found in the command's output")
    try:
        return 1000 / float(found["ms"]) if "ms" in wanted.groupindex else float(found[1])
    except (IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise _bad("--figure", wanted.pattern, "a pattern with a number in group 1") from error


def _output(command: str) -> str:
    """What it writes, both streams; its errors only count if it fails."""
    try:
        run = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    except (OSError, ValueError) as error:
        raise _bad("--compare", command, f"a command that can be started ({error})") from error
    if run.returncode:
        last = run.stderr.strip()[-_LAST:]
        rule = f"a command that succeeds; it ended with {run.returncode}: {last}"
        raise _bad("--compare", command, rule)
    return run.stdout if llama_bench_figures(run.stdout) else run.stdout + run.stderr


def _bad(name: str, value: str, rule: str) -> BadSetting:
    return BadSetting(name=name, value=value, rule=rule)
