"""Block formats: `gguf` says what blocks are worth, chatglm.cpp's rules say how they are made."""

import hashlib

import gguf
import naive_quants
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize

from engine.quants import QuantType, block_bytes, block_size, pack, row_bytes, unpack

WRITTEN = (
    QuantType.F32,
    QuantType.F16,
    QuantType.Q4_0,
    QuantType.Q4_1,
    QuantType.Q5_0,
    QuantType.Q5_1,
    QuantType.Q8_0,
)
BLOCKS = WRITTEN[2:]
every_type = pytest.mark.parametrize("quant", list(QuantType), ids=lambda quant: quant.name)
every_written = pytest.mark.parametrize("quant", WRITTEN, ids=lambda quant: quant.name)
every_block = pytest.mark.parametrize("quant", BLOCKS, ids=lambda quant: quant.name)


def worth(quant: QuantType, packed: np.ndarray) -> np.ndarray:
    """What `gguf` says packed rows are worth."""
    plain = {QuantType.F32: np.float32, QuantType.F16: np.float16}.get(quant, np.uint8)
    return dequantize(packed.view(plain), gguf.GGMLQuantizationType(quant))


def normal_rows(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


@every_type
def test_random_bytes_unpack_to_the_very_bits_gguf_gives(quant: QuantType) -> None:
    shape = (4096, block_bytes(quant))
    blocks = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(worth(quant, blocks)).all(axis=1)
    blocks = np.ascontiguousarray(blocks[finite])
    assert len(blocks) > 2000
    ours = unpack(quant, blocks)
    assert ours.dtype == np.float32
    assert ours.tobytes() == worth(quant, blocks).tobytes()


@every_written
def test_quantized_weights_unpack_to_the_very_bits_gguf_gives(quant: QuantType) -> None:
    packed = quantize(normal_rows(64, 256), gguf.GGMLQuantizationType(quant)).view(np.uint8)
    assert unpack(quant, packed).tobytes() == worth(quant, packed).tobytes()


@every_type
def test_unpacking_a_large_tensor_equals_unpacking_its_rows(quant: QuantType) -> None:
    rng = np.random.default_rng(2)
    packed = rng.integers(0, 60, (3, 40, row_bytes(quant, 1024)), dtype=np.uint8)
    whole = unpack(quant, packed)
    assert whole.shape == (3, 40, 1024)
    for index in np.ndindex(3, 40):
        np.testing.assert_array_equal(whole[index], unpack(quant, packed[index]))


@every_written
def test_pack_writes_the_bytes_of_the_naive_twin(quant: QuantType) -> None:
    rows = normal_rows(8, 256, seed=3) * np.float32(0.05)
    rows[1] = np.round(rows[1], 2)  # ties between elements, and quants halfway
    rows[2] = -np.abs(rows[2])
    rows[3] = np.abs(rows[3]) + 1
    rows[4, :40] = 0
    packed = pack(quant, rows)
    assert packed.dtype == np.uint8
    assert packed.shape == (8, row_bytes(quant, 256))
    for row, bytes_ in zip(rows, packed, strict=True):
        assert bytes_.tobytes() == naive_quants.pack_row(quant, row)


@every_written
def test_packing_a_large_tensor_equals_packing_its_rows(quant: QuantType) -> None:
    rows = normal_rows(130, 1024, seed=4)
    np.testing.assert_array_equal(pack(quant, rows), np.stack([pack(quant, row) for row in rows]))


@pytest.mark.parametrize(
    ("quant", "digest"),
    [
        (QuantType.Q8_0, "5adc76278210069fd38abc088a23f6f3dadb595ac88fab8edd4e34c5392cece6"),
        (QuantType.Q4_0, "f69a117a8869d8497f1aa8bfcb4ce9dbaa80f115712a645652d3663627c8e612"),
    ],
)
def test_pack_writes_the_bytes_chatglm_cpp_publishes(quant: QuantType, digest: str) -> None:
    drawn = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))
    printed = [[float(f"{x:.4e}") for x in row] for row in drawn.tolist()]
    packed = pack(quant, np.array(printed, np.float32))
    assert hashlib.sha256(packed.tobytes()).hexdigest() == digest


@every_block
def test_packed_weights_differ_from_gguf_by_one_step_and_only_where_halves_round(
    quant: QuantType,
) -> None:
    """gguf multiplies by 1/d and rounds halves up or away; the converter divides, to even."""
    rows = normal_rows(64, 1024, seed=5)
    theirs = quantize(rows, gguf.GGMLQuantizationType(quant)).view(np.uint8)
    ours = pack(quant, rows)
    assert (ours == theirs).mean() > 0.999
    step = np.abs(rows).reshape(-1, 32).max(axis=1) / 7  # the coarsest format's, at most
    apart = np.abs(unpack(quant, ours) - unpack(quant, theirs)).reshape(-1, 32)
    assert (apart <= step[:, None]).all()


@every_block
def test_an_all_zero_block_packs_to_zero(quant: QuantType) -> None:
    packed = pack(quant, np.zeros((1, 32), np.float32))
    values = unpack(quant, packed)
    assert values.tobytes() == bytes(32 * 4)  # +0.0, each
    scales = 4 if quant in (QuantType.Q4_1, QuantType.Q5_1) else 2
    assert packed[0, :scales].tolist() == [0] * scales


def test_an_all_zero_q4_0_block_has_the_quants_of_the_reference() -> None:
    assert pack(QuantType.Q4_0, np.zeros((1, 32), np.float32))[0].tolist() == [0, 0] + [0x88] * 16


def test_negative_zeros_pack_like_zeros() -> None:
    block = np.full((1, 32), -0.0, np.float32)
    assert pack(QuantType.Q4_0, block).tobytes() == pack(QuantType.Q4_0, block + 0).tobytes()


def test_q8_0_rounds_halves_to_even() -> None:
    block = np.zeros((1, 32), np.float32)
    block[0, :6] = (127, 0.5, 1.5, 2.5, -0.5, -1.5)  # a scale of exactly 1
    quants = pack(QuantType.Q8_0, block)[0, 2:].view(np.int8)
    assert quants[:6].tolist() == [127, 0, 2, 2, 0, -2]


def test_q4_0_takes_the_first_of_two_largest_and_cuts_at_fifteen() -> None:
    block = np.zeros((1, 32), np.float32)
    block[0, 3], block[0, 5] = -8, 8  # -8 comes first: a scale of 1, and 8 has no quant
    packed = pack(QuantType.Q4_0, block)
    values = unpack(QuantType.Q4_0, packed)[0]
    assert (values[3], values[5]) == (-8, 7)


def test_a_constant_q4_1_block_keeps_its_constant() -> None:
    values = unpack(QuantType.Q4_1, pack(QuantType.Q4_1, np.full((1, 32), 0.5, np.float32)))
    assert (values == 0.5).all()


@every_type
def test_sizes_are_those_of_ggml(quant: QuantType) -> None:
    sizes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(quant)]
    assert (block_size(quant), block_bytes(quant)) == sizes
    assert row_bytes(quant, 1024) == 1024 // sizes[0] * sizes[1]
