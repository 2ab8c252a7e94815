"""Dot products of one panel (16 rows of a weight matrix) with a tile of token vectors.

A tile's running sums are a tuple of T vectors of 16 lanes, one per token; T is in the type, so
each width is its own straight-line code with its sums in registers. The order of additions along
k does not depend on T: a token gets the same bits alone and in a batch.

The integer product is the one step that processors offer differently. `VARIANTS` names the ways;
all give the same 32-bit integers, so every variant gives the same bits too.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.kernels.permission import tiles_allowed
from engine.kernels.vector import (
    F32,
    F32T,
    I8,
    I16,
    I32T,
    I64,
    V_F32,
    V_I32,
    IsaType,
    _call,
    _constant,
    _fma,
    _load,
    _offset,
    _read_bf16,
    _read_f16,
    _read_i8,
    _splat,
    _store,
)

TILE = 8  # most tokens whose sums are held in registers
TOKENS = 16  # token vectors are stored by as many

# Width of a weight in a float panel, by the reader that loads 16 of them.
_FLOAT_READERS: dict[int, tuple[Callable[..., ir.Value], int]] = {
    0: (lambda builder, address: _load(builder, address, V_F32), 64),
    1: (_read_f16, 32),
    24: (_read_i8, 16),
    30: (_read_bf16, 32),
}


def _vpdpbusd_512(b: ir.IRBuilder, total: ir.Value, w: ir.Value, x: ir.Value) -> ir.Value:
    return _call(b, "llvm.x86.avx512.vpdpbusd.512", V_I32, total, w, x)


def _split(b: ir.IRBuilder, vector: ir.Value, parts: int) -> list[ir.Value]:
    lanes = vector.type.count // parts
    masks = [range(part * lanes, (part + 1) * lanes) for part in range(parts)]
    kind = ir.VectorType(I32T, lanes)
    return [b.shuffle_vector(vector, vector, ir.Constant(kind, list(mask))) for mask in masks]


def _join(b: ir.IRBuilder, parts: list[ir.Value]) -> ir.Value:
    while len(parts) > 1:
        lanes = parts[0].type.count * 2
        mask = ir.Constant(ir.VectorType(I32T, lanes), list(range(lanes)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [b.shuffle_vector(low, high, mask) for low, high in pairs]
    return parts[0]


def _vpdpbusd_256(b: ir.IRBuilder, total: ir.Value, w: ir.Value, x: ir.Value) -> ir.Value:
    half = ir.VectorType(I32T, 8)
    name = "llvm.x86.avx512.vpdpbusd.256"
    parts = zip(_split(b, total, 2), _split(b, w, 2), _split(b, x, 2), strict=True)
    return _join(b, [_call(b, name, half, *part) for part in parts])


def _even_odd(b: ir.IRBuilder, w: ir.Value, x: ir.Value) -> tuple[tuple[ir.Value, ir.Value], ...]:
    """Bytes as pairs of 16-bit lanes: (w, x) at even k and at odd k; w unsigned, x signed."""
    words = ir.VectorType(I16, 32)
    eight = ir.Constant(words, [8] * 32)
    w, x = b.bitcast(w, words), b.bitcast(x, words)
    even = (b.and_(w, ir.Constant(words, [0xFF] * 32)), b.ashr(b.shl(x, eight), eight))
    return even, (b.lshr(w, eight), b.ashr(x, eight))


def _pmaddwd(b: ir.IRBuilder, total: ir.Value, w: ir.Value, x: ir.Value) -> ir.Value:
    half, words = ir.VectorType(I32T, 8), ir.VectorType(I16, 16)
    for left, right in _even_odd(b, w, x):
        pairs = zip(
            _split(b, b.bitcast(left, V_I32), 2), _split(b, b.bitcast(right, V_I32), 2), strict=True
        )
        products = [
            _call(b, "llvm.x86.avx2.pmadd.wd", half, b.bitcast(one, words), b.bitcast(two, words))
            for one, two in pairs
        ]
        total = b.add(total, _join(b, products))
    return total


def _sdot(b: ir.IRBuilder, total: ir.Value, w: ir.Value, x: ir.Value) -> ir.Value:
    """NEON multiplies signed by signed: take 128 off the weights and give 128 * sum(x) back."""
    quarter, octets = ir.VectorType(I32T, 4), ir.VectorType(I8, 16)
    name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    signed = b.xor(w, _constant(-0x7F7F7F80))  # flips the top bit of every byte
    half = ir.Constant(octets, [64] * 16)
    sums = []
    for t, left, right in zip(
        _split(b, total, 4), _split(b, signed, 4), _split(b, x, 4), strict=True
    ):
        right_bytes = b.bitcast(right, octets)
        t = _call(b, name, quarter, t, b.bitcast(left, octets), right_bytes)
        t = _call(b, name, quarter, t, half, right_bytes)
        sums.append(_call(b, name, quarter, t, half, right_bytes))
    return _join(b, sums)


def _plain(b: ir.IRBuilder, total: ir.Value, w: ir.Value, x: ir.Value) -> ir.Value:
    top = _constant(24)
    for byte in range(4):
        left = b.and_(b.lshr(w, _constant(8 * byte)), _constant(0xFF))
        right = b.ashr(b.shl(x, _constant(24 - 8 * byte)), top)
        total = b.add(total, b.mul(left, right))
    return total


Dot4 = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]

AMX = "amx"  # reads prompts by tiles (see tiles.py); all else as avx512-vnni does

VARIANTS: dict[str, Dot4] = {
    AMX: _vpdpbusd_512,
    "avx512-vnni": _vpdpbusd_512,
    "avx-vnni": _vpdpbusd_256,
    "avx2": _pmaddwd,
    "neon-dot": _sdot,
    "plain": _plain,
}

_NEEDS: dict[str, tuple[str, ...]] = {
    AMX: ("amx-tile", "amx-bf16", "amx-int8", "avx512bf16", "avx512vnni", "avx512bw", "avx512vl"),
    "avx512-vnni": ("avx512vnni", "avx512bw", "avx512vl"),
    "avx-vnni": ("avxvnni",),
    "avx2": ("avx2",),
    "neon-dot": ("dotprod",),
    "plain": (),
}


# How a block of 32 k of 16 rows is packed (see formats.py): the names, then how each opens into
# 8 registers of unsigned bytes, a group of 4 k in each.
NIBBLES, NIBBLES_AND_BIT, NIBBLES_AND_PAIR, BYTES = range(4)


def _nibbles(b: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    groups = []
    for pair in range(4):
        both = _load(b, _offset(b, address, 64 * pair), V_I32, align=64)
        groups.append(b.and_(both, _constant(0x0F0F0F0F)))
        groups.append(b.and_(b.lshr(both, _constant(4)), _constant(0x0F0F0F0F)))
    return groups


def _moved(b: ir.IRBuilder, vector: ir.Value, left: int) -> ir.Value:
    return b.shl(vector, _constant(left)) if left >= 0 else b.lshr(vector, _constant(-left))


def _nibbles_and_bit(b: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    plane = _load(b, _offset(b, address, 256), V_I32, align=64)
    mask = _constant(0x10101010)
    bits = [b.and_(_moved(b, plane, 4 - group), mask) for group in range(8)]
    return [b.or_(*both) for both in zip(_nibbles(b, address), bits, strict=True)]


def _nibbles_and_pair(b: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    planes = [_load(b, _offset(b, address, at), V_I32, align=64) for at in (256, 320)]
    mask = _constant(0x30303030)
    bits = [b.and_(_moved(b, planes[g // 4], 4 - 2 * (g % 4)), mask) for g in range(8)]
    return [b.or_(*both) for both in zip(_nibbles(b, address), bits, strict=True)]


def _bytes(b: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    return [_load(b, _offset(b, address, 64 * group), V_I32, align=64) for group in range(8)]


PACKINGS: dict[int, Callable[[ir.IRBuilder, ir.Value], list[ir.Value]]] = {
    NIBBLES: _nibbles,
    NIBBLES_AND_BIT: _nibbles_and_bit,
    NIBBLES_AND_PAIR: _nibbles_and_pair,
    BYTES: _bytes,
}


def available_variants() -> list[str]:
    """The variants that this processor runs, fastest first."""
    features = binding.get_host_cpu_features()
    runs = [n for n, needs in _NEEDS.items() if needs and all(features.get(f) for f in needs)]
    if AMX in runs and not tiles_allowed():
        runs.remove(AMX)
    return [*runs, "plain"]


@intrinsic(prefer_literal=True)
def zeros(_typing: Any, tokens: Any) -> Any:
    """A tile of `tokens` (a literal) zeroed sums."""
    tile = types.UniTuple(F32, tokens.literal_value)

    def codegen(context: Any, _builder: Any, _signature: Any, _args: Any) -> Any:
        return context.get_value_type(tile)(None)

    return tile(tokens), codegen


@intrinsic
def lane_sums(_typing: Any, tile: Any, token: Any) -> Any:
    """The sums of one token of a tile, `token` any int64 below its width."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        slot = cgutils.alloca_once_value(builder, args[0])
        return builder.load(cgutils.gep_inbounds(builder, slot, 0, args[1]), typ=V_F32)

    return F32(tile, types.int64), codegen


def _another(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """The same address, as one that LLVM knows nothing of.

    So several tokens' values are read by each instruction that needs them, rather than once for
    several panels into more registers than there are.
    """
    kind = ir.FunctionType(I64, [I64])
    return b.asm(kind, "", "=r,0", [address], True)


def _accumulate(
    b: ir.IRBuilder, dot4: Dot4, sums: ir.Value, groups: list[ir.Value], dm: ir.Value, xs: ir.Value
) -> ir.Value:
    """sums[t][row] += d[row] * scale[t] * dot(weights[row], values[t]) + m[row] * sum[t]."""
    width = sums.type.count
    values = b.extract_value(xs, 0)
    if width > 2:
        values = _another(b, values)
    dots = [ir.Constant(V_I32, None)] * width
    for group, w in enumerate(groups):
        for token in range(width):
            four = _load(b, _offset(b, values, 32 * token + 4 * group), I32T)
            dots[token] = dot4(b, dots[token], w, _splat(b, four))
    return _scale(b, sums, dots, dm, xs)


def _scale(
    b: ir.IRBuilder, sums: ir.Value, dots: list[ir.Value], dm: ir.Value, xs: ir.Value
) -> ir.Value:
    """sums[t][row] += d[row] * scale[t] * dots[t][row] + m[row] * sum[t]."""
    scale, total = b.extract_value(xs, 1), b.extract_value(xs, 2)
    d, m = b.extract_value(dm, 0), b.extract_value(dm, 1)
    for token in range(sums.type.count):
        x_scale = _splat(b, _load(b, _offset(b, scale, 4 * token), F32T))
        x_sum = _splat(b, _load(b, _offset(b, total, 4 * token), F32T))
        old = _fma(b, m, x_sum, b.extract_value(sums, token))
        new = _fma(b, b.sitofp(dots[token], V_F32), b.fmul(d, x_scale), old)
        sums = b.insert_value(sums, new, token)
    return sums


_PAIR, _TRIPLE = types.UniTuple(F32, 2), types.UniTuple(types.int64, 3)


@intrinsic(prefer_literal=True)
def add_quantized(
    _typing: Any, isa: Any, tile: Any, weights: Any, scales: Any, x: Any, groups: Any
) -> Any:
    """Add one opened block of 4 * `groups` k to every token's sums.

    `weights`: address of `groups` x 64 bytes (16 rows x 4 k, unsigned). `scales`: (d, m), a pair
    of F32 with the rows' scales and minima. `x`: addresses of tokens' int8 values [token][32
    k], float32 scales [token] and float32 scale * sum [token]. `groups`: 4 or 8, a literal.

    sums[t][row] += d[row] * scale[t] * dot(weights[row], values[t]) + m[row] * sum[t]
    """
    assert isinstance(isa, IsaType)

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _, sums, address, dm, xs, _ = args
        count = groups.literal_value
        opened = [_load(b, _offset(b, address, 64 * g), V_I32, align=64) for g in range(count)]
        return _accumulate(b, VARIANTS[isa.variant], sums, opened, dm, xs)

    return tile(isa, tile, types.int64, _PAIR, _TRIPLE, groups), codegen


@intrinsic(prefer_literal=True)
def add_packed(
    _typing: Any, isa: Any, tile: Any, packing: Any, weights: Any, scales: Any, x: Any
) -> Any:
    """As `add_quantized` for one block of 32 k still packed, opened in registers on the way."""
    assert isinstance(isa, IsaType)

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _, sums, _, address, dm, xs = args
        opened = PACKINGS[packing.literal_value](b, address)
        return _accumulate(b, VARIANTS[isa.variant], sums, opened, dm, xs)

    return tile(isa, tile, packing, types.int64, _PAIR, _TRIPLE), codegen


@intrinsic(prefer_literal=True)
def add_packed_halves(
    _typing: Any, isa: Any, tile: Any, packing: Any, weights: Any, scales: Any, x: Any
) -> Any:
    """As `add_packed` with scales for each 16 k: `scales` and `x` are pairs, one a half."""
    assert isinstance(isa, IsaType)

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _, sums, _, address, dms, xss = args
        opened = PACKINGS[packing.literal_value](b, address)
        for half in range(2):
            dm, xs = b.extract_value(dms, half), b.extract_value(xss, half)
            groups = opened[4 * half : 4 * half + 4]
            sums = _accumulate(b, VARIANTS[isa.variant], sums, groups, dm, xs)
        return sums

    pairs, triples = types.UniTuple(_PAIR, 2), types.UniTuple(_TRIPLE, 2)
    return tile(isa, tile, packing, types.int64, pairs, triples), codegen


@intrinsic
def add_products(_typing: Any, tile: Any, products: Any, scales: Any, x: Any) -> Any:
    """As `add_quantized` where the integer products are known: int32 [token][16 rows]."""

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        sums, address, dm, xs = args
        dots = [_load(b, _offset(b, address, 64 * token), V_I32) for token in range(tile.count)]
        return _scale(b, sums, dots, dm, xs)

    return tile(tile, types.int64, _PAIR, _TRIPLE), codegen


@intrinsic(prefer_literal=True)
def open_block(_typing: Any, packing: Any, source: Any, target: Any) -> Any:
    """Write one packed block of 32 k as 8 x 64 plain unsigned bytes."""

    def codegen(context: Any, b: Any, _signature: Any, args: Any) -> Any:
        _, address, out = args
        for group, value in enumerate(PACKINGS[packing.literal_value](b, address)):
            _store(b, value, _offset(b, out, 64 * group))
        return context.get_dummy_value()

    return types.void(packing, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def add_float(_typing: Any, tile: Any, kind: Any, weights: Any, x: Any, stride: Any) -> Any:
    """Add one k: sums[t] += weights[16 rows] * x[t], `kind` a literal QuantType of plain floats."""
    read, _ = _FLOAT_READERS[kind.literal_value]

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        sums, _, address, values, step = args
        w = read(b, address)
        for token in range(tile.count):
            value = _splat(b, _load(b, _at(b, values, step, token), F32T))
            sums = b.insert_value(sums, _fma(b, w, value, b.extract_value(sums, token)), token)
        return sums

    return tile(tile, kind, types.int64, types.int64, types.int64), codegen


@intrinsic
def add_scaled(_typing: Any, tile: Any, part: Any, scale: Any) -> Any:
    """sums[t] += part[t] * scale, lane by lane."""

    def codegen(_context: Any, b: Any, _signature: Any, args: Any) -> Any:
        sums, parts, factor = args
        for token in range(tile.count):
            old, more = b.extract_value(sums, token), b.extract_value(parts, token)
            sums = b.insert_value(sums, _fma(b, more, factor, old), token)
        return sums

    return tile(tile, tile, F32), codegen


def _at(b: ir.IRBuilder, address: ir.Value, stride: ir.Value, index: int) -> ir.Value:
    return b.add(address, b.mul(stride, ir.Constant(stride.type, index))) if index else address
