"""Kernels called from machine code: the address of each, arguments as numbers in memory, and threads that share a list.

A program is a list of calls, cut into phases; each phase has a share of calls for each thread, and no thread begins a
phase before all have finished the one before. Its numbers (int64) lie at one address:

    phases, shares, and the addresses of: entries and blocks (one of each for a call), starts (phases x (shares + 1):
    the first call of each share), arrived (for each phase, how many threads have done it), progress (for each share,
    twice the phase, and one more when its calls are done); then whether a call failed.

A team waits for programs at another address, its mail: a ticket that counts programs, the address of the present one,
and from 64 bytes on, 64 for each helper: whether it sleeps, and the ticket that it has seen last.

Python's lock is a part of each call from Python, and each thread that wants it has to be woken. So 1x1 convolution of
56x56x256 -> 64 by two threads took 0.63 ms where its arithmetic takes 0.5.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from cnntool.kernels.jit import kernel

INT32, INT64 = ir.IntType(32), ir.IntType(64)
PHASES, SHARES, ENTRIES, BLOCKS, STARTS, ARRIVED, PROGRESS, FAILED = range(8)
FIELDS = 8
ASLEEP, WAITING, STOPPED = range(3)
LINE = 64  # bytes of a line of the cache; threads that write into one line slow each other
_entries: dict[str, int] = {}


def entry_of(function: Any, arguments: tuple) -> int:
    """The address of machine code that calls a kernel; it takes the address of `slots_of` all arguments in order."""
    kinds = tuple(typeof(argument) for argument in arguments)
    function.compile(kinds)  # nothing to do where it is compiled already
    compiled = function.overloads[kinds]
    name = compiled.fndesc.llvm_func_name
    if name not in _entries:
        _entries[name] = _make_entry(compiled)
    return _entries[name]


def slots_of(argument: Any) -> list[int]:
    """An argument as the numbers that Numba's calling convention takes; the fifth of an array is its address."""
    if isinstance(argument, np.ndarray):
        no_owner = [0, 0]  # the caller keeps the array alive
        return [
            *no_owner, argument.size, argument.itemsize, argument.ctypes.data, *argument.shape, *argument.strides
        ]  # fmt: skip
    if isinstance(argument, np.float32):
        return [int(argument.view(np.int32))]
    assert isinstance(argument, (int, np.integer)), type(argument)
    return [int(argument)]


ADDRESS_SLOT = 4


@global_compiler_lock
def _make_entry(compiled: Any) -> int:
    description, context = compiled.fndesc, compiled.target_context
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    library = context.codegen().create_library(f"entry of {description.llvm_func_name}")
    module = library.create_ir_module("entry")
    function = ir.Function(module, ir.FunctionType(INT32, [INT64.as_pointer()]), f"entry_{description.llvm_func_name}")
    b = ir.IRBuilder(function.append_basic_block())
    result, exception, *wanted = kind.args
    values = [b.alloca(result.pointee), b.alloca(exception.pointee)]
    for number, wanted_type in enumerate(wanted):
        value = b.load(b.gep(function.args[0], [ir.Constant(INT64, number)]))
        if isinstance(wanted_type, ir.PointerType):
            value = b.inttoptr(value, wanted_type)
        elif isinstance(wanted_type, ir.FloatType):
            value = b.bitcast(b.trunc(value, INT32), wanted_type)
        values.append(value)
    address = compiled.library.get_pointer_to_function(description.llvm_func_name)
    b.ret(b.call(b.inttoptr(ir.Constant(INT64, address), kind.as_pointer()), values))
    library.add_ir_module(module)
    library.finalize()
    _libraries.append(library)
    return library.get_pointer_to_function(function.name)


_libraries: list[Any] = []  # machine code lives as long as they do


def _at(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, INT64.as_pointer())


@intrinsic
def call_entry(typingctx, entry, block):
    """Calls an entry; not zero if it failed."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        kind = ir.FunctionType(INT32, [INT64.as_pointer()])
        status = b.call(b.inttoptr(values[0], kind.as_pointer()), [_at(b, values[1])])
        return b.sext(status, INT64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def peek(typingctx, address):
    """The number at an address, and all that was written before it was."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return b.load_atomic(_at(b, values[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def poke(typingctx, address, value):
    """Puts a number at an address."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        b.store_atomic(values[1], _at(b, values[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def exchange(typingctx, address, value):
    """Puts a number at an address; the one that was there."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        return b.atomic_rmw("xchg", _at(b, values[0]), values[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def increase(typingctx, address):
    """Adds one to the number at an address, whoever else does so."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        b.atomic_rmw("add", _at(b, values[0]), ir.Constant(INT64, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tells the processor that this is a loop that waits."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def work_calls(program, phase, share):
    """Makes the calls of one share of one phase."""
    start = peek(program + 8 * STARTS) + 8 * (phase * (peek(program + 8 * SHARES) + 1) + share)
    entries, blocks = peek(program + 8 * ENTRIES), peek(program + 8 * BLOCKS)
    for call in range(peek(start), peek(start + 8)):
        if call_entry(peek(entries + 8 * call), peek(blocks + 8 * call)) != 0:
            poke(program + 8 * FAILED, 1)


@kernel
def work_alone(program):
    """Works off a whole program."""
    for phase in range(peek(program + 8 * PHASES)):
        for share in range(peek(program + 8 * SHARES)):
            work_calls(program, phase, share)


@kernel
def work_share(program, share, patience):
    """Works off a share; False if it waited `patience` turns for others and is to be called again.

    Share 0 returns when all shares are done, and only then; after its last call another one touches nothing.
    """
    phases, shares = peek(program + 8 * PHASES), peek(program + 8 * SHARES)
    at = peek(program + 8 * PROGRESS) + 8 * share
    step = peek(at)
    while step < 2 * phases:
        phase = step // 2
        arrived = peek(program + 8 * ARRIVED) + 8 * phase
        if step % 2 == 0:
            work_calls(program, phase, share)
            poke(at, step + 1)
            increase(arrived)
            if share != 0 and phase == phases - 1:
                return True
        else:
            turns = 0
            while peek(arrived) < shares:
                if turns == patience:
                    return False
                turns += 1
                pause()
            poke(at, step + 1)
        step += 1
    return True


@kernel
def hand_out(mail, program, helpers):
    """Gives a program (0: no more will come) to a team; which helpers sleep and have to be woken, as bits."""
    poke(mail + 8, program)
    increase(mail)
    sleeping = 0
    for helper in range(helpers):
        if exchange(mail + LINE * (1 + helper), 0) == 1:
            sleeping |= 1 << helper
    return sleeping


@kernel
def serve(mail, helper, idle, late):
    """Share `helper` + 1 of each program of a team.

    ASLEEP: no program came for `idle` turns, whoever hands out the next one will wake this helper; WAITING: others
    were late by `late` turns, to be called again; STOPPED: no more will come.
    """
    own = mail + LINE * (1 + helper)
    while True:
        seen = peek(own + 8)
        turns = 0
        while peek(mail) == seen:
            if turns == idle:
                poke(own, 1)
                if peek(mail) == seen or exchange(own, 0) == 0:
                    return ASLEEP
            turns += 1
            pause()
        program = peek(mail + 8)
        if program == 0:
            return STOPPED
        if not work_share(program, helper + 1, late):
            return WAITING
        poke(own + 8, seen + 1)
