"""One float32 from the lanes of a vector register."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.sources.simd import IR_VECTOR
from cnntool.kernels.vectors import LANES


def _reduced(b: ir.IRBuilder, name: str, *values: ir.Value, flags: tuple[str, ...]) -> ir.Value:
    kind = ir.FunctionType(ir.FloatType(), [value.type for value in values])
    function = cgutils.get_or_insert_function(b.module, kind, f"llvm.vector.reduce.{name}.v{LANES}f32")
    return b.call(function, values, fastmath=flags)


@intrinsic
def sum_of_lanes(typingctx, vector):
    """The sum of all lanes, in an order of LLVM's choice, which is always the same."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return _reduced(b, "fadd", ir.Constant(ir.FloatType(), -0.0), values[0], flags=("reassoc",))

    return types.float32(vector), codegen


@intrinsic
def largest_of_lanes(typingctx, vector):
    """The largest lane; any of the numbers if there is a NaN."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        assert values[0].type == IR_VECTOR
        return _reduced(b, "fmax", values[0], flags=("nnan", "nsz"))

    return types.float32(vector), codegen
