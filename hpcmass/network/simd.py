"""Short vectors for numba kernels: 16 float32, 16 uint32, 8 uint64 and 16 truth values a piece.

Numba has no vector types, and LLVM vectorises a plain loop only when it can prove a great deal about it. Here the
vectors are spelt out, so a kernel is vectorised by construction: a loop over groups of 16 neurons whose body
reads like the equation. LLVM maps the fixed width to whatever the processor has (one AVX-512 register, two of
AVX2, four of NEON) with identical results, because every operation is exactly rounded (add, multiply, fused
multiply-add, square root) or integer.

Inside a kernel:

    u = load_f32(potential, i)               # 16 neighbours of a float32 array, from index i
    fired = u >= splat_f32(threshold)        # truth values
    store_f32(potential, i, select(fired, splat_f32(reset), u))

`+ - * & | ^ << >> >=` work between vectors of the same kind, `<<` and `>>` take literal counts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
"""Neurons per float32 vector; every array that a kernel walks is padded to a multiple of 2 × LANES."""

ALIGNMENT = 64
"""Bytes: one AVX-512 register and one cache line."""


class Vector(types.Type):
    """A numba type: `lanes` values of one LLVM element type."""

    def __init__(self, name: str, element: ir.Type, lanes: int) -> None:
        super().__init__(name=f"hpcmass.{name}")
        self.llvm = ir.VectorType(element, lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


f32x16 = Vector("f32x16", ir.FloatType(), 16)
u32x16 = Vector("u32x16", ir.IntType(32), 16)
u64x8 = Vector("u64x8", ir.IntType(64), 8)
mask16 = Vector("mask16", ir.IntType(1), 16)

Emit = Callable[..., Any]


def _wide(builder: ir.IRBuilder) -> None:
    """Ask LLVM for full-width registers in the current function.

    On several Intel processors it prefers 256 bits, for mixed workloads' sake; this loop is not one. llvmlite
    knows no such attribute by name, hence the bare `set.add`.
    """
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')


def _operator(symbol: Any, argument_types: tuple[Any, ...], result: Any, emit: Emit) -> None:
    """Register `symbol` (of the operator module) for the given vector types."""

    class Template(ConcreteTemplate):
        key = symbol
        cases = [signature(result, *argument_types)]  # noqa: RUF012

    infer_global(symbol)(Template)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        _wide(builder)
        return emit(builder, *args)

    lower_builtin(symbol, *argument_types)(lower)


for _symbol, _method in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _operator(_symbol, (f32x16, f32x16), f32x16, lambda b, x, y, m=_method: getattr(b, m)(x, y))
for _kind in (u32x16, u64x8):
    for _symbol, _method in (
        (operator.add, "add"), (operator.sub, "sub"), (operator.and_, "and_"), (operator.or_, "or_"),
        (operator.xor, "xor"),
    ):  # fmt: skip
        _operator(_symbol, (_kind, _kind), _kind, lambda b, x, y, m=_method: getattr(b, m)(x, y))
    for _symbol, _method in ((operator.lshift, "shl"), (operator.rshift, "lshr")):
        for _int in (types.int64, types.int32, types.uint64):
            _operator(
                _symbol, (_kind, _int), _kind,
                lambda b, x, n, m=_method, k=_kind: getattr(b, m)(x, _splat(b, _resize(b, n, k), k)),
            )  # fmt: skip
_operator(operator.ge, (f32x16, f32x16), mask16, lambda b, x, y: b.fcmp_ordered(">=", x, y))


def _splat(builder: ir.IRBuilder, scalar: Any, kind: Vector) -> Any:
    one = builder.insert_element(ir.Constant(kind.llvm, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.llvm.count), None)
    return builder.shuffle_vector(one, ir.Constant(kind.llvm, ir.Undefined), zeros)


def _resize(builder: ir.IRBuilder, number: Any, kind: Vector) -> Any:
    """An integer scalar as wide as the elements of `kind`."""
    wanted, have = kind.llvm.element.width, number.type.width
    if wanted == have:
        return number
    return builder.trunc(number, ir.IntType(wanted)) if wanted < have else builder.zext(number, ir.IntType(wanted))


def _function(argument_types: tuple[Any, ...], result: Any, emit: Emit, doc: str) -> Any:
    """An intrinsic with fixed scalar or vector arguments."""

    def build(typingctx: Any, *given: Any) -> Any:
        if len(given) != len(argument_types):
            return None

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _wide(builder)
            return emit(builder, *args)

        return signature(result, *argument_types), codegen

    # numba wants the arguments named one by one
    by_arity: dict[int, Emit] = {
        1: lambda typingctx, x: build(typingctx, x),
        2: lambda typingctx, x, y: build(typingctx, x, y),
        3: lambda typingctx, x, y, z: build(typingctx, x, y, z),
    }
    made = intrinsic(by_arity[len(argument_types)])
    made.__doc__ = doc
    return made


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *args: Any) -> Any:
    kind = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


splat_f32 = _function((types.float32,), f32x16, lambda b, x: _splat(b, x, f32x16), "16 copies of a float32.")
splat_u32 = _function((types.uint32,), u32x16, lambda b, x: _splat(b, x, u32x16), "16 copies of a uint32.")
splat_u64 = _function((types.uint64,), u64x8, lambda b, x: _splat(b, x, u64x8), "8 copies of a uint64.")
fma = _function(
    (f32x16, f32x16, f32x16), f32x16, lambda b, x, y, z: _call(b, "llvm.fma.v16f32", f32x16.llvm, x, y, z),
    "x * y + z, rounded once.",
)  # fmt: skip
sqrt = _function((f32x16,), f32x16, lambda b, x: _call(b, "llvm.sqrt.v16f32", f32x16.llvm, x), "Square root.")
minimum = _function(
    (f32x16, f32x16), f32x16, lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y), "Smaller of the two."
)
select = _function((mask16, f32x16, f32x16), f32x16, lambda b, m, x, y: b.select(m, x, y), "x where the mask holds.")
as_bits = _function((f32x16,), u32x16, lambda b, x: b.bitcast(x, u32x16.llvm), "The floats' bit patterns.")
as_floats = _function((u32x16,), f32x16, lambda b, x: b.bitcast(x, f32x16.llvm), "Bit patterns read as floats.")
halves = _function((u64x8,), u32x16, lambda b, x: b.bitcast(x, u32x16.llvm), "8 words of 64 bits as 16 of 32.")
signed_to_float = _function(
    (u32x16,), f32x16, lambda b, x: b.sitofp(x, f32x16.llvm), "Bit patterns read as signed integers, as floats."
)
unsigned_to_float = _function(
    (u32x16,), f32x16, lambda b, x: b.uitofp(x, f32x16.llvm), "Bit patterns read as unsigned integers, as floats."
)
shift_signed = _function(
    (u32x16, types.uint32), u32x16, lambda b, x, n: b.ashr(x, _splat(b, n, u32x16)), "Arithmetic shift to the right."
)
rotate = _function(
    (u64x8, types.uint64), u64x8,
    lambda b, x, n: _call(b, "llvm.fshl.v8i64", u64x8.llvm, x, x, _splat(b, n, u64x8)), "Rotate left.",
)  # fmt: skip
words = _function((u32x16,), u64x8, lambda b, x: b.bitcast(x, u64x8.llvm), "16 words of 32 bits as 8 of 64.")
nonzero = _function(
    (u32x16,), mask16, lambda b, x: b.icmp_unsigned("!=", x, ir.Constant(u32x16.llvm, None)), "Where not zero."
)
where_set = _function(
    (mask16, u32x16), u32x16, lambda b, m, x: b.select(m, x, ir.Constant(u32x16.llvm, None)), "x or 0."
)


trailing_zeros = _function(
    (types.uint64,), types.int64,
    lambda b, x: _call(b, "llvm.cttz.i64", ir.IntType(64), x, ir.Constant(ir.IntType(1), 0)), "Index of the lowest 1.",
)  # fmt: skip
count_ones_each = _function(
    (u64x8,), u64x8, lambda b, x: _call(b, "llvm.ctpop.v8i64", u64x8.llvm, x), "Number of ones in each of 8 words."
)


def _fold(builder: ir.IRBuilder, x: Any, combine: Emit) -> Any:
    """Reduce a vector to a scalar by halving: a fixed order, so the same sum on every machine."""
    count = x.type.count
    while count > 1:
        count //= 2
        index = ir.VectorType(ir.IntType(32), count)
        undefined = ir.Constant(x.type, ir.Undefined)
        low = builder.shuffle_vector(x, undefined, ir.Constant(index, list(range(count))))
        high = builder.shuffle_vector(x, undefined, ir.Constant(index, list(range(count, 2 * count))))
        x = combine(builder, low, high)
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


add_up = _function((f32x16,), types.float32, lambda b, x: _fold(b, x, lambda b, p, q: b.fadd(p, q)), "Sum of 16.")
lowest = _function(
    (f32x16,), types.float32, lambda b, x: _fold(b, x, lambda b, p, q: b.select(b.fcmp_ordered("<", p, q), p, q)),
    "Smallest of 16.",
)  # fmt: skip
add_up_words = _function((u64x8,), types.uint64, lambda b, x: _fold(b, x, lambda b, p, q: b.add(p, q)), "Sum of 8.")
merge_words = _function((u64x8,), types.uint64, lambda b, x: _fold(b, x, lambda b, p, q: b.or_(p, q)), "OR of 8.")


def _pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: Any, target: ir.Type) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def _load(kind: Any, llvm: ir.Type, alignment: int, doc: str) -> Any:
    @intrinsic
    def load(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _wide(builder)
            value = builder.load(_pointer(context, builder, sig.args[0], args[0], args[1], llvm))
            value.align = alignment
            return value

        return kind(array, types.intp), codegen

    load.__doc__ = doc
    return load


def _store(kind: Any, alignment: int, doc: str) -> Any:
    @intrinsic
    def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _wide(builder)
            pointer = _pointer(context, builder, sig.args[0], args[0], args[1], args[2].type)
            builder.store(args[2], pointer).align = alignment
            return context.get_dummy_value()

        return types.void(array, types.intp, kind), codegen

    store.__doc__ = doc
    return store


load_f32 = _load(f32x16, f32x16.llvm, 4, "16 neighbours of a float32 array (C order, flat index).")
load_u64 = _load(u64x8, u64x8.llvm, 8, "8 neighbours of a uint64 array (C order, flat index).")
store_f32 = _store(f32x16, 4, "Write 16 neighbours of a float32 array.")
store_u64 = _store(u64x8, 8, "Write 8 neighbours of a uint64 array.")


def _prefetch(locality: int, doc: str) -> Any:
    def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            byte, word = ir.IntType(8), ir.IntType(32)
            pointer = _pointer(context, builder, sig.args[0], args[0], args[1], byte)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
            hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            builder.call(hint, [pointer, *(ir.Constant(word, n) for n in (0, locality, 1))])
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen

    made = intrinsic(prefetch)
    made.__doc__ = doc
    return made


prefetch = _prefetch(3, "Prefetch the cache line of an array at a flat index, to be read at once.")
prefetch_second_level = _prefetch(2, "The same for reading a few microseconds later: into the second-level cache.")


def aligned(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A zeroed C-ordered array that starts on a cache line."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(kind).reshape(shape)
