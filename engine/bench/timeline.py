"""When the tokens of requests came."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from engine.config import SamplingParams
from engine.engine import Engine
from engine.events import Finished, Token
from engine.request import Generation


@dataclass(frozen=True)
class Timeline:
    """One request: when it was made and when each of its tokens came, in seconds of one clock."""

    submitted: float
    times: tuple[float, ...]
    ids: tuple[int, ...]
    cached_tokens: int

    @property
    def first(self) -> float:
        """Seconds until the first token."""
        return self.times[0] - self.submitted

    @property
    def seconds(self) -> float:
        return self.times[-1] - self.submitted


def greedy(output: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_new_tokens=output, ignore_eos=True)


def unrepeated(output: int) -> SamplingParams:
    """Greedy, but no token twice: text that repeats itself can be guessed, and decodes faster."""
    return SamplingParams(
        temperature=0, max_new_tokens=output, ignore_eos=True, presence_penalty=100.0
    )


def run(engine: Engine, prompts: Sequence[Sequence[int]], params: SamplingParams) -> list[Timeline]:
    """All at once; each is followed by a thread of its own."""
    started = time.perf_counter()
    handles = [engine.generate(prompt, params) for prompt in prompts]
    with ThreadPoolExecutor(len(handles)) as pool:
        return list(pool.map(lambda handle: follow(handle, started), handles))


def follow(handle: Generation, submitted: float) -> Timeline:
    """Wait for the end; raises what the request failed with."""
    times, ids, cached = [], [], 0
    for event in handle:
        if isinstance(event, Token):
            times.append(time.perf_counter())
            ids.append(event.id)
        elif isinstance(event, Finished):
            if event.error is not None:
                raise event.error
            cached = event.stats.cached_tokens
    return Timeline(submitted, tuple(times), tuple(ids), cached)


def shared_speed(lines: Sequence[Timeline]) -> float:
    """Tokens/s of all together while all were being decoded; 0 if that was never so."""
    begin, end = max(line.times[0] for line in lines), min(line.times[-1] for line in lines)
    count = sum(begin < at <= end for line in lines for at in line.times)
    return count / (end - begin) if end > begin else 0.0
