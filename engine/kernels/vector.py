"""Vector types and intrinsics for numba: the only place that writes LLVM by hand.

Two types of 16 lanes, `I32` (64 bytes, often read as 64 x int8) and `F32`. LLVM splits them for
processors with narrower registers, so kernels never ask how wide the machine is. Memory is named
by address (an int64), because weights, caches and scratch live in blocks that the engine checked
and laid out at load; nothing here checks bounds.

`isa` arguments carry the kernel variant in their *type* (see `Isa`), so each variant compiles to
its own machine code and all of them can live in one process.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.pythonapi import NativeValue
from numba.extending import (
    intrinsic,
    models,
    overload,
    register_model,
    typeof_impl,
    unbox,
)

LANES = 16
I8 = ir.IntType(8)
I16 = ir.IntType(16)
I32T = ir.IntType(32)
I64 = ir.IntType(64)
F16T = ir.HalfType()
F32T = ir.FloatType()
V_I32 = ir.VectorType(I32T, LANES)
V_F32 = ir.VectorType(F32T, LANES)


class VectorType(types.Type):
    """A register of 16 lanes, passed by value."""

    def __init__(self, name: str, llvm: ir.VectorType) -> None:
        self.llvm = llvm
        super().__init__(name=name)


I32 = VectorType("I32x16", V_I32)
F32 = VectorType("F32x16", V_F32)


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


class Isa:
    """The kernel variant as a value whose numba type says what to compile.

    `types`: the packed types whose kernels are wanted, a key of `formats.TYPES`.
    """

    def __init__(self, name: str, types: str = "all") -> None:
        self.name, self.types = name, types


class IsaType(types.Type):
    def __init__(self, variant: str, packed: str) -> None:
        self.variant, self.packed = variant, packed
        super().__init__(name=f"Isa({variant}, {packed})")


@typeof_impl.register(Isa)
def _typeof_isa(value: Isa, _context: Any) -> IsaType:
    return IsaType(value.name, value.types)


register_model(IsaType)(models.OpaqueModel)


@unbox(IsaType)
def _unbox_isa(_typ: IsaType, _obj: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


# --- helpers for the code generators below ------------------------------------------------------


def _pointer(builder: ir.IRBuilder, address: ir.Value, llvm: ir.Type) -> ir.Value:
    return builder.inttoptr(address, llvm.as_pointer())


def _load(builder: ir.IRBuilder, address: ir.Value, llvm: ir.Type, align: int = 1) -> ir.Value:
    pointer = _pointer(builder, address, llvm)
    return builder.load(pointer, align=align, typ=llvm)


def _store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
    builder.store(value, _pointer(builder, address, value.type), align=1)


def _offset(builder: ir.IRBuilder, address: ir.Value, by: int) -> ir.Value:
    return builder.add(address, ir.Constant(I64, by)) if by else address


def _splat(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    vector = ir.VectorType(scalar.type, LANES)
    lane = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32T, 0))
    mask = ir.Constant(ir.VectorType(I32T, LANES), None)
    return builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), mask)


def _constant(value: int, llvm: ir.VectorType = V_I32) -> ir.Constant:
    return ir.Constant(llvm, [value] * llvm.count)


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), args)


def _fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    return _call(builder, "llvm.fma.v16f32", V_F32, a, b, c)


# --- loads and stores ---------------------------------------------------------------------------


def _loader(result: types.Type, read: Callable[[ir.IRBuilder, ir.Value], ir.Value]) -> Any:
    """An intrinsic `f(address) -> result` from a code generator."""

    @intrinsic
    def load(_typing: Any, address: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return read(builder, args[0])

        return result(types.int64), codegen

    return load


def _read_f16(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.fpext(_load(builder, address, ir.VectorType(F16T, LANES)), V_F32)


def _read_bf16(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    wide = builder.zext(_load(builder, address, ir.VectorType(I16, LANES)), V_I32)
    return builder.bitcast(builder.shl(wide, _constant(16)), V_F32)


def _read_u8(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    wide = builder.zext(_load(builder, address, ir.VectorType(I8, LANES)), V_I32)
    return builder.sitofp(wide, V_F32)


def _read_i8(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    wide = builder.sext(_load(builder, address, ir.VectorType(I8, LANES)), V_I32)
    return builder.sitofp(wide, V_F32)


load_i32 = _loader(I32, lambda builder, address: _load(builder, address, V_I32))
load_f32 = _loader(F32, lambda builder, address: _load(builder, address, V_F32))
load_f16 = _loader(F32, _read_f16)
load_bf16 = _loader(F32, _read_bf16)
load_u8 = _loader(F32, _read_u8)
load_i8 = _loader(F32, _read_i8)
scalar_f32 = _loader(types.float32, lambda builder, address: _load(builder, address, F32T))
scalar_u8 = _loader(types.uint8, lambda builder, address: _load(builder, address, I8))
scalar_u16 = _loader(types.uint16, lambda builder, address: _load(builder, address, I16))
scalar_f16 = _loader(
    types.float32, lambda builder, address: builder.fpext(_load(builder, address, F16T), F32T)
)


@intrinsic
def store(_typing: Any, address: Any, value: Any) -> Any:
    """Write a vector (64 bytes), a float32 (4) or a uint8 (1) at `address`."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _store(builder, args[1], args[0])
        return context.get_dummy_value()

    return types.void(types.int64, value), codegen


def _to_f16(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """float32 as float16, clamped so that it does not become infinite; NaN stays NaN."""
    halves: ir.Type = F16T
    if isinstance(value.type, ir.VectorType):
        halves = ir.VectorType(F16T, value.type.count)
    for beyond, limit in ((">", 65504.0), ("<", -65504.0)):
        bound = ir.Constant(F32T, limit)
        if halves is not F16T:
            bound = ir.Constant(value.type, [limit] * LANES)
        value = builder.select(builder.fcmp_ordered(beyond, value, bound), bound, value)
    return builder.fptrunc(value, halves)


@intrinsic
def store_f16(_typing: Any, address: Any, value: Any) -> Any:
    """Write a float32 as float16, clamped so that it does not become infinite; NaN stays NaN."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _store(builder, _to_f16(builder, args[1]), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), codegen


def _spread(builder: ir.IRBuilder, address: ir.Value, value: ir.Value, stride: ir.Value) -> None:
    """Write 16 lanes, each `stride` bytes after the one before."""
    for i in range(LANES):
        _store(builder, builder.extract_element(value, ir.Constant(I32T, i)), address)
        address = builder.add(address, stride)


@intrinsic
def store_halves(_typing: Any, address: Any, value: Any, stride: Any) -> Any:
    """Write 16 float32 as `store_f16` does, each `stride` bytes after the one before."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _spread(builder, args[0], _to_f16(builder, args[1]), args[2])
        return context.get_dummy_value()

    return types.void(types.int64, F32, types.int64), codegen


@intrinsic
def store_floats(_typing: Any, address: Any, value: Any, stride: Any) -> Any:
    """Write 16 float32, each `stride` bytes after the one before."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _spread(builder, args[0], args[1], args[2])
        return context.get_dummy_value()

    return types.void(types.int64, F32, types.int64), codegen


@intrinsic
def store_bf16(_typing: Any, address: Any, value: Any) -> Any:
    """Write 16 float32 as bfloat16, rounded to even; NaN stays NaN."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[1], V_I32)
        odd = builder.and_(builder.lshr(bits, _constant(16)), _constant(1))
        rounded = builder.add(bits, builder.add(odd, _constant(0x7FFF)))
        unordered = builder.fcmp_unordered("uno", args[1], args[1])
        kept = builder.select(unordered, _constant(0x7FC00000), rounded)
        halves = builder.trunc(builder.lshr(kept, _constant(16)), ir.VectorType(I16, LANES))
        _store(builder, halves, args[0])
        return context.get_dummy_value()

    return types.void(types.int64, F32), codegen


@intrinsic
def prefetch(_typing: Any, address: Any) -> Any:
    """Ask for the cache line at `address` to be brought close; harmless past the end."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], I8)
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, I32T, I32T, I32T])
        function = cgutils.get_or_insert_function(
            builder.module, signature, f"llvm.prefetch.{pointer.type.intrinsic_name}"
        )
        flags = [ir.Constant(I32T, value) for value in (0, 3, 1)]
        builder.call(function, [pointer, *flags])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


# --- arithmetic ---------------------------------------------------------------------------------


@intrinsic
def splat_f32(_typing: Any, value: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return F32(types.float32), codegen


@intrinsic
def splat_i32(_typing: Any, value: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return I32(types.int32), codegen


def _unary(argument: types.Type, result: types.Type, emit: Callable[..., ir.Value]) -> Any:
    @intrinsic
    def op(_typing: Any, a: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return result(argument), codegen

    return op


def _binary(kind: types.Type, emit: Callable[..., ir.Value]) -> Any:
    @intrinsic
    def op(_typing: Any, a: Any, b: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1])

        return kind(kind, kind), codegen

    return op


def _operator(symbol: Any, floats: Any, integers: Any) -> None:
    """Let kernels write `a + b` on vectors."""

    @overload(symbol, inline="always")
    def _symbol(a: Any, b: Any) -> Any:
        def on_floats(a: Any, b: Any) -> Any:
            return floats(a, b)

        def on_integers(a: Any, b: Any) -> Any:
            return integers(a, b)

        if a == F32 and b == F32 and floats is not None:
            return on_floats
        if a == I32 and b == I32 and integers is not None:
            return on_integers
        return None


_operator(operator.add, _binary(F32, ir.IRBuilder.fadd), _binary(I32, ir.IRBuilder.add))
_operator(operator.sub, _binary(F32, ir.IRBuilder.fsub), _binary(I32, ir.IRBuilder.sub))
_operator(operator.mul, _binary(F32, ir.IRBuilder.fmul), _binary(I32, ir.IRBuilder.mul))
_operator(operator.truediv, _binary(F32, ir.IRBuilder.fdiv), None)
_operator(operator.and_, None, _binary(I32, ir.IRBuilder.and_))
_operator(operator.or_, None, _binary(I32, ir.IRBuilder.or_))
_operator(operator.xor, None, _binary(I32, ir.IRBuilder.xor))
_operator(operator.lshift, None, _binary(I32, ir.IRBuilder.shl))
_operator(operator.rshift, None, _binary(I32, ir.IRBuilder.lshr))

to_f32 = _unary(I32, F32, lambda builder, a: builder.sitofp(a, V_F32))
to_i32 = _unary(F32, I32, lambda builder, a: builder.fptosi(a, V_I32))
as_f32 = _unary(I32, F32, lambda builder, a: builder.bitcast(a, V_F32))
nearest = _unary(F32, F32, lambda builder, a: _call(builder, "llvm.rint.v16f32", V_F32, a))
absolute = _unary(F32, F32, lambda builder, a: _call(builder, "llvm.fabs.v16f32", V_F32, a))
maximum = _binary(F32, lambda builder, a, b: _call(builder, "llvm.maxnum.v16f32", V_F32, a, b))
minimum = _binary(F32, lambda builder, a, b: _call(builder, "llvm.minnum.v16f32", V_F32, a, b))


@intrinsic
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding, on every processor the same."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _fma(builder, *args)

    return F32(F32, F32, F32), codegen


def _reduce(builder: ir.IRBuilder, vector: ir.Value, step: Callable[..., ir.Value]) -> ir.Value:
    """Fold the upper half onto the lower until one lane is left: the same order everywhere."""
    width = LANES
    while width > 1:
        width //= 2
        lanes = [*range(width, 2 * width), *range(LANES - width)]
        mask = ir.Constant(ir.VectorType(I32T, LANES), lanes)
        vector = step(builder, vector, builder.shuffle_vector(vector, vector, mask))
    return builder.extract_element(vector, ir.Constant(I32T, 0))


reduce_sum = _unary(F32, types.float32, lambda b, a: _reduce(b, a, lambda b, x, y: b.fadd(x, y)))
reduce_sum_i32 = _unary(I32, types.int32, lambda b, a: _reduce(b, a, lambda b, x, y: b.add(x, y)))
reduce_max = _unary(
    F32,
    types.float32,
    lambda b, a: _reduce(b, a, lambda b, x, y: _call(b, "llvm.maxnum.v16f32", V_F32, x, y)),
)


@intrinsic
def store_bytes(_typing: Any, address: Any, value: Any) -> Any:
    """Write 16 int32 lanes as 16 int8."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _store(builder, builder.trunc(args[1], ir.VectorType(I8, LANES)), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, I32), codegen


@intrinsic
def copy_16(_typing: Any, source: Any, target: Any) -> Any:
    """Copy 16 bytes."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _store(builder, _load(builder, args[0], ir.VectorType(I8, LANES)), args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def store_octets(_typing: Any, address: Any, value: Any, stride: Any) -> Any:
    """Write 16 int32 lanes as int8, each `stride` bytes after the one before."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        octets = builder.trunc(args[1], ir.VectorType(I8, LANES))
        _spread(builder, args[0], octets, args[2])
        return context.get_dummy_value()

    return types.void(types.int64, I32, types.int64), codegen


@intrinsic
def turn_pairs(_typing: Any, address: Any, cos: Any, sin: Any) -> Any:
    """Turn 16 pairs of neighbours at `address` in place: (x cos - y sin, x sin + y cos)."""
    pairs, swapped = [lane // 2 for lane in range(LANES)], [lane ^ 1 for lane in range(LANES)]
    signs = ir.Constant(V_F32, [-1.0, 1.0] * (LANES // 2))

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        def lanes(value: ir.Value, order: list[int]) -> ir.Value:
            mask = ir.Constant(ir.VectorType(I32T, LANES), order)
            return builder.shuffle_vector(value, value, mask)

        for half in range(2):
            at = _offset(builder, args[0], 64 * half)
            value, order = _load(builder, at, V_F32), [LANES // 2 * half + pair for pair in pairs]
            turned = builder.fmul(lanes(value, swapped), lanes(args[2], order))
            kept = builder.fmul(value, lanes(args[1], order))
            _store(builder, builder.fadd(kept, builder.fmul(turned, signs)), at)
        return context.get_dummy_value()

    return types.void(types.int64, F32, F32), codegen


@intrinsic
def lanes_below(_typing: Any, value: Any, count: Any) -> Any:
    """`value` in the first `count` lanes, -inf in the others."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        index = ir.Constant(V_I32, list(range(LANES)))
        keep = builder.icmp_signed("<", index, _splat(builder, builder.trunc(args[1], I32T)))
        return builder.select(keep, args[0], ir.Constant(V_F32, [float("-inf")] * LANES))

    return F32(F32, types.int64), codegen


@intrinsic
def where_above(_typing: Any, value: Any, limit: Any, result: Any) -> Any:
    """`result` in the lanes where value > limit, 0 in the others (and where value is NaN)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        above = builder.fcmp_ordered(">", args[0], args[1])
        return builder.select(above, args[2], ir.Constant(V_F32, None))

    return F32(F32, F32, F32), codegen
