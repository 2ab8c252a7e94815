"""What sessions cost, and what they cost an answer: `python -m tests.sandbox_speed --model FILE`.

The start of a session to the end of its first run, with a kernel that waits and without; a plain
run's round trip; and greedy decoding beside sessions that do `while True: pass`, in turn with
decoding alone, so that both meet the same noise. Medians, with the spread.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from assistant.coderunner import CodeResult
from assistant.sandbox.session import Session
from assistant.sandbox.sessions import Sessions
from assistant.sandbox.settings import SandboxSettings
from engine import Engine, EngineOptions, Finished, SamplingParams, model_home

NEVER = threading.Event()
BUSY = "print('busy', flush=True)\nwhile True: pass"
PROMPT = "Write a Python function that adds two numbers."


@contextmanager
def opened(home: Path, settings: SandboxSettings) -> Iterator[Sessions]:
    sessions = Sessions(home, settings, environment_home=model_home())
    try:
        yield sessions
    finally:
        sessions.close()


def run(session: Session, code: str) -> CodeResult:
    return session.run(code, NEVER, lambda _: None)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def told(name: str, values: Sequence[float], unit: str, scale: float = 1) -> None:
    low, middle, high = (scale * f(values) for f in (min, statistics.median, max))
    sys.stdout.write(f"{name}: {middle:.1f} {unit} ({low:.1f} to {high:.1f}, n={len(values)})\n")
    sys.stdout.flush()


def starts(home: Path, rounds: int, *, pool: int) -> list[float]:
    """From asking for a session to the end of its first run."""
    with opened(home, SandboxSettings(pool=pool, refill_seconds=0)) as sessions:
        sessions.start()
        found = []
        for number in range(rounds):
            if pool:
                sessions.wait_for_pool()
            session = sessions.session(f"s{number}")
            found.append(seconds(partial(run, session, "1+1")))
            session.close()
        return found


def round_trips(home: Path, rounds: int) -> list[float]:
    with opened(home, SandboxSettings(pool=0)) as sessions:
        session = sessions.session("s")
        run(session, "1+1")
        return [seconds(partial(run, session, "1+1")) for _ in range(rounds)]


@contextmanager
def busy(sessions: Sequence[Session]) -> Iterator[None]:
    """While they all do nothing as fast as they can."""
    stop, running = threading.Event(), threading.Semaphore(0)

    def work(session: Session) -> None:
        session.run(BUSY, stop, lambda outputs: running.release() if outputs else None)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for _ in threads:
        running.acquire()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def tokens_per_second(engine: Engine, n_tokens: int) -> float:
    params = SamplingParams(temperature=0, max_new_tokens=n_tokens, ignore_eos=True)
    prompt = engine.tokenizer.encode(PROMPT)
    began = 0.0
    for event in engine.generate(prompt, params):
        began = began or time.perf_counter()  # the prompt is read
        if isinstance(event, Finished):
            return (event.stats.output_tokens - 1) / (time.perf_counter() - began)
    raise AssertionError("a generation ends with Finished")


def beside(engine: Engine, home: Path, rounds: int, n_sessions: int) -> None:
    with opened(home, SandboxSettings(pool=0, run_seconds=600)) as all_of_them:
        sessions = [all_of_them.session(f"s{number}") for number in range(n_sessions)]
        for session in sessions:
            run(session, "1+1")
        alone, together = [], []
        tokens_per_second(engine, 128)
        for _ in range(rounds):
            alone.append(tokens_per_second(engine, 128))
            with busy(sessions):
                together.append(tokens_per_second(engine, 128))
    lost = [1 - one / other for one, other in zip(together, alone, strict=True)]
    told(f"decoding, before each of {rounds} rounds", alone, "tokens/s")
    told(f"decoding beside {n_sessions} busy", together, "tokens/s")
    told(f"lost to {n_sessions} busy", lost, "%", 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="without it the decoding is left out")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        told("first run, a kernel waits", starts(home / "1", arguments.rounds, pool=1), "ms", 1000)
        told("first run, none waits", starts(home / "2", arguments.rounds, pool=0), "ms", 1000)
        told("1+1", round_trips(home / "3", 100), "ms", 1000)
        if arguments.model:
            options = EngineOptions(kernel_cache=model_home() / "kernels")
            engine = Engine.load(arguments.model, options)
            beside(engine, home / "4", arguments.rounds, 1)
            beside(engine, home / "5", arguments.rounds, 4)
            engine.close()


if __name__ == "__main__":
    main()
