"""Programs: kernels called from machine code, with arguments as integers in memory, by a team of threads.

A program is a list of calls, divided into phases with a barrier after each; a phase has a share of calls for each
thread. Its int64 fields lie at one address:

    phases, shares, and the addresses of: entries and blocks (one of each per call), starts (phases x (shares + 1): the
    first call of each share), arrived (for each phase, the number of threads that have completed it), progress (for
    each share, twice the phase, plus one when its calls are done); then whether a call failed, and whether the program
    is cancelled, after which no thread begins another call.

A team waits for programs at another address, its mailbox: a ticket that counts programs, the address of the current
one, and from byte 64 on a cache line for each helper: whether it sleeps, the ticket of the last program it has left,
and whether it has to be woken.

Calls from Python need the GIL, and threads that wait for it must be woken: with two threads, 1x1 convolution of
56x56x256 -> 64 took 0.63 ms instead of the 0.5 of its arithmetic.
"""

from __future__ import annotations

from cnntool.kernels import kernels_of

PHASES, SHARES, ENTRIES, BLOCKS, STARTS, ARRIVED, PROGRESS, FAILURES, CANCELLED = range(9)
FIELDS = 9
SLEEPS, LEFT, WAKE = range(3)  # fields of a helper in the mailbox
ASLEEP, WAITING, STOPPED = range(3)
LINE = 64  # bytes of a cache line, to avoid false sharing

__getattr__ = kernels_of(__name__)
