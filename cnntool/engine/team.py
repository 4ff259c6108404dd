"""A thread pool that executes recorded programs without Python and its GIL.

**Ownership.** The team owns a program and the volumes it writes from before it is published until all helpers have left
it (`Team._held`), whatever happens to the caller. An interrupt may occur between any two bytecode instructions, and a
second one in the handler of the first, so nothing relies on a handler completing. The next run cleans up after an
interrupted one: `_settle` may be called at any time, any number of times.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np

from cnntool.kernels import native

# Iterations of a spin loop, about 0.02 microseconds each. A helper spins for the next program, since that often comes
# soon and waking a sleeping thread takes 30 microseconds; all threads spin at a barrier, but late ones may need the
# processor that the loop occupies.
IDLE, LATE = 10_000, 1_000
TEAMS_KEPT = 4  # of different sizes
STARTING = 1.0  # seconds after which a started thread that has not begun is considered lost
ENDING = 5.0  # seconds that a daemon thread's run may take when Python exits
# Yields the processor. `time.sleep(0)` sleeps for 70 microseconds on Linux: with two threads ResNet-50 took 30.5 ms
# with it, 29.6 with this.
give_way: Callable[[], object] = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


class _Turn:
    """The right to use a team, until the frame that holds it ends."""


class Team:
    """The calling thread and `helpers` others, which are started by the first run."""

    def __init__(self, helpers: int) -> None:
        self.helpers = helpers
        self._lines = np.zeros((helpers + 2) * native.LINE // 8, np.int64)
        to_line = -self._lines.ctypes.data % native.LINE // 8
        self._box = self._lines[to_line:]
        self._mail = self._box.ctypes.data
        self._wake = self._box[native.LINE // 8 + native.WAKE :: native.LINE // 8][:helpers]
        self._turn: dict[int, weakref.ref[_Turn]] = {}
        self._held: tuple[int, object] | None = None  # the running program's address, and the owner of its memory
        self._stopped = False
        self._numbers = itertools.count()
        self._present: list[int] = []  # helpers whose threads are running
        self._threads: list[threading.Thread] = []
        self._gates = [threading.Lock() for _ in range(helpers)]
        for gate in self._gates:
            gate.acquire()

    def run(self, program: int, owner: object) -> None:
        """Executes the program at an address, with `helpers` + 1 shares; on this thread alone if the team is busy.

        `owner` keeps the program's memory alive, and must not be used again after an exception.
        """
        turn = _Turn()
        try:
            if not (self._take(turn) and self._ready()):
                native.work_alone(program)
                return
            self._settle()
            self._held = program, owner
            if native.hand_out(self._mail, program, self.helpers):
                self._wake_sleepers()
            while not native.work_share(program, 0, LATE):
                give_way()
            self._held = None
        except BaseException:
            if self._holds(turn):
                self._settle()
            raise
        finally:
            del turn  # a stored traceback would keep it alive

    def stop(self, patience: float) -> bool:
        """Stops the helpers for good; later callers run alone.

        Returns False and does nothing while the team is busy. When Python exits (`patience` > 0), a program that takes
        longer than so many seconds is cancelled, since only a daemon thread can be waiting for it.
        """
        turn, end = _Turn(), time.monotonic() + patience
        while not self._take(turn):
            if time.monotonic() > end:
                if not patience:
                    return False
                break
            time.sleep(0.001)
        self._stopped = True
        if self._present:
            self._settle()
            native.hand_out(self._mail, 0, self.helpers)
            self._wake_sleepers()
            for thread in self._threads:
                if thread.is_alive():  # an interrupt may have kept it from starting
                    thread.join()
        return True

    def _take(self, turn: _Turn) -> bool:
        """Takes the team for `turn` if it is free. Safe against interrupts: taking and freeing are single dictionary
        operations, which are atomic in Python."""
        freeing = functools.partial(self._turn.pop, 0)
        mine = weakref.ref(turn, freeing)
        return self._turn.setdefault(0, mine) is mine

    def _holds(self, turn: _Turn) -> bool:
        held = self._turn.get(0)
        return held is not None and held() is turn

    def _ready(self) -> bool:
        """Whether all helpers are running; starts missing ones. Without them, as when no more threads can be started or
        Python is exiting, the caller works alone."""
        while len(self._present) < self.helpers:
            if self._stopped or not threading.main_thread().is_alive():
                return False
            for _ in range(self.helpers - len(self._present)):
                thread = threading.Thread(target=self._serve, name=f"cnntool-{self.helpers}", daemon=True)
                self._threads.append(thread)
                try:
                    thread.start()
                except RuntimeError:
                    self._threads.remove(thread)
                    return False
            end = time.monotonic() + STARTING
            while len(self._present) < self.helpers and time.monotonic() < end:
                time.sleep(0)
        return not self._stopped

    def _settle(self) -> None:
        """Ends a program left by an interrupt; afterwards no helper uses its memory."""
        if self._held is None:
            return
        native.cancel(self._held[0])
        while not native.all_left(self._mail, self.helpers):
            self._wake_sleepers()
            give_way()
        self._held = None

    def _wake_sleepers(self) -> None:
        for helper in np.flatnonzero(self._wake).tolist():
            if self._gates[helper].locked():
                self._gates[helper].release()
            self._wake[helper] = 0

    def _serve(self) -> None:
        helper = next(self._numbers)
        if helper >= self.helpers:  # started in place of one that was only late
            return
        self._present.append(helper)
        while (state := native.serve(self._mail, helper, IDLE, LATE)) != native.STOPPED:
            if state == native.ASLEEP:
                self._gates[helper].acquire()
            else:
                give_way()


_teams: dict[int, Team] = {}


def team(helpers: int) -> Team:
    """The team with that many helpers; teams of a few sizes are cached for the life of the process."""
    found = _teams.get(helpers)
    if found is None:
        found = _teams.setdefault(helpers, Team(helpers))
        for old in list(_teams)[:-TEAMS_KEPT]:
            dropped = _teams.get(old)
            if dropped is not None and dropped.stop(0):
                _teams.pop(old, None)
    return found


@atexit.register  # no thread may be in machine code when Python exits
def _stop_all() -> None:
    for kept in list(_teams.values()):
        kept.stop(ENDING)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_teams.clear)  # threads do not survive a fork
