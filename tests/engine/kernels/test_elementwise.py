"""Norm, activation, rotation and quantized tokens against their definitions."""

import naive
import numpy as np
import numpy.typing as npt
import pytest
from kernel_memory import TokenVectors, exp_lanes, solo, spread_halves

from engine.kernels.elementwise import (
    norm_tokens,
    prepare_tokens,
    rotate,
    swiglu,
)

Floats = npt.NDArray[np.float32]
RNG = np.random.default_rng(3)


def exp_of(x: Floats) -> Floats:
    source = np.resize(x, -(-len(x) // 16) * 16).astype(np.float32)
    out = np.empty_like(source)
    exp_lanes(source.ctypes.data, out.ctypes.data, len(source))
    return out[: len(x)]


def test_exp_is_right_to_one_unit_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-86.99, 88, 200_003), RNG.normal(0, 1, 100_000)])
    x = x.astype(np.float32)
    expected = naive.exp(x)
    units = np.abs(exp_of(x).astype(np.float64) - expected) / np.spacing(expected)
    assert units.max() <= 1


def test_exp_of_huge_and_infinite_numbers_neither_overflows_nor_wraps() -> None:
    x = np.array([-np.inf, -3e38, -1e4, -87.01, -87, -0.0, 0, 88, 88.5, 1e4, 3e38, np.inf])
    x = x.astype(np.float32)
    got, expected = exp_of(x), naive.exp(x)
    assert np.array_equal(got[:5], np.zeros(5))
    assert got[5] == got[6] == 1
    assert np.abs(got[7:] / expected[7:] - 1).max() <= 1e-6


def token_values(tokens: int, k: int) -> Floats:
    """Tokens of different sizes, with a block of zeros and one of a single large value."""
    values = RNG.normal(0, 1, (tokens, k)) * 10.0 ** RNG.integers(-3, 4, (tokens, 1))
    values[0, :32] = 0
    values[-1, 32:64] = 0
    values[-1, 40] = 1e15
    return values.astype(np.float32)


def assert_quantized(vectors: TokenVectors, tokens: int) -> None:
    """The quants are those of the values beside them, to the bit."""
    for token in range(tokens):
        expected, scales = naive.quantize(vectors.values[token])
        quants, got_scales, sums32, sums16 = vectors.read(token)
        assert np.array_equal(quants, expected)
        assert np.array_equal(got_scales, scales)
        totals = expected.reshape(-1, 16).sum(1, dtype=np.float32)
        assert np.array_equal(sums16, np.repeat(scales, 2) * totals)
        assert np.array_equal(sums32, scales * totals.reshape(-1, 2).sum(1))


@pytest.mark.parametrize("tokens", [1, 8, 11])
def test_tokens_are_quantized_by_32_with_their_sums(tokens: int) -> None:
    vectors = TokenVectors(tokens, 96)
    vectors.values[:tokens] = token_values(tokens, 96)
    prepare_tokens(solo(), vectors.vectors, (tokens, tokens))
    assert_quantized(vectors, tokens)


@pytest.mark.parametrize("at", [0, 13, 31])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_a_number_cannot_be_quantized_away(at: int, bad: float) -> None:
    vectors = TokenVectors(1, 64)
    vectors.values[0] = 1
    vectors.values[0, at] = bad
    prepare_tokens(solo(), vectors.vectors, (1, 1))
    _, scales, sums32, sums16 = vectors.read(0)
    assert not np.isfinite([scales[0], sums32[0], *sums16[:2]]).any()
    assert np.isfinite([scales[1], sums32[1], *sums16[2:]]).all()


@pytest.mark.parametrize("tokens", [1, 9])
def test_norm_divides_by_the_root_mean_square(tokens: int) -> None:
    k = 160
    x, weight = token_values(tokens, k), RNG.uniform(0.5, 1.5, k).astype(np.float32)
    vectors = TokenVectors(tokens, k)
    norm_tokens(solo(), x.ctypes.data, weight.ctypes.data, vectors.vectors, 1e-5, (tokens, tokens))
    for token in range(tokens):
        expected = naive.rms_norm(x[token], weight, 1e-5)
        assert np.allclose(vectors.values[token], expected, rtol=1e-6, atol=0)
    assert_quantized(vectors, tokens)


def test_norms_behind_the_few_become_bfloat16_tiles() -> None:
    few, tokens, k = 3, 40, 544
    x, weight = token_values(tokens, k), RNG.uniform(0.5, 1.5, k).astype(np.float32)
    vectors, quantized = TokenVectors(tokens, k), TokenVectors(tokens, k)
    at = (x.ctypes.data, weight.ctypes.data)
    norm_tokens(solo(), *at, vectors.vectors, 1e-5, (few, tokens))
    norm_tokens(solo(), *at, quantized.vectors, 1e-5, (tokens, tokens))
    assert_quantized(vectors, few)
    tiles = naive.tiles_of(vectors.wide, tokens - few, k)
    assert np.array_equal(tiles, naive.bfloat16(quantized.values[few:tokens]))


@pytest.mark.parametrize("k", [64, 2080])  # one span of work a token, and three, the last short
def test_swiglu_is_the_gates_silu_times_up(k: int) -> None:
    tokens = 3
    gate = RNG.normal(0, 10, (tokens, k)).astype(np.float32)
    gate[0, :4] = (0, -90, 90, -300)
    up = RNG.normal(0, 1, (tokens, k)).astype(np.float32)
    vectors = TokenVectors(tokens, k)
    span = (tokens, tokens)
    swiglu(solo(), gate.ctypes.data, up.ctypes.data, vectors.vectors, span, tokens)
    for token in range(tokens):
        expected = naive.swiglu(gate[token], up[token])
        assert np.allclose(vectors.values[token], expected, rtol=1e-6, atol=1e-30)
    assert_quantized(vectors, tokens)


def test_tokens_behind_the_few_become_bfloat16_tiles() -> None:
    few, tokens, k = 3, 40, 544  # a slice of 16 blocks and one of a single block
    vectors = TokenVectors(tokens, k)
    vectors.values[:tokens] = values = token_values(tokens, k)
    prepare_tokens(solo(), vectors.vectors, (few, tokens))
    assert_quantized(vectors, few)
    assert np.isnan(vectors.scales[0, :, few:]).all()  # nobody wrote there
    assert np.isnan(vectors.scales[1:]).all()
    tiles = naive.tiles_of(vectors.wide, tokens - few, k)
    assert np.array_equal(tiles, naive.bfloat16(values[few:]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bfloat16_keeps_what_is_not_a_number(bad: float) -> None:
    vectors = TokenVectors(1, 32)
    vectors.values[0] = 1
    vectors.values[0, 5] = bad
    prepare_tokens(solo(), vectors.vectors, (0, 1))
    row = naive.tiles_of(vectors.wide, 1, 32)[0]
    assert np.array_equal(row[5:6], np.array([bad], np.float32), equal_nan=True)
    assert (np.delete(row, 5) == 1).all()


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("turned", [16, 32, 48, 64])
def test_rotation_turns_pairs_of_the_first_values_and_leaves_the_rest(
    halves: bool, turned: int
) -> None:
    head = RNG.normal(0, 1, 64).astype(np.float32)
    angles = RNG.uniform(0, 7, turned // 2)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    expected = naive.rotate(head, cos, sin, halves)
    rotate(head.ctypes.data, cos, sin, halves)
    assert np.array_equal(head, expected)


HARD = np.array([0.1, -2.5, 65504, 65520, 1e30, -1e30, np.inf, -np.inf, 1e-8, np.nan], np.float32)


@pytest.mark.parametrize("stride", [1, 3])
def test_half_precision_makes_no_infinity_and_hides_no_damage(stride: int) -> None:
    values = np.resize(HARD, 16)
    out = np.full(16 * stride, 7, np.float16)
    spread_halves(values.ctypes.data, out.ctypes.data, 2 * stride)
    expected = np.clip(values, -65504, 65504).astype(np.float16)
    assert np.array_equal(out[::stride], expected, equal_nan=True)
    assert (np.delete(out, np.s_[::stride]) == 7).all()
