"""Products by AMX tiles against the definition, on bfloat16 weights and tokens.

A processor without tiles has these compiled for one that has them.
"""

import re

import naive
import numpy as np
import pytest
from kernel_memory import QUANTIZED, Floats, Matrix, TokenVectors, aligned, amx_assembly, solo
from llvmlite import ir

from engine.kernels import tiles
from engine.kernels.dot import AMX, available_variants
from engine.kernels.elementwise import prepare_tokens
from engine.kernels.tiled import ROOM_WEIGHTS, gated_tiled, linear_tiled, sums_bytes
from engine.kernels.vector import Isa
from engine.quants import QuantType

K = 768  # a slice of 16 blocks and half a one
ROWS = 104  # seven panels: groups of two, the last of one, half empty
UNTOUCHED = 7.0

needs_tiles = pytest.mark.skipif(AMX not in available_variants(), reason="no AMX here")


class Batch:
    """Random tokens as tiles, beside what they stand for; the first `few` are not among them."""

    def __init__(self, tokens: int, few: int = 0, k: int = K) -> None:
        self.span = (few, few + tokens)
        self.memory = TokenVectors(few + tokens, k)
        values = np.random.default_rng(tokens).normal(0, 1, (few + tokens, k)).astype(np.float32)
        self.memory.values[: few + tokens] = values
        prepare_tokens(solo(), self.memory.vectors, self.span)
        self.x = naive.bfloat16(values[few:]).astype(np.float64)
        self._table = tiles.configuration()
        self._weights, self._sums = aligned(ROOM_WEIGHTS), aligned(sums_bytes(tokens), 0xFF)
        places = (self._table, self._weights, self._sums)
        self.room = tuple(place.ctypes.data for place in places)

    def times(self, matrix: Matrix, out: Floats, *, add: bool = False) -> None:
        y = (out.ctypes.data, out.strides[0], add)
        linear_tiled(
            Isa(AMX), solo(), matrix.row, self.memory.vectors.wide, y, self.span, self.room
        )


def output(rows: int) -> Floats:
    return np.full((rows, 128), UNTOUCHED, np.float32)


def wide(matrix: Matrix) -> Floats:
    return naive.bfloat16(matrix.weights)


def assert_close(got: Floats, matrix: Matrix, x: Floats, extra: float = 0) -> None:
    """Up to float32's rounding of sums of terms as large as a row's largest weight times |x|."""
    expected = naive.linear(wide(matrix), x.astype(np.float64), matrix.bias) + extra
    bound = 1e-5 * np.abs(matrix.weights).max(1) * np.abs(x).sum()
    assert (np.abs(got[: len(matrix.weights)] - expected) <= bound + 1e-5).all()


@needs_tiles
@pytest.mark.parametrize("tokens", [1, 16, 17, 33])
@pytest.mark.parametrize("kind", QUANTIZED)
def test_every_token_is_multiplied_by_every_row(kind: QuantType, tokens: int) -> None:
    few = 2
    matrix, batch, out = Matrix(kind, ROWS, K), Batch(tokens, few), output(few + tokens + 1)
    batch.times(matrix, out)
    for got, x in zip(out[few:-1], batch.x, strict=True):
        assert_close(got, matrix, x)
    assert (out[:few] == UNTOUCHED).all()
    assert (out[-1] == UNTOUCHED).all()
    assert (out[:, 112:] == UNTOUCHED).all()


@needs_tiles
def test_a_bias_is_added_and_so_is_what_was_there_when_asked() -> None:
    matrix, batch = Matrix(QuantType.Q5_1, ROWS, K, bias=True), Batch(20)
    out = output(20)
    batch.times(matrix, out, add=True)
    for got, x in zip(out, batch.x, strict=True):
        assert_close(got, matrix, x, UNTOUCHED)


@needs_tiles
@pytest.mark.parametrize("kind", [QuantType.Q4_0, QuantType.Q6_K])
def test_a_token_gets_the_same_bits_in_a_batch_of_any_size(kind: QuantType) -> None:
    matrix, whole, out = Matrix(kind, ROWS, K), Batch(40), output(40)
    whole.times(matrix, out)
    for tokens in (1, 15, 32):
        part, some = Batch(tokens), output(tokens)
        part.memory.values[:tokens] = whole.memory.values[:tokens]
        prepare_tokens(solo(), part.memory.vectors, part.span)
        part.times(matrix, some)
        assert np.array_equal(some, out[:tokens]), tokens


@needs_tiles
def test_a_value_that_is_not_a_number_stays_with_its_token() -> None:
    matrix, batch, out, expected = Matrix(QuantType.Q4_K, ROWS, K), Batch(5), output(5), output(5)
    batch.times(matrix, expected)
    batch.memory.values[2, 7] = np.nan
    prepare_tokens(solo(), batch.memory.vectors, batch.span)
    batch.times(matrix, out)
    assert np.isnan(out[2, :112]).all()
    others = [0, 1, 3, 4]
    assert np.array_equal(out[others], expected[others])


@needs_tiles
@pytest.mark.parametrize("bias", [False, True])
def test_the_gated_product_is_the_gates_silu_times_up(bias: bool) -> None:
    few, tokens, rows = 1, 35, 96
    gate = Matrix(QuantType.Q4_0, rows, K, bias=bias)
    up = Matrix(QuantType.Q8_0, rows, K, bias=bias)
    batch, target = Batch(tokens, few), TokenVectors(few + tokens, rows)
    where = (batch.memory.vectors.wide, target.vectors)
    gated_tiled(Isa(AMX), solo(), gate.row, up.row, *where, batch.span, batch.room)
    got = naive.tiles_of(target.wide, tokens, rows)
    for row, x in zip(got, batch.x, strict=True):
        one = naive.linear(wide(gate), x, gate.bias).astype(np.float32)
        other = naive.linear(wide(up), x, up.bias).astype(np.float32)
        expected = naive.swiglu(one, other)
        scale = np.abs(expected).max()
        assert np.allclose(row, expected, rtol=1 / 128, atol=2e-4 * scale)


def test_every_block_of_every_token_has_a_place_of_its_own() -> None:
    tokens, blocks = 40, 17
    places = [
        tiles.token_tile.py_func(tokens, blocks, token, block)
        for token in range(tokens)
        for block in range(blocks)
    ]
    assert sorted(places) == sorted(set(places))
    assert max(places) + 64 <= 64 * blocks * 64
    assert all(place % 64 == 0 for place in places)


def test_the_products_compile_to_the_instructions_of_a_processor_that_has_them() -> None:
    def step(builder: ir.IRBuilder, *addresses: ir.Value) -> None:
        tiles.emit_multiply(builder, list(addresses[:2]), list(addresses[2:4]))
        lanes = ir.VectorType(ir.FloatType(), 16)
        value = builder.load(builder.inttoptr(addresses[4], lanes.as_pointer()), typ=lanes)
        tiles.emit_pairs(builder, value, value, addresses[0])

    text = amx_assembly(step, 5)
    assert len(re.findall(r"tdpbf16ps", text)) == 4
    assert "vcvtne2ps2bf16" in text
