"""Kernels that call kernels; see `kernels.native` for the layout of programs and mailboxes."""

from __future__ import annotations

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from cnntool.kernels.convention import FAILED
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
from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.sources.jit import kernel

INT64 = ir.IntType(64)


def _at(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, INT64.as_pointer())


@instruction(types.int64, types.int64, types.int64)
def call_entry(b, entry, block):
    """Calls an entry; returns FAILED if it ran out of memory."""
    kind = ir.FunctionType(INT64, [INT64.as_pointer()])
    return b.call(b.inttoptr(entry, kind.as_pointer()), [_at(b, block)])


@instruction(types.int64, types.int64)
def peek(b, address):
    """Atomically loads the number at an address (sequentially consistent)."""
    return b.load_atomic(_at(b, address), "seq_cst", 8)


@instruction(types.void, types.int64, types.int64)
def poke(b, address, value):
    """Atomically stores a number at an address (sequentially consistent)."""
    b.store_atomic(value, _at(b, address), "seq_cst", 8)


@instruction(types.int64, types.int64, types.int64)
def exchange(b, address, value):
    """Atomically exchanges the number at an address; returns the old one."""
    return b.atomic_rmw("xchg", _at(b, address), value, "seq_cst")


@instruction(types.void, types.int64)
def increase(b, address):
    """Atomically increments the number at an address."""
    b.atomic_rmw("add", _at(b, address), ir.Constant(INT64, 1), "seq_cst")


@instruction(types.void)
def pause(b):
    """The pause instruction of spin loops."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        kind = ir.FunctionType(ir.VoidType(), [])
        b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.x86.sse2.pause"), [])


@kernel
def work_calls(program, phase, share):
    """Makes the calls of one share of one phase, until the program is cancelled."""
    start = peek(program + 8 * STARTS) + 8 * (phase * (peek(program + 8 * SHARES) + 1) + share)
    entries, blocks = peek(program + 8 * ENTRIES), peek(program + 8 * BLOCKS)
    for call in range(peek(start), peek(start + 8)):
        if peek(program + 8 * CANCELLED):
            return
        if call_entry(peek(entries + 8 * call), peek(blocks + 8 * call)) == FAILED:
            poke(program + 8 * FAILURES, 1)


@kernel
def work_alone(program):
    """Executes a program on one thread."""
    for phase in range(peek(program + 8 * PHASES)):
        for share in range(peek(program + 8 * SHARES)):
            work_calls(program, phase, share)


@kernel
def work_share(program, share, patience):
    """Executes a share; returns False after spinning `patience` times at a barrier, to be called again.

    Share 0 returns True only when all shares are done. Other shares do not access the program after their last call, or
    after they have seen it cancelled.
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
    """Cancels a program: no thread begins another call."""
    poke(program + 8 * CANCELLED, 1)


@kernel
def hand_out(mail, program, helpers):
    """Publishes a program (0: stop) to a team; marks helpers that have to be woken, and returns their number."""
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
    """Whether all helpers have left the last program."""
    left = 0
    for helper in range(helpers):
        left += peek(mail + LINE * (1 + helper) + 8 * LEFT) == peek(mail)
    return left == helpers


@kernel
def serve(mail, helper, idle, late):
    """Executes share `helper` + 1 of each program of a team.

    ASLEEP: no program came within `idle` spins, the next publisher wakes this helper; WAITING: others were late by
    `late` spins, call again; STOPPED: no more programs will come.
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
