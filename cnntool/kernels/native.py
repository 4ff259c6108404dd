"""Kernels called from machine code: the address of each, arguments as numbers in memory, and threads that share a list.

A program is a list of calls, cut into phases; each phase has a share of calls for each thread, and no thread begins a
phase before all have finished the one before. Its numbers (int64) lie at one address:

    phases, shares, and the addresses of: entries and blocks (one of each for a call), starts (phases x (shares + 1):
    the first call of each share), arrived (for each phase, how many threads have done it), progress (for each share,
    twice the phase, and one more when its calls are done); then whether a call failed, and whether the program is
    cancelled: from then on its threads begin no call.

A team waits for programs at another address, its mail: a ticket that counts programs, the address of the present one,
and from 64 bytes on, 64 for each helper: whether it sleeps, the ticket of the last program that it has left, and
whether it has to be woken.

Python's lock is a part of each call from Python, and each thread that wants it has to be woken. So 1x1 convolution of
56x56x256 -> 64 by two threads took 0.63 ms where its arithmetic takes 0.5.
"""

from __future__ import annotations

from cnntool.kernels import kernels_of

PHASES, SHARES, ENTRIES, BLOCKS, STARTS, ARRIVED, PROGRESS, FAILURES, CANCELLED = range(9)
FIELDS = 9
SLEEPS, LEFT, WAKE = range(3)  # of a helper's line in the mail
ASLEEP, WAITING, STOPPED = range(3)
LINE = 64  # bytes of a cache line; threads that write into one line slow each other

__getattr__ = kernels_of(__name__)
