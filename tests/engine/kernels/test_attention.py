"""The paged cache and attention over it against the definition."""

from itertools import pairwise

import naive
import numpy as np
import pytest
from cached_sequence import KINDS, LAYER, POSITIONS, Sequence
from kernel_memory import Shape, aligned, solo, units_by_heads, units_by_tokens

from engine.kernels.attention import (
    FIRST,
    SLICE,
    rotate_and_cache,
    slices_for,
    sums_bytes,
)
from engine.quants import QuantType

LENGTHS = (1, 15, 16, 17, 63, 64, 65, 200)
LONG = (SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 2 * SLICE + 17)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture(scope="module")
def sequences() -> dict[tuple[int, QuantType], Sequence]:
    """By query heads a KV head, and type of cached values."""
    return {
        (group, kind): Sequence(Shape(2 * group, 2, 32, kind))
        for group in (1, 2, 6, 16)
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def long_sequences() -> dict[QuantType, Sequence]:
    return {kind: Sequence(Shape(12, 2, 48, kind), count=LONG[-1]) for kind in KINDS}


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("head_dim", [32, 48])
@every_kind
def test_keys_are_rotated_and_cached_with_their_values(
    kind: QuantType, head_dim: int, halves: bool
) -> None:
    shape = Shape(4, 2, head_dim, kind)
    sequence = Sequence(shape, halves)
    cos, sin = sequence.cos_sin
    for token in range(200):
        turned = [
            naive.rotate(head, cos[token], sin[token], halves)
            for head in sequence.part(sequence.raw, 0, 6)[token]
        ]
        assert np.array_equal(sequence.part(sequence.qkv, 0, 6)[token], turned)
    for kv_head in range(2):
        keys = sequence.part(sequence.qkv, 4 + kv_head, 1)[:200, 0]
        values = sequence.part(sequence.raw, 6 + kv_head, 1)[:, 0]
        expected = np.array([naive.cached(key, kind) for key in keys])
        assert np.array_equal(sequence.pages.keys(200, LAYER, kv_head), expected)
        expected = np.array([naive.cached(value, kind) for value in values])
        assert np.array_equal(sequence.pages.values(200, LAYER, kv_head), expected)
        assert not sequence.pages.block(0, 0, kv_head, 0).any()  # the other layer's


@every_kind
def test_caching_a_token_again_changes_no_others(kind: QuantType) -> None:
    sequence = Sequence(Shape(2, 2, 48, kind))
    before = sequence.pages.keys(200, LAYER, 0), sequence.pages.values(200, LAYER, 0)
    sequence.qkv[77] = 100 * sequence.raw[3]
    batch = (np.zeros(1, np.int64), np.array([77]), sequence.pages.table)
    rotate_and_cache(solo(), sequence.qkv[77:].ctypes.data, sequence.heads, LAYER, batch, 1)
    after = sequence.pages.keys(200, LAYER, 0), sequence.pages.values(200, LAYER, 0)
    for old, new in zip(before, after, strict=True):
        assert (old[77] != new[77]).any()
        assert np.array_equal(np.delete(old, 77, 0), np.delete(new, 77, 0))


def test_a_8_bit_value_is_off_by_half_a_step_of_its_32s_largest_at_most() -> None:
    """And by the rounding of the step's size to 11 bits, 127 times 2 ** -11 of a step."""
    sequence = Sequence(Shape(2, 2, 32, QuantType.Q8_0))
    values = sequence.part(sequence.raw, 4, 1)[:, 0]
    cached = sequence.pages.values(200, LAYER, 0)
    steps = np.abs(values).max(1, keepdims=True) / 127
    assert (np.abs(cached - values) <= (0.5 + 127 * 2**-11) * steps).all()


@every_kind
@pytest.mark.parametrize("group", [1, 2, 6, 16])
def test_one_tokens_heads_attend_to_all_before_it(
    sequences: dict[tuple[int, QuantType], Sequence], group: int, kind: QuantType
) -> None:
    sequence = sequences[group, kind]
    for length in LENGTHS:
        units = units_by_heads(sequence.shape, 1, length - 1)
        sequence.assert_attended(sequence.attend(units, 1, length - 1), length - 1)


@every_kind
def test_a_long_context_is_attended_to_in_all_its_slices(
    long_sequences: dict[QuantType, Sequence], kind: QuantType
) -> None:
    sequence = long_sequences[kind]
    for length in LONG:
        units = units_by_heads(sequence.shape, 1, length - 1)
        sequence.assert_attended(sequence.attend(units, 1, length - 1), length - 1)


@every_kind
@pytest.mark.parametrize("group", [1, 2, 6])
def test_each_of_many_tokens_attends_to_those_before_it_only(
    sequences: dict[tuple[int, QuantType], Sequence], group: int, kind: QuantType
) -> None:
    sequence = sequences[group, kind]
    for length in LENGTHS:
        tokens = min(length, 19)
        first = length - tokens
        units = units_by_tokens(sequence.shape, tokens, first)
        sequence.assert_attended(sequence.attend(units, tokens, first), first)


@every_kind
def test_a_row_has_the_same_bits_whatever_it_shares_a_unit_with(
    sequences: dict[tuple[int, QuantType], Sequence], kind: QuantType
) -> None:
    sequence = sequences[6, kind]
    by_tokens = sequence.attend(units_by_tokens(sequence.shape, 75, 0), 75, 0)
    by_heads = sequence.attend(units_by_heads(sequence.shape, 75, 0), 75, 0)
    assert np.array_equal(by_tokens, by_heads)


@every_kind
def test_tokens_on_both_sides_of_a_slices_edge_have_the_same_bits_together_and_alone(
    long_sequences: dict[QuantType, Sequence], kind: QuantType
) -> None:
    sequence, first = long_sequences[kind], 2 * SLICE - 9
    by_tokens = sequence.attend(units_by_tokens(sequence.shape, 24, first), 24, first)
    by_heads = sequence.attend(units_by_heads(sequence.shape, 24, first), 24, first)
    assert np.array_equal(by_tokens, by_heads)


@every_kind
def test_a_context_done_in_pieces_gives_the_same_bits_in_any_order(
    long_sequences: dict[QuantType, Sequence], kind: QuantType
) -> None:
    sequence, first = long_sequences[kind], 2 * SLICE - 1
    whole = units_by_heads(sequence.shape, 3, first)
    expected = sequence.attend(whole, 3, first)
    size = sums_bytes(48, 6, POSITIONS)
    sums = aligned(size * len(whole), 0xFF)
    pieces = [
        [*unit[:FIRST], *span, sums.ctypes.data + size * number, number, 0]
        for number, unit in enumerate(whole)
        for span in pairwise(range(slices_for(unit[FIRST - 1] + 1) + 1))
    ]
    for order in (pieces, pieces[::-1], sorted(pieces, key=lambda piece: piece[FIRST:])):
        assert np.array_equal(sequence.attend(order, 3, first), expected)


def test_attention_to_one_far_stronger_key_gives_its_value() -> None:
    sequence = Sequence(Shape(2, 2, 32, QuantType.F32))
    for kv_head in range(2):
        keys = sequence.pages.block(0, LAYER, kv_head, 0).view(np.float32)
        keys[:] = 0
        strong = keys.reshape(4, 32, 16)
        strong[1, :, 5] = 1e4 * np.sign(sequence.part(sequence.qkv, kv_head, 1)[40, 0])
        got = sequence.attend(units_by_heads(sequence.shape, 1, 40), 1, 40)
        expected = sequence.pages.values(41, LAYER, kv_head)[21]
        assert np.array_equal(got[0, kv_head], expected)


@every_kind
def test_a_damaged_query_spoils_its_own_rows_and_raises_nothing(kind: QuantType) -> None:
    sequence = Sequence(Shape(4, 2, 32, kind))
    sequence.qkv[30, 3 * 32 : 4 * 32] = np.nan
    got = sequence.attend(units_by_heads(sequence.shape, 2, 30), 2, 30)
    assert np.isnan(got[0, 3]).all()
    assert np.isfinite(got[0, :3]).all()
    assert np.isfinite(got[1]).all()


@every_kind
@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_damaged_value_is_seen_in_what_is_attended(kind: QuantType, damage: float) -> None:
    sequence = Sequence(Shape(2, 2, 32, kind))
    sequence.qkv[30, 4 * 32 + 3] = damage
    batch = (np.zeros(1, np.int64), np.array([30]), sequence.pages.table)
    rotate_and_cache(solo(), sequence.qkv[30:].ctypes.data, sequence.heads, LAYER, batch, 1)
    got = sequence.attend(units_by_heads(sequence.shape, 1, 31), 1, 31)
    limit = 100.0  # a float16 that would be infinite is the largest one instead
    assert not (np.abs(got[0, 0]) < limit).all()
    assert np.isfinite(got[0, 1]).all()
