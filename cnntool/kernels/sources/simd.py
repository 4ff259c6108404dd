"""SIMD vectors as values in Numba code: loads, stores, `splat`, and arithmetic.

For loops that LLVM does not vectorise well, over few lanes or arrays that might alias. A vector holds LANES float32;
addresses are integers (bytes), as returned by `tile.address_of`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.vectors import LANES

IR_VECTOR = ir.VectorType(ir.FloatType(), LANES)
INTEGERS = ir.VectorType(ir.IntType(32), LANES)
FLAGS = ("contract",)  # fused a * b + c, without reordering, which some functions rely on


class VectorType(types.Type):
    """The Numba type of a float32 vector."""

    def __init__(self) -> None:
        super().__init__(name=f"vector{LANES}")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, IR_VECTOR)


def _pointer(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, IR_VECTOR.as_pointer())


@instruction(VECTOR, types.int64)
def load(b, address):
    """The vector at an address."""
    value = b.load(_pointer(b, address))
    value.align = 4
    return value


@instruction(types.void, types.int64, VECTOR)
def store(b, address, value):
    """Writes a vector to an address."""
    b.store(value, _pointer(b, address)).align = 4


@instruction(types.void, types.int64, VECTOR)
def stream(b, address, value):
    """Writes a vector to an aligned address with a non-temporal store."""
    written = b.store(value, _pointer(b, address))
    written.align = 4 * LANES
    written.set_metadata("nontemporal", b.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def _splat(b: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    undefined = ir.Constant(IR_VECTOR, ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@instruction(VECTOR, types.float32)
def splat(b, scalar):
    """A vector with one float32 in all lanes."""
    return _splat(b, scalar)


@instruction(VECTOR, types.int64)
def load_splat(b, address):
    """A vector with the float32 at an address in all lanes."""
    scalar = b.load(b.inttoptr(address, ir.FloatType().as_pointer()))
    scalar.align = 4
    return _splat(b, scalar)


def _first_lanes(b: ir.IRBuilder, count: ir.Value) -> ir.Value:
    undefined = ir.Constant(INTEGERS, ir.Undefined)
    first = b.insert_element(undefined, b.trunc(count, ir.IntType(32)), ir.Constant(ir.IntType(32), 0))
    counts = b.shuffle_vector(first, undefined, ir.Constant(INTEGERS, [0] * LANES))
    return b.icmp_signed("<", ir.Constant(INTEGERS, list(range(LANES))), counts)


@instruction(types.void, types.int64, VECTOR, types.int64)
def store_first(b, address, value, count):
    """Writes the first `count` lanes of a vector to an address."""
    kinds = [IR_VECTOR, IR_VECTOR.as_pointer(), ir.IntType(32), ir.VectorType(ir.IntType(1), LANES)]
    function = ir.FunctionType(ir.VoidType(), kinds)
    masked_store = cgutils.get_or_insert_function(b.module, function, f"llvm.masked.store.v{LANES}f32.p0")
    mask = _first_lanes(b, count)
    b.call(masked_store, [value, _pointer(b, address), ir.Constant(ir.IntType(32), 4), mask])


@instruction(VECTOR, types.int64, types.int64)
def load_first(b, address, count):
    """A vector whose first `count` lanes are read from an address; the others are zero and not read."""
    kinds = [IR_VECTOR.as_pointer(), ir.IntType(32), ir.VectorType(ir.IntType(1), LANES), IR_VECTOR]
    function = ir.FunctionType(IR_VECTOR, kinds)
    masked_load = cgutils.get_or_insert_function(b.module, function, f"llvm.masked.load.v{LANES}f32.p0")
    zero = ir.Constant(IR_VECTOR, [0.0] * LANES)
    mask = _first_lanes(b, count)
    return b.call(masked_load, [_pointer(b, address), ir.Constant(ir.IntType(32), 4), mask, zero])


@instruction(types.void, types.int64, types.int64, types.int64)
def copy_floats(b, target, source, count):
    """Copies `count` float32 between addresses; the pieces must not overlap."""
    pointers = [b.inttoptr(address, ir.IntType(8).as_pointer()) for address in (target, source)]
    cgutils.raw_memcpy(b, *pointers, count, 4)


# What follows works on vectors and on float32 alike, so that a function is written once for both. A float32 among
# vectors stands for all lanes.


def _result(*kinds: Any) -> Any:
    return VECTOR if any(isinstance(kind, VectorType) for kind in kinds) else types.float32


def _lifted(b: ir.IRBuilder, signature: Any, values: tuple) -> list[ir.Value]:
    if not isinstance(signature.return_type, VectorType):
        return list(values)
    kinds = zip(signature.args, values, strict=True)
    return [value if isinstance(kind, VectorType) else _splat(b, value) for kind, value in kinds]


def _call(b: ir.IRBuilder, name: str, *values: ir.Value) -> ir.Value:
    kind = values[0].type
    suffix = f"v{LANES}f32" if kind == IR_VECTOR else "f32"
    function_type = ir.FunctionType(kind, [kind] * len(values))
    return b.call(cgutils.get_or_insert_function(b.module, function_type, f"llvm.{name}.{suffix}"), values)


@instruction(_result)
def absolute(b, x):
    """|x|"""
    return _call(b, "fabs", x)


@instruction(_result)
def square_root(b, x):
    """The square root of x; NaN of what is negative."""
    return _call(b, "sqrt", x)


@instruction(_result)
def floor(b, x):
    """The largest whole number that is not above x."""
    return _call(b, "floor", x)


@instruction(_result)
def two_to_the(b, n):
    """2 ** n of whole numbers from -126 to 127, by writing the exponent's bits."""
    kind = n.type
    integer: Any = ir.IntType(32) if kind != IR_VECTOR else INTEGERS

    def constant(value: Any, of: Any) -> ir.Constant:
        return ir.Constant(of, value if kind != IR_VECTOR else [value] * LANES)

    # the last bits of 1.5 * 2 ** 23 + 127 + n are those of the exponent, 127 + n
    exponent = b.bitcast(b.fadd(n, constant(1.5 * 2**23 + 127, kind)), integer)
    return b.bitcast(b.shl(exponent, constant(23, integer)), kind)


@instruction(_result)
def with_sign_of(b, x, size):
    """`size`, which is not negative, with the sign of x."""
    return _call(b, "copysign", size, x)


@instruction(VECTOR, types.UniTuple(types.float32, 2 * LANES), VECTOR)
def lookup(b, table, number):
    """table[i] of 32 constants in two registers of AVX-512, for i the last five bits of each of 16 lanes."""
    halves = [ir.Constant(IR_VECTOR, ir.Undefined)] * 2
    for element in range(2 * LANES):
        half, lane = divmod(element, LANES)
        value = b.extract_value(table, element)
        halves[half] = b.insert_element(halves[half], value, ir.Constant(ir.IntType(32), lane))
    function_type = ir.FunctionType(IR_VECTOR, [IR_VECTOR, INTEGERS, IR_VECTOR])
    permute = cgutils.get_or_insert_function(b.module, function_type, "llvm.x86.avx512.vpermi2var.ps.512")
    return b.call(permute, [halves[0], b.bitcast(number, INTEGERS), halves[1]])


@intrinsic
def where_less(typingctx, a, b, x, y):
    """x where a < b, else y; y where a or b is NaN."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        first, second, then, otherwise = _lifted(builder, signature, values)
        return builder.select(builder.fcmp_ordered("<", first, second), then, otherwise)

    return _result(a, b, x, y)(a, b, x, y), codegen


def _is_vectors(a: Any, b: Any) -> bool:
    """One of the two is a vector, the other a vector or a float32."""
    vectors = [isinstance(kind, VectorType) for kind in (a, b)]
    return any(vectors) and all(v or kind == types.float32 for v, kind in zip(vectors, (a, b), strict=True))


def _operator(function: Callable, name: str) -> None:
    """Makes an operator of Python an instruction. (With `overload` it would be a function, compiled like any other.)"""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            return signature(VECTOR, *args) if _is_vectors(*args) else None

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return getattr(builder, name)(*_lifted(builder, signature, values), flags=FLAGS)

    for kinds in ((VECTOR, VECTOR), (VECTOR, types.float32), (types.float32, VECTOR)):
        lower_builtin(function, *kinds)(codegen)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")
