"""Attention by AMX tiles against the definition, on bfloat16 queries, keys and values.

A processor without tiles has these compiled for one that has them: see test_tiled.
"""

from itertools import pairwise

import naive
import numpy as np
import pytest
from cached_sequence import KINDS, LAYER, Sequence
from kernel_memory import Floats, Shape, aligned, solo

from engine.kernels import tiles
from engine.kernels.attention_tiled import DEEP, UNIT_TOKENS, attend_tiled, room_bytes
from engine.kernels.dot import AMX, available_variants
from engine.quants import QuantType

needs_tiles = pytest.mark.skipif(AMX not in available_variants(), reason="no AMX here")
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)

COUNT = 2 * DEEP + 17
UNTOUCHED = 7.0


def units_of(shape: Shape, tokens: int, first: int, heads: int, size: int) -> list[list[int]]:
    """`size` tokens and `heads` heads each."""
    return [
        [0, head, heads, at, min(size, tokens - at), first + at]
        for at in range(0, tokens, size)
        for head in range(0, shape.heads, heads)
    ]


def attended(sequence: Sequence, units: list[list[int]], tokens: int, first: int) -> Floats:
    """Attention of `tokens` tokens from position `first` on: [tokens][heads][head_dim]."""
    shape, table = sequence.shape, tiles.configuration()
    out = np.full((tokens + 1, shape.heads, shape.head_dim), UNTOUCHED, np.float32)
    heads = max(unit[2] for unit in units)
    room = aligned(room_bytes(shape.head_dim, heads) + 64, 0xFF)
    room[-64:] = 0
    work = (np.array(units, np.int64), len(units))
    qkv = (sequence.qkv[first:].ctypes.data, sequence.qkv.strides[0])
    pages, scratch = sequence.pages.table, (table.ctypes.data, room.ctypes.data)
    attend_tiled(solo(), work, sequence.heads, LAYER, pages, qkv, out.ctypes.data, scratch)
    assert (out[tokens] == UNTOUCHED).all()
    assert not room[-64:].any()
    return out[:tokens]


def assert_attended(sequence: Sequence, got: Floats, first: int) -> None:
    """Up to the rounding of the weights to bfloat16, half of 2 ** -8 of each."""
    shape = sequence.shape
    queries = naive.bfloat16(sequence.part(sequence.qkv, 0, shape.heads))
    for token, rows in enumerate(got):
        length = first + token + 1
        for kv_head, heads in enumerate(np.array_split(np.arange(shape.heads), shape.kv_heads)):
            keys = naive.bfloat16(sequence.pages.keys(length, LAYER, kv_head))
            values = naive.bfloat16(sequence.pages.values(length, LAYER, kv_head))
            for head in heads:
                expected = naive.attention(queries[first + token, head], keys, values)
                assert np.abs(rows[head] - expected).max() <= 2**-9 * np.abs(values).max()


SHAPES = [  # query heads a KV head, type of cached values, head_dim
    (6, QuantType.F16, 64),
    (6, QuantType.F32, 64),
    (6, QuantType.Q8_0, 64),
    (1, QuantType.F16, 32),
    (16, QuantType.F16, 128),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
Sequences = dict[tuple[int, QuantType, int], Sequence]


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    return {
        (group, kind, dim): Sequence(Shape(2 * group, 2, dim, kind), count=COUNT)
        for group, kind, dim in SHAPES
    }


@needs_tiles
@every_shape
@pytest.mark.parametrize(
    ("first", "tokens"),
    [(0, 1), (0, 33), (15, 17), (63, 2), (DEEP - 1, 1), (DEEP - 20, 40), (COUNT - 21, 21)],
)
def test_each_token_attends_to_those_before_it_only(
    sequences: Sequences, shape: tuple[int, QuantType, int], first: int, tokens: int
) -> None:
    sequence = sequences[shape]
    units = units_of(sequence.shape, tokens, first, shape[0], UNIT_TOKENS)
    assert_attended(sequence, attended(sequence, units, tokens, first), first)


@needs_tiles
@every_kind
def test_a_token_has_the_same_bits_whatever_it_shares_a_unit_with(
    sequences: Sequences, kind: QuantType
) -> None:
    sequence, first, tokens = sequences[6, kind, 64], DEEP - 40, 80
    shape = sequence.shape
    whole = attended(sequence, units_of(shape, tokens, first, 6, UNIT_TOKENS), tokens, first)
    for heads, size in ((1, UNIT_TOKENS), (2, 16), (6, 7), (3, 1)):
        units = units_of(shape, tokens, first, heads, size)
        assert np.array_equal(attended(sequence, units[::-1], tokens, first), whole)


@needs_tiles
def test_a_prompt_has_the_same_bits_however_it_is_cut(sequences: Sequences) -> None:
    sequence = sequences[6, QuantType.F16, 64]
    units = units_of(sequence.shape, COUNT, 0, 6, UNIT_TOKENS)
    whole = attended(sequence, units, COUNT, 0)
    for first, end in pairwise((0, 5, 260, DEEP + 1, COUNT)):
        units = units_of(sequence.shape, end - first, first, 6, UNIT_TOKENS)
        assert np.array_equal(attended(sequence, units, end - first, first), whole[first:end])


@needs_tiles
@every_kind
def test_a_damaged_query_spoils_its_own_rows_only(kind: QuantType) -> None:
    sequence = Sequence(Shape(4, 2, 32, kind))
    units = units_of(sequence.shape, 5, 30, 2, UNIT_TOKENS)
    before = attended(sequence, units, 5, 30)
    sequence.qkv[32, 3 * 32 : 4 * 32] = np.nan
    got = attended(sequence, units, 5, 30)
    assert np.isnan(got[2, 3]).all()
    got[2, 3] = before[2, 3]
    assert np.array_equal(got, before)
