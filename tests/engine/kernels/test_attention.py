"""The paged cache and attention over it against the definition."""

import naive
import numpy as np
import pytest
from kernel_memory import Floats, Pages, Shape, aligned, solo, units_by_heads, units_by_tokens

from engine.kernels.attention import attend, rotate_and_cache, score_bytes

LENGTHS = (1, 15, 16, 17, 63, 64, 65, 200)
POSITIONS = 256
LAYER = 1


def angles(count: int) -> tuple[Floats, Floats]:
    turns = np.outer(np.arange(POSITIONS), np.linspace(0.01, 1, count))
    return np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)


class Sequence:
    """200 tokens' queries, keys and values, rotated and cached by the kernel."""

    def __init__(self, shape: Shape, halves: bool = True) -> None:
        self.shape, self.cos_sin = shape, angles(shape.head_dim // 2)
        self.heads = shape.for_kernels(*self.cos_sin, halves)
        self.pages = Pages(shape, 4)
        rng = np.random.default_rng(shape.heads)
        self.raw = rng.normal(0, 1, (200, shape.width)).astype(np.float32)
        self.qkv = aligned(4 * (200 + 8) * shape.width, 0xFF).view(np.float32)
        self.qkv = self.qkv.reshape(-1, shape.width)  # NaN past the last token
        self.qkv[:200] = self.raw
        batch = (np.zeros(200, np.int64), np.arange(200), self.pages.table)
        rotate_and_cache(solo(), self.qkv.ctypes.data, self.heads, LAYER, batch, 200)

    def part(self, rows: Floats, first: int, count: int) -> Floats:
        """Some heads of tokens' rows: [tokens][heads][head_dim]."""
        dim = self.shape.head_dim
        return rows[:, first * dim : (first + count) * dim].reshape(len(rows), count, dim)

    def attend(self, units: list[list[int]], tokens: int, first: int) -> Floats:
        """Attention of `tokens` tokens from position `first` on."""
        shape = self.shape
        out = np.full((tokens + 1, shape.heads, shape.head_dim), 7, np.float32)
        scores = aligned(score_bytes(4), 0xFF)
        work = (np.array(units, np.int64), len(units))
        qkv = (self.qkv[first:].ctypes.data, self.qkv.strides[0])
        table, at = self.pages.table, scores.ctypes.data
        attend(solo(), work, self.heads, LAYER, table, qkv, out.ctypes.data, at)
        assert (out[tokens] == 7).all()
        return out[:tokens]

    def assert_attended(self, got: Floats, first: int) -> None:
        shape = self.shape
        queries = self.part(self.qkv, 0, shape.heads)
        for token, rows in enumerate(got):
            length = first + token + 1
            for head in range(shape.heads):
                kv_head = head // (shape.heads // shape.kv_heads)
                keys = self.pages.keys(length, LAYER, kv_head)
                values = self.pages.values(length, LAYER, kv_head)
                expected = naive.attention(queries[first + token, head], keys, values)
                assert np.abs(rows[head] - expected).max() <= 2e-6 * np.abs(values).max()


@pytest.fixture(scope="module")
def sequences() -> dict[tuple[int, int], Sequence]:
    """By query heads a KV head, and bytes of a cached value."""
    return {
        (group, kv_bytes): Sequence(Shape(2 * group, 2, 32, kv_bytes))
        for group in (1, 2, 6, 16)
        for kv_bytes in (2, 4)
    }


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("kv_bytes", [2, 4])
def test_keys_are_rotated_and_cached_with_their_values(kv_bytes: int, halves: bool) -> None:
    shape = Shape(4, 2, 32, kv_bytes)
    sequence, dtype = Sequence(shape, halves), np.float16 if kv_bytes == 2 else np.float32
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
        assert np.array_equal(sequence.pages.keys(200, LAYER, kv_head), keys.astype(dtype))
        assert np.array_equal(sequence.pages.values(200, LAYER, kv_head), values.astype(dtype))
        assert not sequence.pages.block(0, 0, kv_head, 0).any()  # the other layer's


@pytest.mark.parametrize("kv_bytes", [2, 4])
@pytest.mark.parametrize("group", [1, 2, 6, 16])
def test_one_tokens_heads_attend_to_all_before_it(
    sequences: dict[tuple[int, int], Sequence], group: int, kv_bytes: int
) -> None:
    sequence = sequences[group, kv_bytes]
    for length in LENGTHS:
        units = units_by_heads(sequence.shape, 1, length - 1)
        sequence.assert_attended(sequence.attend(units, 1, length - 1), length - 1)


@pytest.mark.parametrize("kv_bytes", [2, 4])
@pytest.mark.parametrize("group", [1, 2, 6])
def test_each_of_many_tokens_attends_to_those_before_it_only(
    sequences: dict[tuple[int, int], Sequence], group: int, kv_bytes: int
) -> None:
    sequence = sequences[group, kv_bytes]
    for length in LENGTHS:
        tokens = min(length, 19)
        first = length - tokens
        units = units_by_tokens(sequence.shape, tokens, first)
        sequence.assert_attended(sequence.attend(units, tokens, first), first)


@pytest.mark.parametrize("kv_bytes", [2, 4])
def test_a_row_has_the_same_bits_whatever_it_shares_a_unit_with(
    sequences: dict[tuple[int, int], Sequence], kv_bytes: int
) -> None:
    sequence = sequences[6, kv_bytes]
    by_tokens = sequence.attend(units_by_tokens(sequence.shape, 75, 0), 75, 0)
    by_heads = sequence.attend(units_by_heads(sequence.shape, 75, 0), 75, 0)
    assert np.array_equal(by_tokens, by_heads)


def test_attention_to_one_far_stronger_key_gives_its_value() -> None:
    sequence = Sequence(Shape(2, 2, 32, 4))
    for kv_head in range(2):
        sequence.pages.block(0, LAYER, kv_head, 0)[:] = 0
        strong = sequence.pages.block(0, LAYER, kv_head, 0).reshape(4, 32, 16)
        strong[1, :, 5] = 1e4 * np.sign(sequence.part(sequence.qkv, kv_head, 1)[40, 0])
        got = sequence.attend(units_by_heads(sequence.shape, 1, 40), 1, 40)
        expected = sequence.pages.values(41, LAYER, kv_head)[21]
        assert np.array_equal(got[0, kv_head], expected)


@pytest.mark.parametrize("kv_bytes", [2, 4])
def test_a_damaged_query_or_key_spoils_its_own_rows_and_raises_nothing(kv_bytes: int) -> None:
    sequence = Sequence(Shape(4, 2, 32, kv_bytes))
    sequence.qkv[30, 3 * 32 : 4 * 32] = np.nan
    got = sequence.attend(units_by_heads(sequence.shape, 2, 30), 2, 30)
    assert np.isnan(got[0, 3]).all()
    assert np.isfinite(got[0, :3]).all()
    assert np.isfinite(got[1]).all()
