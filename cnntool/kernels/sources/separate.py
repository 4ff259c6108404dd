"""Kernels that other kernels call as Python does: through the entry of their own machine code.

For code that several kernels share. Each is compiled once, and two can be compiled at the same time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin
from numba.np.numpy_support import as_dtype

from cnntool.kernels.convention import FAILED, FLOAT32, FLOAT64, INTEGER, LETTERS, Kind, kinds_as_text

INT64 = ir.IntType(64)


def kind_of_type(kind: Any) -> Kind:
    """The inverse of `compiler.kind_as_type`."""
    if isinstance(kind, types.Array):
        return as_dtype(kind.dtype).char, kind.ndim, kind.layout == "C"
    if isinstance(kind, types.BaseTuple):
        return LETTERS[getattr(kind, "instance_class", tuple)], tuple(map(kind_of_type, kind.types))
    return {types.float32: FLOAT32, types.float64: FLOAT64}.get(kind, INTEGER)


def _as_number(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """As `convention.taken_apart` has it."""
    if isinstance(value.type, ir.PointerType):
        return b.ptrtoint(value, INT64)
    if isinstance(value.type, ir.FloatType):
        return b.zext(b.bitcast(value, ir.IntType(32)), INT64)
    if isinstance(value.type, ir.DoubleType):
        return b.bitcast(value, INT64)
    return value if value.type == INT64 else b.zext(value, INT64)


class Separate:
    """A function to call a kernel that returns nothing."""

    def __init__(self, module: str, name: str) -> None:
        self.kernel = f"{module}.{name}"

    def __call__(self, *arguments: Any) -> None:
        raise TypeError(f"{self.kernel}: only kernels call it by this name")

    def emit_call(self, context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        name = f"{self.kernel}-{kinds_as_text(tuple(map(kind_of_type, signature.args)))}"
        numbers = context.get_arg_packer(signature.args).as_arguments(b, values)
        block = cgutils.alloca_once(b, INT64, size=len(numbers))
        for index, number in enumerate(numbers):
            b.store(_as_number(b, number), b.gep(block, [ir.Constant(INT64, index)]))
        entry = cgutils.get_or_insert_function(b.module, ir.FunctionType(INT64, [block.type]), name)
        failed = b.icmp_signed("==", b.call(entry, [block]), ir.Constant(INT64, FAILED))
        with b.if_then(failed, likely=False):
            context.call_conv.return_user_exc(b, MemoryError, (name,))
        return context.get_dummy_value()


def separate(kernel: Any) -> Separate:
    """To be called by other kernels, as a global name of their module."""
    function = kernel.py_func
    made = Separate(function.__module__.rpartition(".")[2], function.__name__)

    class _Template(AbstractTemplate):
        key = made

        def generic(self, args: tuple, kws: dict) -> Any:
            return signature(types.void, *args)

    infer_global(made, types.Function(_Template))
    lower_builtin(made, types.VarArg(types.Any))(made.emit_call)
    return made
