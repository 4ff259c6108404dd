"""One float32 from the lanes of a vector register, and lanes beside each other."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.sources.simd import INTEGERS, IR_VECTOR, VECTOR
from cnntool.kernels.vectors import LANES

SIZE_BITS = 0x7FFFFFFF  # of a float32: all but its sign; as integers these are ordered as magnitudes are, NaN last


def _reduced(b: ir.IRBuilder, name: str, *values: ir.Value, flags: tuple[str, ...] = ()) -> ir.Value:
    element, kind = values[-1].type.element, "f32" if values[-1].type == IR_VECTOR else "i32"
    function_type = ir.FunctionType(element, [value.type for value in values])
    function = cgutils.get_or_insert_function(b.module, function_type, f"llvm.vector.reduce.{name}.v{LANES}{kind}")
    return b.call(function, values, fastmath=flags)


@instruction(types.float32)
def sum_of_lanes(b, vector):
    """The sum of all lanes, in an order of LLVM's choice, which is always the same."""
    return _reduced(b, "fadd", ir.Constant(ir.FloatType(), -0.0), vector, flags=("reassoc",))


@instruction(types.float32)
def largest_of_lanes(b, vector):
    """The largest lane, of lanes that are no NaN."""
    assert vector.type == IR_VECTOR
    return _reduced(b, "fmax", vector, flags=("nnan", "nsz"))


@instruction(types.float32)
def smallest_of_lanes(b, vector):
    """The smallest lane, of lanes that are no NaN."""
    return _reduced(b, "fmin", vector, flags=("nnan", "nsz"))


@instruction(VECTOR)
def larger_size(b, largest, x):
    """In each lane the larger of `largest` and |x|, NaN where x is; `largest` is not negative."""
    before, bits = (b.bitcast(value, INTEGERS) for value in (largest, x))
    size = b.and_(bits, ir.Constant(INTEGERS, [SIZE_BITS] * LANES))
    return b.bitcast(b.select(b.icmp_unsigned(">", size, before), size, before), IR_VECTOR)


@instruction(types.float32)
def largest_size_of_lanes(b, sizes):
    """The largest lane of what `larger_size` gives, NaN if one is."""
    return b.bitcast(_reduced(b, "umax", b.bitcast(sizes, INTEGERS)), ir.FloatType())


@instruction(VECTOR, literals=1)
def swapped(b, vector, distance):
    """Lane i of the result is lane i ^ `distance`, a literal."""
    order = [lane ^ distance for lane in range(LANES)]
    return b.shuffle_vector(vector, vector, ir.Constant(INTEGERS, order))


@instruction(types.boolean)
def all_less(b, vector, bound):
    """Whether all lanes are less than a float32; not if one is NaN."""
    undefined = ir.Constant(IR_VECTOR, ir.Undefined)
    first = b.insert_element(undefined, bound, ir.Constant(ir.IntType(32), 0))
    bounds = b.shuffle_vector(first, undefined, ir.Constant(INTEGERS, [0] * LANES))
    others = b.bitcast(b.fcmp_unordered(">=", vector, bounds), ir.IntType(LANES))
    return b.icmp_unsigned("==", others, ir.Constant(ir.IntType(LANES), 0))
