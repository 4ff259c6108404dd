"""Threads that work off programs of kernel calls together, without Python and without its lock."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable

import numpy as np

from cnntool.kernels import native

# Turns of a loop that waits, about 0.02 microseconds each: of a helper for the next program, since that often comes
# soon, and waking a thread that sleeps takes 30 microseconds; and of all for those that are late, who may need the
# processor that the loop is running on.
IDLE, LATE = 10_000, 1_000
# Lets others have the processor. `time.sleep(0)` does so too, but sleeps for 70 microseconds on Linux: ResNet-50
# took 30.5 ms with it by two threads, 29.6 without.
give_way: Callable[[], object] = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


class Team:
    """The calling thread and `helpers` others."""

    def __init__(self, helpers: int) -> None:
        self.helpers = helpers
        self._lines = np.zeros((helpers + 2) * native.LINE // 8, np.int64)
        past = -self._lines.ctypes.data % native.LINE // 8  # to where a line of the cache begins
        self._box = self._lines[past:]
        self._mail = self._box.ctypes.data
        self._busy = threading.Lock()
        self._sleeping = 0
        self._gates = [threading.Lock() for _ in range(helpers)]
        for gate in self._gates:
            gate.acquire()
        self._threads = [
            threading.Thread(target=self._serve, args=(helper,), name=f"cnntool-{helper}", daemon=True)
            for helper in range(helpers)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, program: int) -> None:
        """Works off the program at an address, of `helpers` + 1 shares; alone while the team has another one."""
        if not self._busy.acquire(blocking=False):
            native.work_alone(program)
            return
        ticket = self._box[0]
        try:
            try:
                self._hand_out(program)
                while not native.work_share(program, 0, LATE):
                    give_way()
            except BaseException:  # an interrupt; the others are still at work in the program's memory, or to be woken
                if self._box[0] != ticket:
                    self._wake(self._sleeping)
                    while not native.work_share(program, 0, LATE):
                        pass
                raise
        finally:
            self._busy.release()

    def stop(self) -> None:
        """For good: who runs something afterwards, at the end of Python, is alone."""
        self._busy.acquire()
        self._hand_out(0)
        for thread in self._threads:
            thread.join()

    def _hand_out(self, program: int) -> None:
        self._sleeping = -1  # not known yet: an interrupt now wakes all
        self._sleeping = native.hand_out(self._mail, program, self.helpers)
        self._wake(self._sleeping)
        self._sleeping = 0

    def _wake(self, sleeping: int) -> None:
        """Opens the gates of these helpers, given as bits; one that is open already stays so."""
        for helper, gate in enumerate(self._gates):
            if sleeping >> helper & 1 and gate.locked():
                gate.release()

    def _serve(self, helper: int) -> None:
        while (state := native.serve(self._mail, helper, IDLE, LATE)) != native.STOPPED:
            if state == native.ASLEEP:
                self._gates[helper].acquire()
            else:
                give_way()


@functools.cache
def team(helpers: int) -> Team:
    """The team of that many helpers, which lives as long as the process."""
    made = Team(helpers)
    atexit.register(made.stop)  # a thread in machine code must not meet the end of Python
    return made


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.cache_clear)  # a child has none of the threads
