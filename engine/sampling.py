"""Logits to the next token id: small filters, chained once by `make_sampler`.

The order is that of `Sampler.__call__`: penalties, temperature, top-k, top-p, min-p, draw.
A filter takes logits and gives the indices of those that stay, in order; what comes after it sees
only them. A vocabulary has 150,000 logits, so each look at all of them counts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.errors import BadLogits

Logits = NDArray[np.float32]
Indices = NDArray[np.intp]
Filter = Callable[[Logits], Indices]

_BLOCK = 512
_LEAST = np.finfo(np.float32).min  # what is not -inf


@dataclass(frozen=True)
class Sampler:
    """Chooses one id; two samplers of the same seed choose the same ids from the same logits."""

    params: SamplingParams
    filters: tuple[Filter, ...]
    vocab_size: int
    rng: np.random.Generator

    def __call__(self, logits: Logits, prompt: Sequence[int], output: Sequence[int]) -> int:
        assert logits.shape == (self.vocab_size,), logits.shape
        logits = _apply_penalties(logits, self.params, prompt, output)
        best = _best(logits)
        if self.params.temperature == 0:
            return best
        logits = apply_temperature(logits - logits[best], self.params.temperature)
        stages: list[Indices] = []
        for keep in self.filters:
            stages.append(keep(logits))
            logits = logits[stages[-1]]
        drawn = _draw(logits, self.rng)
        for indices in reversed(stages):
            drawn = int(indices[drawn])
        return drawn


def make_sampler(params: SamplingParams, vocab_size: int) -> Sampler:
    """The sampler that `params` describe, with a random stream of its own."""
    filters: list[Filter] = []
    if 0 < params.top_k < vocab_size:
        filters.append(lambda logits: keep_top_k(logits, params.top_k))
    if params.top_p < 1:
        filters.append(lambda logits: keep_top_p(logits, params.top_p))
    if params.min_p > 0:
        filters.append(lambda logits: keep_min_p(logits, params.min_p))
    # Any integer is a seed to us; numpy takes only those from 0.
    seed = None if params.seed is None else params.seed % 2**64
    return Sampler(params, tuple(filters), vocab_size, np.random.default_rng(seed))


def apply_repetition_penalty(logits: Logits, ids: Sequence[int], penalty: float) -> Logits:
    """Make every id of the history less likely (penalty above 1), however often it occurred."""
    seen = np.asarray(ids, dtype=np.int64)
    penalized = logits.copy()
    values = logits[seen]
    penalized[seen] = np.where(values > 0, values / penalty, values * penalty)
    return penalized


def apply_presence_frequency(
    logits: Logits, output: Sequence[int], presence: float, frequency: float
) -> Logits:
    """OpenAI's two penalties: once for having been generated, and again for each time."""
    seen, counts = np.unique(np.asarray(output, dtype=np.int64), return_counts=True)
    penalized = logits.copy()
    penalized[seen] -= (presence + frequency * counts).astype(np.float32)
    return penalized


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    """Divide; logits whose largest is 0 cannot overflow to more than -inf."""
    with np.errstate(over="ignore"):
        return logits / np.float32(temperature)


def keep_top_k(logits: Logits, k: int) -> Indices:
    """Keep the k largest, as far as they are possible; of equals, those with the lower id."""
    indices = np.flatnonzero(logits >= max(_floor_of_largest(logits, k), _LEAST))
    values = logits[indices]
    k = min(k, values.size)
    cutoff = np.partition(values, values.size - k)[values.size - k]
    return indices[_largest(values, cutoff, k)]


def keep_top_p(logits: Logits, p: float) -> Indices:
    """Keep the most likely, up to and including the first whose running sum reaches p."""
    best = logits.max()
    total = float(np.exp(logits - best).sum(dtype=np.float64))
    # Entries below (1 - p) / n sum to less than 1 - p, so the others hold p: sort only those.
    indices = np.flatnonzero(logits >= best + math.log(total * (1 - p) / logits.size))
    values = logits[indices]
    falling = np.sort(values)[::-1]
    last = _first_reaching(np.exp(falling - best), p * total)
    return indices[_largest(values, falling[last], last + 1)]


def keep_min_p(logits: Logits, min_p: float) -> Indices:
    """Keep what is at least `min_p` times as likely as the most likely."""
    return np.flatnonzero(logits >= logits.max() + np.float32(math.log(min_p)))


def _apply_penalties(
    logits: Logits, params: SamplingParams, prompt: Sequence[int], output: Sequence[int]
) -> Logits:
    if params.repetition_penalty != 1:
        history = [*prompt, *output]
        logits = apply_repetition_penalty(logits, history, params.repetition_penalty)
    if params.presence_penalty or params.frequency_penalty:
        logits = apply_presence_frequency(
            logits, output, params.presence_penalty, params.frequency_penalty
        )
    return logits


def _best(logits: Logits) -> int:
    """The first of the largest. NaN counts as largest in numpy, so this one look finds it."""
    best = int(np.argmax(logits))
    if not np.isfinite(logits[best]):
        wrong = np.isnan(logits) | np.isposinf(logits)
        raise BadLogits(count=np.count_nonzero(wrong) or logits.size)
    return best


def _largest(values: Logits, cutoff: np.float32, count: int) -> Indices:
    """What is above the cutoff, and of what equals it the first, until there are `count`."""
    kept = values > cutoff
    ties = np.flatnonzero(values == cutoff)
    kept[ties[: count - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)


def _floor_of_largest(logits: Logits, k: int) -> np.float32:
    """A value that at least k logits reach: the k-th largest of their blocks' maxima."""
    k = min(k, logits.size)
    starts = np.arange(0, logits.size, min(_BLOCK, logits.size // k))
    blocks = np.maximum.reduceat(logits, starts)
    return np.float32(np.partition(blocks, blocks.size - k)[blocks.size - k])


def _draw(logits: Logits, rng: np.random.Generator) -> int:
    weights = np.exp(logits - logits.max())
    ids = np.flatnonzero(weights)  # an id of weight 0 must not be drawn, whatever the rounding
    possible = weights[ids]
    target = rng.random() * float(possible.sum(dtype=np.float64))
    return int(ids[_first_reaching(possible, target)])


def _first_reaching(weights: Logits, target: float) -> int:
    """The first index at which the running sum reaches the target, else the last.

    Sums of blocks find the block, so that the slow running sum is taken over one block only.
    """
    starts = np.arange(0, weights.size, _BLOCK)
    sums = np.add.reduceat(weights, starts, dtype=np.float64)
    ends = np.cumsum(sums)
    block = min(int(np.searchsorted(ends, target)), starts.size - 1)
    inside = weights[starts[block] : starts[block] + _BLOCK]
    running = ends[block] - sums[block] + np.cumsum(inside, dtype=np.float64)
    # The two ways of summing may differ in the last bit: never step out of the block.
    index = min(int(np.searchsorted(running, target)), inside.size - 1)
    return int(starts[block]) + index
