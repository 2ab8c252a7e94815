"""What is measured: each function gives rows of the report."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

from engine.bench.guessing import lookup
from engine.bench.row import Bench, Row, Sizes
from engine.bench.timeline import Timeline, follow, greedy, run, shared_speed, unrepeated
from engine.events import Token
from engine.request import Generation

PREFIX = 1500  # tokens: a system prompt with tools, or a chat so far
QUESTION = 16
ANSWER = 8
JOINING = 2000
_ALONE = 16  # tokens that the running answer has before another joins


def prefill(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    for asked in sizes.prompts:
        length = bench.fitting(asked, 1)
        what = f"{length} tokens"
        values = bench.rounds(f"prefill, {what}", partial(prefill_speed, bench, length))
        yield Row("prefill", what, "tokens/s", values)


def prefill_speed(bench: Bench, length: int, depth: int = 0) -> float:
    """Tokens/s of reading a prompt, after so many tokens that are there already."""
    before = bench.prompt(depth)
    if before:
        run(bench.engine, [before], greedy(1))
    (line,) = run(bench.engine, [before + bench.prompt(length)], greedy(1))
    return length / line.first


def decode(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    for output in sizes.outputs:
        for count in sizes.at_once:
            yield _decode_row(bench, "decode", count, max(sizes.prompts), output)


def long_context(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    """The first context is what the others are compared with."""
    rows: list[Row] = []
    for context in sizes.contexts:
        rows.append(_decode_row(bench, "long", 1, context, max(sizes.outputs)))
        note = f"{rows[-1].median / rows[0].median:.0%} of the first" if rows[1:] else ""
        yield Row(**(vars(rows[-1]) | {"note": note}))


def _decode_row(bench: Bench, name: str, count: int, context: int, output: int) -> Row:
    length = bench.fitting(context, output)
    once = decoder(bench, count, length, output)
    what = f"{output} tokens after {length}, {count} at once"
    values = bench.rounds(f"{name}, {what}", once)
    return Row(name, what, "tokens/s", values, bench.share(statistics.median(values) / count))


def decoder(bench: Bench, count: int, length: int, output: int) -> Callable[[], float]:
    """What measures decoding, all together; the prompts are read once and cached after."""
    prompts = [bench.prompt(length) for _ in range(count)]
    params = unrepeated(output)
    return lambda: shared_speed(run(bench.engine, prompts, params))


def turns(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    """Time to the first token: cold, in a second turn, and in another chat that begins alike."""
    length = bench.fitting(PREFIX, 2 * QUESTION + ANSWER)
    bench.say(f"turns, {length} tokens before: one warm-up, then {bench.repeat} rounds")
    rounds = [_turn_round(bench, length) for _ in range(bench.repeat + 1)][1:]
    cold, *warm = zip(*rounds, strict=True)
    before = statistics.median(line.first for line in cold)
    what = f"first token after {length + QUESTION} tokens"
    yield Row("turns", f"{what}, cold", "s", tuple(line.first for line in cold))
    for name, lines in zip(("second turn", "same beginning"), warm, strict=True):
        values = tuple(line.first for line in lines)
        cached = min(line.cached_tokens for line in lines)
        note = f"{statistics.median(values) / before:.1%} of cold, {cached} tokens cached"
        yield Row("turns", f"first token, {name}", "s", values, note=note)


def _turn_round(bench: Bench, length: int) -> tuple[Timeline, Timeline, Timeline]:
    prefix = bench.prompt(length)
    first = prefix + bench.prompt(QUESTION)
    (cold,) = run(bench.engine, [first], greedy(ANSWER))
    second = [*first, *cold.ids, *bench.prompt(QUESTION)]
    (turn,) = run(bench.engine, [second], greedy(1))
    (other,) = run(bench.engine, [prefix + bench.prompt(QUESTION)], greedy(1))
    return cold, turn, other


def joining(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    """How long a running answer's next token takes while a long prompt is read beside it."""
    length = bench.fitting(JOINING, 1)
    usual: list[float] = []

    def once() -> float:
        alone, beside = _join_round(bench, length)
        usual.append(statistics.median(alone))
        return 1000 * max(beside)

    what = f"longest wait when {length} tokens join"
    values = bench.rounds(f"joining, {length} tokens", once)
    note = f"{1000 * statistics.median(usual[1:]):.0f} ms alone"
    yield Row("joining", what, "ms", values, note=note)


def _join_round(bench: Bench, length: int) -> tuple[list[float], list[float]]:
    """Seconds between the running answer's tokens, before and while the other is read."""
    engine, prompt = bench.engine, bench.prompt(64)
    most = engine.context_length - len(prompt) - 1
    running = engine.generate(prompt, unrepeated(most))
    other: list[threading.Thread] = []
    arrived, times, joined = threading.Event(), [], 0
    for event in running:
        if not isinstance(event, Token):
            continue
        times.append(time.perf_counter())
        if len(times) == _ALONE:
            joined = len(times)
            other.append(_follower(engine.generate(bench.prompt(length), greedy(1)), arrived))
        elif arrived.is_set():
            running.cancel()
    for thread in other:
        thread.join()
    gaps = [after - before for before, after in pairwise(times)]
    return gaps[: joined - 1], gaps[joined - 1 :]


def _follower(handle: Generation, arrived: threading.Event) -> threading.Thread:
    def wait() -> None:
        try:
            follow(handle, 0.0)
        finally:
            arrived.set()

    thread = threading.Thread(target=wait, name="bench")
    thread.start()
    return thread


ROWS: dict[str, Callable[[Bench, Sizes], Iterator[Row]]] = {
    "prefill": prefill,
    "decode": decode,
    "turns": turns,
    "long": long_context,
    "joining": joining,
    "lookup": lookup,
}
