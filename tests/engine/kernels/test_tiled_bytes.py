"""Products of a few tokens by AMX tiles of bytes: to the bit what the vectors give.

A processor without tiles has these compiled for one that has them.
"""

import re

import numpy as np
import pytest
from kernel_memory import (
    K_TYPES,
    QUANTIZED,
    Floats,
    Matrix,
    Room,
    TokenVectors,
    aligned,
    amx_assembly,
    solo,
)
from llvmlite import ir

from engine.kernels import tiles
from engine.kernels.dot import AMX, available_variants
from engine.kernels.linear import linear
from engine.kernels.tiled_bytes import ROOM, linear_tiled_bytes
from engine.kernels.vector import Isa
from engine.quants import QuantType

ROWS = 72  # five panels, pairs and one alone, the last half empty
UNTOUCHED = 7.0
VECTORS = "avx512-vnni"

needs_tiles = pytest.mark.skipif(AMX not in available_variants(), reason="no AMX here")


def columns(kind: QuantType) -> int:
    """So that the last step has one run only, where a type allows it."""
    return 512 if kind in K_TYPES else 288


class Batch:
    """Random tokens; what nobody wrote is not a number."""

    def __init__(self, tokens: int, k: int) -> None:
        self.tokens, self.k = tokens, k
        self.memory = TokenVectors(tokens, k)
        values = np.random.default_rng(tokens).normal(0, 1, (tokens, k)).astype(np.float32)
        for token, row in enumerate(values):
            self.memory.write(token, row)
        self._table = tiles.configuration()
        self._apart, self._room = aligned(16 * -(-k // 64) * 64, 0xFF), aligned(ROOM, 0xFF)

    def by_tiles(self, matrix: Matrix, *, add: bool = False) -> Floats:
        out = output(self.tokens)
        places = (self._table, self._apart, self._room)
        room, y = tuple(place.ctypes.data for place in places), where(out, add)
        x = self.memory.vectors
        linear_tiled_bytes(Isa(AMX), solo(), matrix.row, x, y, self.tokens, room)
        return out

    def by_vectors(self, matrix: Matrix, *, add: bool = False) -> Floats:
        out, room = output(self.tokens), Room(self.k)
        x, y = self.memory.vectors, where(out, add)
        linear(Isa(VECTORS), solo(), matrix.row, x, y, self.tokens, room.addresses)
        return out


def output(tokens: int) -> Floats:
    return np.full((tokens + 1, 96), UNTOUCHED, np.float32)


def where(out: Floats, add: bool) -> tuple[int, int, bool]:
    return out.ctypes.data, out.strides[0], add


@needs_tiles
@pytest.mark.parametrize("tokens", [1, 5, 8, 9, 16, 17, 31])
@pytest.mark.parametrize("kind", QUANTIZED)
def test_every_token_gets_the_bits_that_vectors_give(kind: QuantType, tokens: int) -> None:
    matrix, batch = Matrix(kind, ROWS, columns(kind)), Batch(tokens, columns(kind))
    got = batch.by_tiles(matrix)
    assert np.array_equal(got, batch.by_vectors(matrix))
    assert np.isfinite(got).all()
    assert (got[tokens] == UNTOUCHED).all()
    assert (got[:, 80:] == UNTOUCHED).all()
    assert (got[:tokens, :ROWS] != UNTOUCHED).all()


@needs_tiles
@pytest.mark.parametrize("tokens", [6, 12])
@pytest.mark.parametrize("kind", [QuantType.Q5_1, QuantType.Q6_K])
def test_a_bias_is_added_and_so_is_what_was_there_when_asked(kind: QuantType, tokens: int) -> None:
    matrix = Matrix(kind, ROWS, columns(kind), bias=True)
    batch, plain = Batch(tokens, columns(kind)), Matrix(kind, ROWS, columns(kind))
    got = batch.by_tiles(matrix, add=True)
    assert np.array_equal(got, batch.by_vectors(matrix, add=True))
    assert np.allclose(
        got[:tokens, :ROWS], batch.by_tiles(plain)[:tokens, :ROWS] + matrix.bias + UNTOUCHED
    )


@needs_tiles
@pytest.mark.parametrize("tokens", [7, 13])
def test_the_largest_and_smallest_bytes_give_exact_products(tokens: int) -> None:
    matrix, batch = Matrix(QuantType.Q8_0, ROWS, 288), Batch(tokens, 288)
    batch.memory.quants[:] = np.where(np.arange(32) % 2, -128, 127)
    assert np.array_equal(batch.by_tiles(matrix), batch.by_vectors(matrix))


@needs_tiles
@pytest.mark.parametrize("tokens", [5, 11])
def test_a_value_that_is_not_a_number_stays_with_its_token(tokens: int) -> None:
    matrix, batch = Matrix(QuantType.Q4_0, ROWS, 96), Batch(tokens, 96)
    expected = batch.by_tiles(matrix)
    batch.memory.scales[:, :, 2] = np.nan
    got = batch.by_tiles(matrix)
    assert np.isnan(got[2, :ROWS]).all()
    others = [token for token in range(tokens) if token != 2]
    assert np.array_equal(got[others], expected[others])


def test_the_sizes_of_tiles_are_those_of_the_instruction_set() -> None:
    table = tiles.configuration().reshape(-1, 64)
    for k in (16, 32, 64):
        sizes = table[tiles.for_bytes.py_func(k) // 64]
        assert sizes[0] == 1
        assert sizes[16:32:2].tolist() == [64] * 4 + [k] * 2 + [64] * 2
        assert sizes[48:56].tolist() == [16] * 6 + [k // 4] * 2


def test_the_products_compile_to_the_instructions_of_a_processor_that_has_them() -> None:
    def both(builder: ir.IRBuilder, *addresses: ir.Value) -> None:
        tiles.emit_bytes(builder, [3], 32, *addresses)
        tiles.emit_bytes(builder, [2, 3], 64, *addresses)

    text = amx_assembly(both, 3)
    found = re.findall(r"\b(tile[lzs]\w+|tdp\w+)", text)
    product = ["tileloadd", "tilezero", "tdpbsud", "tilestored"]
    assert found == ["tileloadd", *product, "tileloadd", *product, *product]
