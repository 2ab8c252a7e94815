"""Every row's slices are done once, by whichever units, and shared sums are nobody else's."""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.kernels.attention import (
    BY_TOKEN,
    COUNTER,
    END,
    FINISHED,
    FIRST,
    HEAD,
    POSITION,
    ROWS,
    SLICE,
    SUMS,
    TOKEN,
    slices_for,
    sums_bytes,
)
from engine.units import LongUnits, Units

CONTEXT = 40 * SLICE


def model(heads: int, kv_heads: int) -> Any:
    return SimpleNamespace(heads=heads, kv_heads=kv_heads, head_dim=32)


def done(units: Units) -> Counter[tuple[int, int, int]]:
    """How often each (token, head, slice) is computed."""
    found: Counter[tuple[int, int, int]] = Counter()
    for unit in units.table[: units.count]:
        for row in range(unit[ROWS]):
            token = unit[TOKEN] + (row if unit[BY_TOKEN] else 0)
            head = unit[HEAD] + (0 if unit[BY_TOKEN] else row)
            found.update((token, head, s) for s in range(unit[FIRST], unit[END]))
    return found


@pytest.mark.parametrize(("heads", "kv_heads"), [(32, 2), (12, 2), (9, 3), (4, 4), (8, 1)])
@pytest.mark.parametrize("first", [0, 100, SLICE - 3, 9 * SLICE, CONTEXT - 700])
@pytest.mark.parametrize("threads", [1, 8])
def test_every_slice_of_every_row_is_done_once(
    heads: int, kv_heads: int, first: int, threads: int
) -> None:
    units = Units(model(heads, kv_heads), 700, CONTEXT, threads)
    counts = [1, 3, 600, 7]
    token = 0
    for segment, count in enumerate(counts):
        units.add(segment, token, count, first)
        token += count
    found = done(units)
    assert set(found.values()) == {1}
    places = [first + at for count in counts for at in range(count)]
    for token, place in enumerate(places):
        for head in (0, heads - 1):
            for each in range(slices_for(place + 1)):
                assert (token, head, each) in found


def test_a_long_context_is_shared_and_a_short_one_is_not() -> None:
    units = Units(model(12, 2), 16, CONTEXT, 4)
    units.add(0, 0, 1, SLICE - 1)
    assert units.count == 2
    units.add(1, 1, 1, 8 * SLICE - 1)
    assert units.count == 2 + 2 * 8
    units.add(2, 2, 1, CONTEXT - 1)
    assert units.count == 2 + 2 * 8 + 2 * 16


def test_units_that_share_have_sums_and_a_counter_of_their_own() -> None:
    units = Units(model(12, 2), 64, CONTEXT, 4)
    for token in range(40):
        units.add(token, token, 1, CONTEXT - 1 - token)
    table = units.table[: units.count]
    owners = {int(unit[COUNTER]): unit for unit in table if unit[SUMS]}
    assert len(owners) == 2 * 16  # the tokens after the 16th find no room
    spans = sorted(
        (int(unit[SUMS]), int(unit[SUMS]) + sums_bytes(32, 6, int(unit[POSITION]) + 1))
        for unit in owners.values()
    )
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    for unit in table:
        assert unit[FINISHED] == 0
        if unit[SUMS]:
            owner = owners[int(unit[COUNTER])]
            assert np.array_equal(unit[:FIRST], owner[:FIRST])
            assert unit[SUMS] == owner[SUMS]
        else:
            assert (unit[FIRST], unit[END]) == (0, slices_for(int(unit[POSITION]) + 1))


def test_one_thread_shares_with_nobody_and_has_no_memory_for_it() -> None:
    units = Units(model(12, 2), 16, CONTEXT, 1)
    units.add(0, 0, 1, CONTEXT - 1)
    assert units.count == 2


def test_a_new_step_begins_with_all_the_room() -> None:
    units = Units(model(12, 2), 16, CONTEXT, 4)
    for _ in range(3):
        units.clear()
        for token in range(16):
            units.add(token, token, 1, CONTEXT - 1)
        assert (units.table[: units.count, SUMS] > 0).all()


def done_by_tiles(units: LongUnits) -> Counter[tuple[int, int]]:
    """How often each (token, head) is computed; their places must follow each other."""
    found: Counter[tuple[int, int]] = Counter()
    for _, head, heads, token, count, _ in units.table[: units.count]:
        found.update((token + at, head + i) for at in range(count) for i in range(heads))
    return found


@pytest.mark.parametrize(("heads", "kv_heads"), [(32, 2), (12, 2), (9, 3), (4, 4), (8, 1)])
@pytest.mark.parametrize("threads", [1, 2, 64])
def test_every_head_of_a_long_prompts_tokens_is_done_once(
    heads: int, kv_heads: int, threads: int
) -> None:
    units = LongUnits(model(heads, kv_heads), 700, 3, threads)
    token = 0
    for segment, count in enumerate([1, 33, 600]):
        units.add(segment, token, count, 100 * segment)
        token += count
    found = done_by_tiles(units)
    assert set(found) == {(at, head) for at in range(token) for head in range(heads)}
    assert set(found.values()) == {1}
    for segment, head, several, first, _, place in units.table[: units.count]:
        group = heads // kv_heads
        assert head // group == (head + several - 1) // group
        assert place - first == 100 * segment - (0, 1, 34)[segment]


def test_long_prompts_are_cut_finer_where_there_are_more_threads() -> None:
    counts = []
    for threads in (1, 4, 16):
        units = LongUnits(model(32, 2), 64, 1, threads)
        units.add(0, 0, 64, 0)
        counts.append(units.count)
    assert counts == [4, 16, 64]


@pytest.mark.parametrize(("head_dim", "possible"), [(32, True), (48, False), (128, True)])
def test_tiles_want_heads_of_whole_blocks(head_dim: int, possible: bool) -> None:
    config: Any = SimpleNamespace(heads=2, kv_heads=2, head_dim=head_dim)
    assert LongUnits(config, 32, 1, 1).possible is possible
