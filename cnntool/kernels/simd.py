"""Vector registers as values in Numba code: loads, stores, `splat`, and + - * between vectors.

For loops that LLVM would not vectorise well by itself: those over few lanes, or over arrays that might overlap as far
as it can tell. One vector holds LANES float32; addresses are integers (bytes), as `tile.address_of` gives them.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from cnntool.kernels.vectors import LANES

IR_VECTOR = ir.VectorType(ir.FloatType(), LANES)
FLAGS = ("nsz", "arcp", "contract", "afn", "reassoc")


class VectorType(types.Type):
    """Numba's type of a vector register of float32."""

    def __init__(self) -> None:
        super().__init__(name=f"vector{LANES}")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, IR_VECTOR)


def _pointer(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, IR_VECTOR.as_pointer())


@intrinsic
def load(typingctx, address):
    """The vector at an address."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        value = b.load(_pointer(b, values[0]))
        value.align = 4
        return value

    return VECTOR(types.int64), codegen


@intrinsic
def store(typingctx, address, value):
    """Writes a vector to an address."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        b.store(values[1], _pointer(b, values[0])).align = 4
        return context.get_dummy_value()

    return types.void(types.int64, VECTOR), codegen


@intrinsic
def splat(typingctx, scalar):
    """A vector with one float32 in all lanes."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        undefined = ir.Constant(IR_VECTOR, ir.Undefined)
        first = b.insert_element(undefined, values[0], ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return b.shuffle_vector(first, undefined, mask)

    return VECTOR(types.float32), codegen


@intrinsic
def load_splat(typingctx, address):
    """A vector with the float32 at an address in all lanes."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        scalar = b.load(b.inttoptr(values[0], ir.FloatType().as_pointer()))
        scalar.align = 4
        undefined = ir.Constant(IR_VECTOR, ir.Undefined)
        first = b.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return b.shuffle_vector(first, undefined, mask)

    return VECTOR(types.int64), codegen


def _first_lanes(b: ir.IRBuilder, count: ir.Value) -> ir.Value:
    numbers = ir.VectorType(ir.IntType(32), LANES)
    undefined = ir.Constant(numbers, ir.Undefined)
    first = b.insert_element(undefined, b.trunc(count, ir.IntType(32)), ir.Constant(ir.IntType(32), 0))
    counts = b.shuffle_vector(first, undefined, ir.Constant(numbers, [0] * LANES))
    return b.icmp_signed("<", ir.Constant(numbers, list(range(LANES))), counts)


@intrinsic
def store_first(typingctx, address, value, count):
    """Writes the first `count` lanes of a vector to an address."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        kinds = [IR_VECTOR, IR_VECTOR.as_pointer(), ir.IntType(32), ir.VectorType(ir.IntType(1), LANES)]
        function = ir.FunctionType(ir.VoidType(), kinds)
        masked_store = cgutils.get_or_insert_function(b.module, function, f"llvm.masked.store.v{LANES}f32.p0")
        mask = _first_lanes(b, values[2])
        b.call(masked_store, [values[1], _pointer(b, values[0]), ir.Constant(ir.IntType(32), 4), mask])
        return context.get_dummy_value()

    return types.void(types.int64, VECTOR, types.int64), codegen


@intrinsic
def load_first(typingctx, address, count):
    """A vector whose first `count` lanes are read from an address; the others are zero and not read."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        kinds = [IR_VECTOR.as_pointer(), ir.IntType(32), ir.VectorType(ir.IntType(1), LANES), IR_VECTOR]
        function = ir.FunctionType(IR_VECTOR, kinds)
        masked_load = cgutils.get_or_insert_function(b.module, function, f"llvm.masked.load.v{LANES}f32.p0")
        zero = ir.Constant(IR_VECTOR, [0.0] * LANES)
        mask = _first_lanes(b, values[1])
        return b.call(masked_load, [_pointer(b, values[0]), ir.Constant(ir.IntType(32), 4), mask, zero])

    return VECTOR(types.int64, types.int64), codegen


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
            return getattr(builder, name)(*values, flags=FLAGS)

        return VECTOR(VECTOR, VECTOR), codegen

    return operation


_add, _subtract, _multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


def _are_vectors(*kinds: Any) -> bool:
    return all(isinstance(kind, VectorType) for kind in kinds)


@overload(operator.add)
def _overload_add(a, b):
    return (lambda a, b: _add(a, b)) if _are_vectors(a, b) else None


@overload(operator.sub)
def _overload_subtract(a, b):
    return (lambda a, b: _subtract(a, b)) if _are_vectors(a, b) else None


@overload(operator.mul)
def _overload_multiply(a, b):
    return (lambda a, b: _multiply(a, b)) if _are_vectors(a, b) else None
