"""The integer product of each kind of processor: the same integers, and the promised instruction.

A processor that is not here is met half-way: its variant is compiled to its assembly, and its one
special instruction is replaced by plain ones, so that the arithmetic around it runs on ours.
"""

import re

import numpy as np
import numpy.typing as npt
import pytest
from kernel_memory import addresses, aligned, dot_tile
from llvmlite import binding, ir

from engine.kernels import dot
from engine.kernels.dot import VARIANTS, available_variants
from engine.kernels.vector import V_I32, Isa

TARGETS = {  # triple, features, the instruction it is all about
    "amx": ("x86_64", "+avx512f,+avx512vnni,+avx512bw,+avx512vl", r"vpdpbusd\s.*zmm"),
    "avx512-vnni": ("x86_64", "+avx512f,+avx512vnni,+avx512bw,+avx512vl", r"vpdpbusd\s.*zmm"),
    "avx-vnni": ("x86_64", "+avx2,+avxvnni", r"vpdpbusd\s.*ymm"),
    "avx2": ("x86_64", "+avx2", r"vpmaddwd\s.*ymm"),
    "neon-dot": ("aarch64", "+neon,+dotprod", r"sdot\s+v"),
    "plain": ("aarch64", "+neon", r"mla\s+v|mul\s+v"),
}


def octets() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
    """A block's bytes [8 groups][16 rows][4] and 8 tokens' [8 groups][8][4], extremes included."""
    rng = np.random.default_rng(5)
    w = rng.integers(0, 256, (8, 16, 4))
    x = rng.integers(-127, 128, (8, 8, 4))
    w[:, 0], w[:, 1], x[:, 0], x[:, 1] = 255, 0, 127, -127
    return w.astype(np.uint8), x.astype(np.int8)


def dots(variant: str) -> npt.NDArray[np.float32]:
    w, x = octets()
    weights = aligned(w.size)
    weights[:] = w.reshape(-1)
    ones, zeros = np.ones(8, np.float32), np.zeros(8, np.float32)
    out = np.zeros((8, 16), np.float32)
    tokens = np.ascontiguousarray(x.transpose(1, 0, 2))  # as they lie: [token][32 k]
    where = addresses((tokens, ones, zeros))
    dot_tile(Isa(variant), weights.ctypes.data, where, out.ctypes.data)
    return out


def expected() -> npt.NDArray[np.float32]:
    w, x = octets()
    return np.einsum("gri,gti->tr", w.astype(np.int64), x.astype(np.int64)).astype(np.float32)


@pytest.mark.parametrize("variant", available_variants())
def test_a_variant_of_this_processor_gives_the_exact_integers(variant: str) -> None:
    assert np.array_equal(dots(variant), expected())


def _emulated(
    b: ir.IRBuilder, name: str, result: ir.Type, total: ir.Value, w: ir.Value, x: ir.Value
) -> ir.Value:
    """sdot by its definition: each lane adds four products of signed bytes."""
    assert name == "llvm.aarch64.neon.sdot.v4i32.v16i8"
    wide = ir.VectorType(ir.IntType(32), 16)
    products = b.mul(b.sext(w, wide), b.sext(x, wide))
    for byte in range(4):
        mask = ir.Constant(result, [4 * lane + byte for lane in range(4)])
        total = b.add(total, b.shuffle_vector(products, products, mask))
    return total


def test_the_arithmetic_around_neons_instruction_gives_the_exact_integers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dot, "_call", _emulated)
    monkeypatch.setitem(VARIANTS, "neon-emulated", VARIANTS["neon-dot"])
    assert np.array_equal(dots("neon-emulated"), expected())


def assembly(variant: str) -> str:
    """One product of 64 bytes, compiled for the variant's own processor."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine, features, _ = TARGETS[variant]
    module = ir.Module()
    module.triple = f"{machine}-unknown-linux-gnu"
    pointer = V_I32.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3), "product")
    builder = ir.IRBuilder(function.append_basic_block())
    total, w, x = (builder.load(argument, typ=V_I32) for argument in function.args)
    builder.store(VARIANTS[variant](builder, total, w, x), function.args[0])
    builder.ret_void()
    target = binding.Target.from_triple(module.triple)
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    text: str = target.create_target_machine(features=features, opt=3).emit_assembly(parsed)
    return text


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_compiles_to_the_instruction_it_is_for(variant: str) -> None:
    assert re.search(TARGETS[variant][2], assembly(variant))


def features(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = dict.fromkeys(names, True)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: found)


def test_a_processor_runs_what_it_has_the_features_for_fastest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features(monkeypatch, "avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni")
    assert available_variants() == ["avx512-vnni", "avx2", "plain"]
    tiles = ("amx-tile", "amx-bf16", "amx-int8", "avx512bf16", "avx512bw", "avx512vl", "avx512vnni")
    features(monkeypatch, *tiles)
    monkeypatch.setattr(dot, "tiles_allowed", lambda: True)
    assert available_variants() == ["amx", "avx512-vnni", "plain"]
    features(monkeypatch, "avx2", "avxvnni")
    assert available_variants() == ["avx-vnni", "avx2", "plain"]
    features(monkeypatch, "neon", "dotprod")
    assert available_variants() == ["neon-dot", "plain"]


def test_tiles_that_the_system_will_not_hand_out_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiles = ("amx-tile", "amx-bf16", "amx-int8", "avx512bf16", "avx512bw", "avx512vl", "avx512vnni")
    features(monkeypatch, *tiles)
    monkeypatch.setattr(dot, "tiles_allowed", lambda: False)
    assert available_variants() == ["avx512-vnni", "plain"]


def test_a_processor_that_nothing_is_known_of_runs_the_plain_variant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features(monkeypatch)
    assert available_variants() == ["plain"]


def test_every_variant_is_tested_for_its_own_processor() -> None:
    assert TARGETS.keys() == VARIANTS.keys()
