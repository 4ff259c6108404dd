"""The kernels that call kernels; how a program and a mail lie in memory, `kernels.native` tells."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.code import FAILED
from cnntool.kernels.native import (
    ARRIVED,
    ASLEEP,
    BLOCKS,
    CANCELLED,
    ENTRIES,
    FAILURES,
    LEFT,
    LINE,
    PHASES,
    PROGRESS,
    SHARES,
    SLEEPS,
    STARTS,
    STOPPED,
    WAITING,
    WAKE,
)  # fmt: skip
from cnntool.kernels.sources.jit import kernel

INT64 = ir.IntType(64)


def _at(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, INT64.as_pointer())


@intrinsic
def call_entry(typingctx, entry, block):
    """Calls an entry; FAILED if it did."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        kind = ir.FunctionType(INT64, [INT64.as_pointer()])
        return b.call(b.inttoptr(values[0], kind.as_pointer()), [_at(b, values[1])])

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
    """Makes the calls of one share of one phase, or as many of them as come before the program is cancelled."""
    start = peek(program + 8 * STARTS) + 8 * (phase * (peek(program + 8 * SHARES) + 1) + share)
    entries, blocks = peek(program + 8 * ENTRIES), peek(program + 8 * BLOCKS)
    for call in range(peek(start), peek(start + 8)):
        if peek(program + 8 * CANCELLED):
            return
        if call_entry(peek(entries + 8 * call), peek(blocks + 8 * call)) == FAILED:
            poke(program + 8 * FAILURES, 1)


@kernel
def work_alone(program):
    """Works off a whole program."""
    for phase in range(peek(program + 8 * PHASES)):
        for share in range(peek(program + 8 * SHARES)):
            work_calls(program, phase, share)


@kernel
def work_share(program, share, patience):
    """Works off a share; False if it waited `patience` turns for others and is to be called again.

    Share 0 returns True when all shares are done, and only then. Another share touches nothing of the program after
    its last call, or once it has seen that the program is cancelled.
    """
    phases, shares = peek(program + 8 * PHASES), peek(program + 8 * SHARES)
    at = peek(program + 8 * PROGRESS) + 8 * share
    step = peek(at)
    while step < 2 * phases:
        phase = step // 2
        arrived = peek(program + 8 * ARRIVED) + 8 * phase
        if step % 2 == 0:
            work_calls(program, phase, share)
            if peek(program + 8 * CANCELLED):
                return True
            poke(at, step + 1)
            increase(arrived)
            if share != 0 and phase == phases - 1:
                return True
        else:
            turns = 0
            while peek(arrived) < shares:
                if peek(program + 8 * CANCELLED):
                    return True
                if turns == patience:
                    return False
                turns += 1
                pause()
            poke(at, step + 1)
        step += 1
    return True


@kernel
def cancel(program):
    """Lets no thread begin another call of a program."""
    poke(program + 8 * CANCELLED, 1)


@kernel
def hand_out(mail, program, helpers):
    """Gives a program (0: no more will come) to a team; marks the helpers that have to be woken, and counts them."""
    poke(mail + 8, program)
    increase(mail)
    sleepers = 0
    for helper in range(helpers):
        own = mail + LINE * (1 + helper)
        if exchange(own + 8 * SLEEPS, 0) == 1:
            poke(own + 8 * WAKE, 1)
            sleepers += 1
    return sleepers


@kernel
def all_left(mail, helpers):
    """Whether every helper has left the program that was handed out last."""
    left = 0
    for helper in range(helpers):
        left += peek(mail + LINE * (1 + helper) + 8 * LEFT) == peek(mail)
    return left == helpers


@kernel
def serve(mail, helper, idle, late):
    """Share `helper` + 1 of each program of a team.

    ASLEEP: no program came for `idle` turns, whoever hands out the next one will wake this helper; WAITING: others
    were late by `late` turns, to be called again; STOPPED: no more will come.
    """
    own = mail + LINE * (1 + helper)
    while True:
        seen = peek(own + 8 * LEFT)
        turns = 0
        while peek(mail) == seen:
            if turns == idle:
                poke(own + 8 * SLEEPS, 1)
                if peek(mail) == seen or exchange(own + 8 * SLEEPS, 0) == 0:
                    return ASLEEP
            turns += 1
            pause()
        program = peek(mail + 8)
        if program == 0:
            return STOPPED
        if not work_share(program, helper + 1, late):
            return WAITING
        poke(own + 8 * LEFT, seen + 1)
