"""Compiles kernels with Numba to standalone object files.

Numba would link a kernel into its own library and call it through a Python wrapper. Instead, the optimised module gets
an entry that `code` can call and is passed to LLVM directly, so each kernel is compiled once.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from cnntool.kernels.arguments import TUPLES
from cnntool.kernels.convention import (
    FAILED,
    FLOAT32,
    FLOAT64,
    INTEGER,
    Kind,
    Kinds,
)
from cnntool.kernels.frontend import load, quick
from cnntool.kernels.libraries import Whole, of_kernels
from cnntool.kernels.sources.jit import compiling_enabled

INT32, INT64 = ir.IntType(32), ir.IntType(64)
SCALARS = {INTEGER: types.int64, FLOAT32: types.float32, FLOAT64: types.float64}

# Allocation of arrays inside kernels, in Numba's layout (reference count, destructor, its argument, data, size,
# allocator), with the data on a cache line after it. Numba's own functions would need its runtime.
ARRAYS = """
declare noalias ptr @malloc(i64)
declare void @free(ptr)
define noalias ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
    %total = add i64 %size, 192
    %block = call ptr @malloc(i64 %total)
    %none = icmp eq ptr %block, null
    br i1 %none, label %failed, label %made
failed:
    ret ptr null
made:
    call void @llvm.memset.p0.i64(ptr %block, i8 0, i64 64, i1 false)
    store i64 1, ptr %block
    %number = ptrtoint ptr %block to i64
    %past = add i64 %number, 127
    %line = and i64 %past, -64
    %data = inttoptr i64 %line to ptr
    %data_at = getelementptr i64, ptr %block, i64 3
    store ptr %data, ptr %data_at
    %size_at = getelementptr i64, ptr %block, i64 4
    store i64 %size, ptr %size_at
    ret ptr %block
}
define void @NRT_MemInfo_call_dtor(ptr %block) {
    call void @free(ptr %block)
    ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""
ARRAY_FUNCTIONS = {"NRT_MemInfo_alloc_aligned", "NRT_MemInfo_call_dtor"}
C_LIBRARY = {"malloc", "free", "memset", "memcpy", "memmove"}
C_LIBRARY |= {name + kind for name in ("sqrt", "exp", "log", "pow", "cos", "sin", "atan2") for kind in ("", "f")}


def kind_as_type(kind: Kind) -> Any:
    """The Numba type of a kind of argument."""
    if isinstance(kind, str):
        return SCALARS[kind]
    if len(kind) == 2:
        letter, members = kind
        return types.BaseTuple.from_types(tuple(map(kind_as_type, members)), TUPLES[letter])
    letter, axes, contiguous = kind
    return types.Array(numba.from_dtype(np.dtype(letter)), axes, "C" if contiguous else "A")


def prepare() -> None:
    """Loads all of Numba that compiling needs."""
    load(cpu_target.target_context)


def machine_code(kernel: Any, kinds: Kinds, entry: str) -> bytes:
    """An object file with the kernel for these kinds behind the symbol `entry`, preceded by a line with the names of
    the kernels that it calls."""
    module, machine, called = optimised(kernel, kinds, entry)
    return " ".join(called).encode() + b"\n" + machine.emit_object(module)


@global_compiler_lock
def optimised(kernel: Any, kinds: Kinds, entry: str) -> tuple[Any, Any, list[str]]:
    """The kernel's LLVM module with its entry, the target machine, and the kernels that it calls by their names."""
    context, typing = cpu_target.target_context, cpu_target.typing_context
    load(context)
    flags = compiler.Flags()
    kernel.targetdescr.options.parse_as_flags(flags, kernel.targetoptions)
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    arguments = tuple(kind_as_type(kind) for kind in kinds)
    with compiling_enabled(), quick(), of_kernels(context) as codegen:
        library = Whole(codegen, entry)
        result = compiler.compile_extra(
            typing, context, kernel.py_func, arguments, None, flags, {}, library=library
        )  # fmt: skip
        library.add_ir_module(_entry_module(library, context, result.fndesc, entry))
        library.finalize()
    module = library.module
    needed = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")} - C_LIBRARY
    called = {name for name in needed if "-" in name}
    if unknown := needed - called - ARRAY_FUNCTIONS:
        raise NotImplementedError(f"{entry} calls {', '.join(sorted(unknown))}, which is not there without Numba")
    module.link_in(llvm.parse_assembly(ARRAYS))
    for function in module.functions:
        if not function.is_declaration and function.name != entry:
            function.linkage = "internal"  # other kernels may have helpers of the same name
    return module, codegen._tm, sorted(called)


def _entry_module(library: Any, context: Any, description: Any, name: str) -> ir.Module:
    """The entry: takes the address of all arguments as int64, returns the kernel's result or FAILED."""
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    module = library.create_ir_module(name)
    kernel = ir.Function(module, kind, description.llvm_func_name)
    function = ir.Function(module, ir.FunctionType(INT64, [INT64.as_pointer()]), name)
    b = ir.IRBuilder(function.append_basic_block())
    result, exception, *wanted = kind.args
    values = [b.alloca(result.pointee), b.alloca(exception.pointee)]
    for number, wanted_type in enumerate(wanted):
        value = b.load(b.gep(function.args[0], [ir.Constant(INT64, number)]))
        if isinstance(wanted_type, ir.PointerType):
            value = b.inttoptr(value, wanted_type)
        elif isinstance(wanted_type, ir.FloatType):
            value = b.bitcast(b.trunc(value, INT32), wanted_type)
        elif isinstance(wanted_type, ir.DoubleType):
            value = b.bitcast(value, wanted_type)
        values.append(value)
    status = b.call(kernel, values)
    given = ir.Constant(INT64, 0)
    if description.restype != types.none:
        given = b.zext(b.load(values[0]), INT64)
    b.ret(b.select(b.icmp_signed("==", status, ir.Constant(INT32, 0)), given, ir.Constant(INT64, FAILED)))
    return module
