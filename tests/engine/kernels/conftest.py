"""The kernels that these tests call one by one are kept between runs, as the engine's own are."""

import kernel_memory
import pytest

from engine.kernels import (
    attention,
    attention_tiled,
    elementwise,
    formats,
    linear,
    tiled,
    tiled_bytes,
)

KERNELS = (
    attention.attend,
    attention.rotate_and_cache,
    attention_tiled.attend_tiled,
    elementwise.norm_tokens,
    elementwise.prepare_tokens,
    elementwise.rotate,
    elementwise.swiglu,
    formats.open_blocks,
    linear.linear,
    tiled.gated_tiled,
    tiled.linear_tiled,
    tiled_bytes.linear_tiled_bytes,
    kernel_memory.exp_lanes,
    kernel_memory.follow_steps,
    kernel_memory.lead_steps,
    kernel_memory.spread_halves,
    kernel_memory.work_in_phases,
)


@pytest.fixture(scope="session", autouse=True)
def _keep_kernels(_kernel_cache: None) -> None:
    for kernel in KERNELS:
        kernel.enable_caching()
