"""One float32 from the lanes of a vector register, and lanes beside each other."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.sources.simd import INTEGERS, IR_VECTOR, VECTOR
from cnntool.kernels.vectors import LANES

SIZE_BITS = 0x7FFFFFFF  # of a float32: all but its sign; as integers these are ordered as magnitudes are, NaN last


def _reduced(b: ir.IRBuilder, name: str, *values: ir.Value, flags: tuple[str, ...] = ()) -> ir.Value:
    element, kind = values[-1].type.element, "f32" if values[-1].type == IR_VECTOR else "i32"
    function_type = ir.FunctionType(element, [value.type for value in values])
    function = cgutils.get_or_insert_function(b.module, function_type, f"llvm.vector.reduce.{name}.v{LANES}{kind}")
    return b.call(function, values, fastmath=flags)


@intrinsic
def sum_of_lanes(typingctx, vector):
    """The sum of all lanes, in an order of LLVM's choice, which is always the same."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return _reduced(b, "fadd", ir.Constant(ir.FloatType(), -0.0), values[0], flags=("reassoc",))

    return types.float32(vector), codegen


@intrinsic
def largest_of_lanes(typingctx, vector):
    """The largest lane, of lanes that are no NaN."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        assert values[0].type == IR_VECTOR
        return _reduced(b, "fmax", values[0], flags=("nnan", "nsz"))

    return types.float32(vector), codegen


@intrinsic
def smallest_of_lanes(typingctx, vector):
    """The smallest lane, of lanes that are no NaN."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return _reduced(b, "fmin", values[0], flags=("nnan", "nsz"))

    return types.float32(vector), codegen


@intrinsic
def larger_size(typingctx, largest, x):
    """In each lane the larger of `largest` and |x|, NaN where x is; `largest` is not negative."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        before, bits = (b.bitcast(value, INTEGERS) for value in values)
        size = b.and_(bits, ir.Constant(INTEGERS, [SIZE_BITS] * LANES))
        return b.bitcast(b.select(b.icmp_unsigned(">", size, before), size, before), IR_VECTOR)

    return VECTOR(largest, x), codegen


@intrinsic
def largest_size_of_lanes(typingctx, sizes):
    """The largest lane of what `larger_size` gives, NaN if one is."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return b.bitcast(_reduced(b, "umax", b.bitcast(values[0], INTEGERS)), ir.FloatType())

    return types.float32(sizes), codegen


@intrinsic(prefer_literal=True)
def swapped(typingctx, vector, distance):
    """Lane i of the result is lane i ^ `distance`, a literal."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        order = [lane ^ distance.literal_value for lane in range(LANES)]
        return b.shuffle_vector(values[0], values[0], ir.Constant(INTEGERS, order))

    return VECTOR(vector, distance), codegen


@intrinsic
def all_less(typingctx, vector, bound):
    """Whether all lanes are less than a float32; not if one is NaN."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        undefined = ir.Constant(IR_VECTOR, ir.Undefined)
        first = b.insert_element(undefined, values[1], ir.Constant(ir.IntType(32), 0))
        bounds = b.shuffle_vector(first, undefined, ir.Constant(INTEGERS, [0] * LANES))
        others = b.bitcast(b.fcmp_unordered(">=", values[0], bounds), ir.IntType(LANES))
        return b.icmp_unsigned("==", others, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(vector, bound), codegen
