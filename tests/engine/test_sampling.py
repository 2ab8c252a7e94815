"""The sampler: each filter against numbers worked out by hand, the chain against a naive twin."""

import math
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SamplingParams
from engine.errors import BadLogits
from engine.sampling import (
    Logits,
    apply_presence_frequency,
    apply_repetition_penalty,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    make_sampler,
)

VOCABULARY = 151_936


def _logits(*values: float) -> Logits:
    return np.array(values, dtype=np.float32)


def _of_probabilities(*values: float) -> Logits:
    return np.log(np.array(values, dtype=np.float64)).astype(np.float32)


def _naive_kept(logits: Logits, params: SamplingParams) -> list[int]:
    """The ids that may be drawn: plain Python, one full sort, sums in the order of the sort."""
    scaled = [float(x) / params.temperature for x in logits]
    order = sorted(range(len(scaled)), key=lambda i: (-scaled[i], i))
    order = [i for i in order if scaled[i] > -math.inf]
    if params.top_k:
        order = order[: params.top_k]
    weights = [math.exp(scaled[i] - scaled[order[0]]) for i in order]
    running, kept = 0.0, []
    for i, weight in zip(order, weights, strict=True):
        kept.append((i, weight))
        running += weight
        if running >= params.top_p * sum(weights):
            break
    return sorted(i for i, weight in kept if weight >= params.min_p)


def _drawn(params: SamplingParams, logits: Logits, times: int) -> Counter[int]:
    sample = make_sampler(params, logits.size)
    return Counter(sample(logits, [], []) for _ in range(times))


def test_the_published_repetition_example_comes_out_exactly() -> None:
    logits = _logits(0.96, 1.2, -2, -0.8, 0, 2.4, -1)
    penalized = apply_repetition_penalty(logits, [0, 2, 5, 2], 1.2)
    np.testing.assert_allclose(penalized, [0.8, 1.2, -2.4, -0.8, 0, 2, -1], rtol=1e-6)


def test_presence_counts_an_id_once_and_frequency_counts_each_time() -> None:
    penalized = apply_presence_frequency(_logits(5, 5, 5), [1, 2, 1], 1.0, 0.5)
    assert penalized.tolist() == [5.0, 3.0, 3.5]


def test_presence_and_frequency_look_at_the_answer_and_repetition_also_at_the_prompt() -> None:
    logits = _logits(3.0, 2.9)
    presence = make_sampler(SamplingParams(temperature=0, presence_penalty=1.0), 2)
    assert presence(logits, [0], []) == 0
    assert presence(logits, [], [0]) == 1
    repetition = make_sampler(SamplingParams(temperature=0, repetition_penalty=1.5), 2)
    assert repetition(logits, [0], []) == 1
    assert repetition(logits, [], [0]) == 1


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(top_k=3, min_p=0.1),
        SamplingParams(repetition_penalty=1.3),
        SamplingParams(presence_penalty=1),
        SamplingParams(frequency_penalty=1),
    ],
)
def test_a_sampler_leaves_the_callers_logits_alone(params: SamplingParams) -> None:
    logits = _logits(1, 2, 3, 4)
    make_sampler(params, 4)(logits, [0, 1], [2, 3])
    assert logits.tolist() == [1, 2, 3, 4]


def test_temperature_zero_takes_the_first_of_the_largest() -> None:
    assert make_sampler(SamplingParams(temperature=0), 4)(_logits(1, 7, 7, 2), [], []) == 1


def test_a_tiny_temperature_is_greedy_and_does_not_overflow() -> None:
    params = SamplingParams(temperature=1e-30, top_p=1.0)
    assert _drawn(params, _logits(-900, 1e30, 3e38, 0), 20) == {2: 20}


def test_top_p_keeps_up_to_and_including_the_entry_that_reaches_it() -> None:
    logits = _of_probabilities(0.125, 0.5, 0.25, 0.125)
    assert keep_top_p(logits, 0.74).tolist() == [1, 2]
    assert keep_top_p(logits, 0.76).tolist() == [0, 1, 2]
    assert keep_top_p(logits, 0.01).tolist() == [1]


def test_top_p_keeps_equals_in_the_order_of_their_ids() -> None:
    assert keep_top_p(_logits(0, 0, 0, 0), 0.5).tolist() == [0, 1]


def test_top_k_keeps_exactly_k_even_among_equals() -> None:
    assert keep_top_k(_logits(1, 9, 5, 5, 5), 3).tolist() == [1, 2, 3]
    assert keep_top_k(_logits(1, 2), 5).tolist() == [0, 1]


def test_top_k_keeps_nothing_that_is_impossible() -> None:
    assert keep_top_k(_logits(-np.inf, 1, -np.inf), 2).tolist() == [1]


def test_min_p_is_relative_to_the_most_likely() -> None:
    assert keep_min_p(_of_probabilities(0.6, 0.31, 0.05, 0.04), 0.5).tolist() == [0, 1]


def test_top_p_counts_only_what_top_k_left() -> None:
    # Of 0.4 + 0.3, the first alone holds 0.57: enough for 0.55, though not of the whole.
    logits = _of_probabilities(0.4, 0.3, 0.2, 0.1)
    params = SamplingParams(temperature=1, top_k=2, top_p=0.55)
    assert set(_drawn(params, logits, 200)) == {0}


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(2, 3000),
    spread=st.integers(0, 8),
    masked=st.floats(0.0, 0.9),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_k=st.just(0) | st.integers(1, 60),
    top_p=st.floats(0.05, 0.97),
    min_p=st.floats(0.0, 0.5),
)
def test_the_chain_keeps_what_a_full_sort_keeps(
    seed: int,
    size: int,
    spread: int,
    masked: float,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
) -> None:
    rng = np.random.default_rng(seed)
    # Quarters are exact in both, and make for many equals.
    logits = (np.round(rng.standard_normal(size) * spread * 4) / 4).astype(np.float32)
    logits[rng.random(size) < masked] = -np.inf
    logits[0] = 1.0
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    scaled = (logits - logits.max()) / np.float32(temperature)
    kept = np.arange(size)
    for keep in make_sampler(params, size).filters:
        kept = kept[keep(scaled[kept])]
    # A running sum that all but equals top_p may be rounded to either side: one entry more or less.
    assert len({*kept.tolist()} ^ {*_naive_kept(logits, params)}) <= 1


def test_draws_follow_the_probabilities() -> None:
    logits = np.full(5000, -np.inf, dtype=np.float32)
    logits[[3, 700, 4999]] = _of_probabilities(0.2, 0.5, 0.3)
    counts = _drawn(SamplingParams(temperature=1, top_p=1.0, seed=1), logits, 4000)
    assert set(counts) == {3, 700, 4999}
    # Six standard deviations of 4000 draws are below 0.05.
    assert counts[3] / 4000 == pytest.approx(0.2, abs=0.05)
    assert counts[700] / 4000 == pytest.approx(0.5, abs=0.05)


def test_draws_reach_every_part_of_a_flat_vocabulary_alike() -> None:
    logits = np.zeros(5000, dtype=np.float32)
    counts = _drawn(SamplingParams(temperature=1, top_p=1.0, seed=1), logits, 4000)
    tenths = Counter(token_id // 500 for token_id in counts.elements())
    # 400 expected in each; 120 are six standard deviations.
    assert all(abs(tenths[tenth] - 400) < 120 for tenth in range(10))
    assert max(counts.values()) < 15


def _draw_many(seed: int | None) -> list[int]:
    sample = make_sampler(SamplingParams(top_p=1.0, seed=seed), 1000)
    return [sample(np.zeros(1000, dtype=np.float32), [], []) for _ in range(20)]


@pytest.mark.parametrize("seed", [0, 7, -1, 2**70])
def test_the_same_seed_draws_the_same(seed: int) -> None:
    assert _draw_many(seed) == _draw_many(seed)


def test_other_seeds_and_no_seed_draw_differently() -> None:
    drawn = [_draw_many(1), _draw_many(2), _draw_many(None), _draw_many(None)]
    assert len({tuple(ids) for ids in drawn}) == 4


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([1.0, math.nan, 2.0, math.nan], 2),
        ([1.0, math.inf, 2.0, 0.0], 1),
        ([-math.inf] * 4, 4),
    ],
)
def test_logits_that_are_not_numbers_are_refused(
    temperature: float, values: Sequence[float], count: int
) -> None:
    sample = make_sampler(SamplingParams(temperature=temperature), 4)
    with pytest.raises(BadLogits, match=f"produced {count} values"):
        sample(_logits(*values), [], [])


def test_minus_infinity_is_never_drawn() -> None:
    logits = _logits(-math.inf, 0, -math.inf, 0)
    assert set(_drawn(SamplingParams(temperature=2, top_p=1.0), logits, 200)) == {1, 3}


def test_a_large_vocabulary_is_sampled_without_delay() -> None:
    logits = np.random.default_rng(0).standard_normal(VOCABULARY).astype(np.float32) * 3
    sample = make_sampler(SamplingParams(temperature=0.8, top_p=0.8), VOCABULARY)
    took = []
    for _ in range(20):
        start = time.perf_counter()
        sample(logits, [], [])
        took.append(time.perf_counter() - start)
    # About 1 ms on an idle machine; a full argsort takes ten times as much.
    assert min(took) < 0.005
