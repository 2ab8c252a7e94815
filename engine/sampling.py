"""Logits to the next token id: small filters, chained once by `make_sampler`.

The order is that of `Sampler.__call__`: penalties, temperature, top-k, top-p, min-p, draw.
A filter takes logits and gives new logits; what it removes becomes -inf.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.config import SamplingParams
from engine.errors import BadLogits

Logits = NDArray[np.float32]
Filter = Callable[[Logits], Logits]

_BLOCK = 512


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
        for keep in self.filters:
            logits = keep(logits)
        return _draw(logits, self.rng)


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


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Keep exactly the k largest; of equals, those with the lower id."""
    k = min(k, logits.size)
    cutoff = np.partition(logits, logits.size - k)[logits.size - k]
    return _keep_largest(logits, cutoff, k)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keep the most likely, up to and including the first whose running sum reaches p."""
    best = logits.max()
    total = float(np.exp(logits - best).sum(dtype=np.float64))
    # Entries below (1 - p) / n sum to less than 1 - p, so the others hold p: sort only those.
    floor = best + math.log(total * (1 - p) / logits.size)
    largest = np.sort(logits[logits >= floor])[::-1]
    last = _first_reaching(np.exp(largest - best), p * total)
    return _keep_largest(logits, largest[last], last + 1)


def keep_min_p(logits: Logits, min_p: float) -> Logits:
    """Keep what is at least `min_p` times as likely as the most likely."""
    floor = logits.max() + np.float32(math.log(min_p))
    return np.where(logits >= floor, logits, np.float32(-np.inf))


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


def _keep_largest(logits: Logits, cutoff: np.float32, n_kept: int) -> Logits:
    """What is above the cutoff, then what equals it in order of ids, until n_kept are kept."""
    kept = logits > cutoff
    ties = np.flatnonzero(logits == cutoff)
    kept[ties[: n_kept - np.count_nonzero(kept)]] = True
    return np.where(kept, logits, np.float32(-np.inf))


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
