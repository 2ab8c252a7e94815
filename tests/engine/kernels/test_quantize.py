"""The compiled quantizers against their naive twin, bit by bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.kernels import quantize
from engine.quants import QuantType, pack

BLOCKS = (QuantType.Q4_0, QuantType.Q4_1, QuantType.Q5_0, QuantType.Q5_1, QuantType.Q8_0)
every_block = pytest.mark.parametrize("quant", BLOCKS, ids=lambda quant: quant.name)


@every_block
def test_random_weights_pack_to_the_same_bytes(quant: QuantType) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((64, 1024)).astype(np.float16).astype(np.float32)
    rows[5] *= 1e-7
    rows[6] = np.abs(rows[6])
    rows[7] = np.round(rows[7])  # ties, and quants half way between
    rows[8, 32:64] = 0
    rows[9] = -0.0
    rows[10] = 3.5
    assert np.array_equal(quantize.pack(quant, rows), pack(quant, rows))


@every_block
@given(
    block=arrays.arrays(
        np.float32, (2, 32), elements=st.floats(-60000, 60000, width=16, allow_subnormal=True)
    )
)
def test_any_block_packs_to_the_same_bytes(quant: QuantType, block: np.ndarray) -> None:
    block += 0  # which of two zeros is the least is not said
    assert np.array_equal(quantize.pack(quant, block), pack(quant, block))


@pytest.mark.parametrize("quant", [QuantType.F16, QuantType.F32])
def test_what_is_no_block_format_is_left_to_the_twin(quant: QuantType) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 7)).astype(np.float32)
    assert np.array_equal(quantize.pack(quant, rows), pack(quant, rows))


def test_rows_keep_their_shape() -> None:
    rows = np.ones((2, 3, 64), np.float32)
    assert quantize.pack(QuantType.Q4_1, rows).shape == (2, 3, 40)
