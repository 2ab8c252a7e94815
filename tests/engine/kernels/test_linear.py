"""Matrix products of every weight type and batch size against the definition."""

import naive
import numpy as np
import numpy.typing as npt
import pytest
from kernel_memory import K_TYPES, QUANTIZED, Doubles, Floats, Matrix, Room, TokenVectors, solo

from engine.kernels.dot import AMX, available_variants
from engine.kernels.linear import linear
from engine.kernels.vector import Isa
from engine.quants import QuantType

TOKENS = (1, 2, 3, 4, 5, 8, 9, 17)
ROWS = 104  # seven panels: four at a time, two and one, the last half empty
UNTOUCHED = 7.0
VARIANT = next(name for name in available_variants() if name != AMX)  # see test_tiled_bytes.py


def columns(kind: QuantType) -> int:
    """So that the last chunk of blocks is not whole, where a type allows it."""
    return 512 if kind in K_TYPES else 288


class Batch:
    """Random tokens in kernel memory, beside what the kernel is to take them for."""

    def __init__(self, tokens: int, k: int, quantized: bool) -> None:
        values = np.random.default_rng(tokens).normal(0, 1, (tokens, k)).astype(np.float32)
        self.memory = TokenVectors(tokens, k)
        dequantized = [self.memory.write(at, row) for at, row in enumerate(values)]
        self.x: list[Doubles] = dequantized if quantized else list(values.astype(np.float64))

    def times(self, matrix: Matrix, out: Floats, *, add: bool = False) -> None:
        room, isa = Room(len(self.x[0])), Isa(VARIANT)
        y, x = (out.ctypes.data, out.strides[0], add), self.memory.vectors
        linear(isa, solo(), matrix.row, x, y, len(self.x), room.addresses)


def output(tokens: int) -> Floats:
    return np.full((tokens + 1, 128), UNTOUCHED, np.float32)


def assert_close(got: Floats, matrix: Matrix, x: Doubles, extra: float = 0) -> None:
    """Up to float32's rounding of sums of terms as large as a row's largest weight times |x|."""
    expected = naive.linear(matrix.weights, x, matrix.bias) + extra
    bound: npt.NDArray[np.float64] = 1e-5 * np.abs(matrix.weights).max(1) * np.abs(x).sum()
    assert (np.abs(got[:ROWS] - expected) <= bound + 1e-5).all()


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("kind", QuantType)
def test_every_token_is_multiplied_by_every_row(kind: QuantType, tokens: int) -> None:
    k = columns(kind)
    matrix, batch, out = Matrix(kind, ROWS, k), Batch(tokens, k, kind in QUANTIZED), output(tokens)
    batch.times(matrix, out)
    for got, x in zip(out, batch.x, strict=False):
        assert_close(got, matrix, x)
    assert (out[tokens] == UNTOUCHED).all()
    assert (out[:, 112:] == UNTOUCHED).all()


@pytest.mark.parametrize("tokens", [1, 3, 17])
@pytest.mark.parametrize("kind", [QuantType.F16, QuantType.Q5_1, QuantType.Q6_K])
def test_a_bias_is_added_and_so_is_what_was_there_when_asked(kind: QuantType, tokens: int) -> None:
    matrix = Matrix(kind, ROWS, columns(kind), bias=True)
    batch, out = Batch(tokens, columns(kind), kind in QUANTIZED), output(tokens)
    batch.times(matrix, out, add=True)
    for got, x in zip(out, batch.x, strict=False):
        assert_close(got, matrix, x, UNTOUCHED)
    batch.times(matrix, out, add=False)
    for got, x in zip(out, batch.x, strict=False):
        assert_close(got, matrix, x)


@pytest.mark.parametrize("kind", QuantType)
def test_a_token_gets_the_same_bits_in_a_batch_of_any_size(kind: QuantType) -> None:
    matrix, k = Matrix(kind, ROWS, columns(kind)), columns(kind)
    batch, out = Batch(17, k, True), output(17)
    batch.times(matrix, out)
    for tokens in TOKENS[:-1]:
        few, part = Batch(17, k, True), output(tokens)
        few.x = few.x[:tokens]
        few.times(matrix, part)
        assert np.array_equal(part[:tokens], out[:tokens]), tokens


def test_a_value_that_is_not_a_number_stays_with_its_token() -> None:
    matrix, batch = Matrix(QuantType.Q4_0, ROWS, 64), Batch(5, 64, True)
    expected, out = output(5), output(5)
    batch.times(matrix, expected)
    batch.memory.scales[:, :, 2] = np.nan
    batch.times(matrix, out)
    assert np.isnan(out[2, :112]).all()
    others = [0, 1, 3, 4]
    assert np.array_equal(out[others], expected[others])
