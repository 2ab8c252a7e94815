"""Packing a file's rows into panels and opening them again, against the file's own values."""

import naive
import numpy as np
import pytest
from kernel_memory import K_TYPES, QUANTIZED, Bytes, Floats, Room, aligned, random_blocks

from engine.kernels.formats import (
    CHUNK,
    ROWS,
    block_bytes,
    open_blocks,
    panel_bytes,
    types_for,
    unit_bytes,
)
from engine.kernels.pack import pack, pack_span
from engine.quants import QuantType, row_bytes, unpack

FLOAT_TYPES = {QuantType.F32: np.uint32, QuantType.F16: np.uint16, QuantType.BF16: np.uint16}


def packed(kind: QuantType, raw: Bytes, rows: int, k: int) -> Bytes:
    out = aligned(-(-rows // ROWS) * panel_bytes(int(kind), k))
    pack(kind, raw, (rows, k), out)
    return out


def opened(kind: QuantType, panel: Bytes, k: int) -> Floats:
    """A whole panel's weights [16][k], opened chunk by chunk as the kernels do."""
    blocks, at = k // 32, panel.ctypes.data
    scales_at, parts = at + blocks * block_bytes(int(kind)), []
    for first in range(0, blocks, CHUNK):
        count, chunk = min(CHUNK, blocks - first), first // CHUNK
        room = Room(256)
        quants = at + first * block_bytes(int(kind))
        scales = scales_at + chunk * unit_bytes(int(kind))
        where = open_blocks(int(kind), quants, scales, count, room.addresses)
        source = room.bytes if where == room.addresses[0] else panel[where - at :]
        n_scales = count * (2 if kind is QuantType.Q6_K else 1)
        octets = source[: count * 512].reshape(count, 8, 16, 4)
        parts.append(naive.opened_weights(octets, room.d[:n_scales], room.m[:n_scales]))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("kind", QUANTIZED)
def test_opened_panels_hold_the_files_weights_to_the_bit(kind: QuantType) -> None:
    rows, k = 37, 512 if kind in K_TYPES else 352  # 11 blocks: the last chunk is not whole
    raw = random_blocks(kind, rows, k)
    expected = np.zeros((48, k), np.float32)
    expected[:rows] = unpack(kind, raw).reshape(rows, k)
    panels = packed(kind, raw, rows, k).reshape(3, -1)
    got = np.concatenate([opened(kind, panel, k) for panel in panels])
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("kind", FLOAT_TYPES)
def test_float_panels_are_the_rows_side_by_side(kind: QuantType) -> None:
    rows, k = 21, 96
    raw = random_blocks(kind, rows, k)
    words = packed(kind, raw, rows, k).view(FLOAT_TYPES[kind])
    expected = np.zeros((32, k), words.dtype)
    expected[:rows] = raw.view(words.dtype).reshape(rows, k)
    assert np.array_equal(words, expected.reshape(2, 16, k).swapaxes(1, 2).reshape(-1))


@pytest.mark.parametrize("kind", QUANTIZED)
def test_panels_keep_the_files_size_but_for_bytes_in_place_of_6_bit_scales(kind: QuantType) -> None:
    grown = 4 * 16 * 16 if kind in (QuantType.Q4_K, QuantType.Q5_K) else 0
    assert panel_bytes(int(kind), 4096) == 16 * row_bytes(kind, 4096) + grown


@pytest.mark.parametrize("kind", [QuantType.Q4_0, QuantType.F16])
def test_threads_pack_spans_of_panels_into_the_same_bytes(kind: QuantType) -> None:
    rows, k = 70, 64
    raw = random_blocks(kind, rows, k)
    whole = packed(kind, raw, rows, k)
    spans = aligned(whole.size)
    for span in ((3, 5), (0, 1), (1, 3)):
        pack_span(kind, raw, (rows, k), spans, span)
    assert np.array_equal(spans, whole)


@pytest.mark.parametrize(
    ("kinds", "covered"),
    [
        ([QuantType.F16, QuantType.Q4_0, QuantType.Q8_0], "simple"),
        ([QuantType.F32, QuantType.Q4_0], "q4_0"),
        ([QuantType.F32, QuantType.Q4_K, QuantType.Q6_K], "q4_k_m"),
        ([QuantType.Q4_K, QuantType.Q5_K], "k"),
        ([QuantType.Q5_1, QuantType.Q5_K], "all"),
        ([QuantType.BF16], "q4_0"),
    ],
)
def test_no_more_kernels_are_compiled_than_a_files_types_need(
    kinds: list[QuantType], covered: str
) -> None:
    assert types_for([int(kind) for kind in kinds]) == covered
