"""Memory of volumes that is used again once nobody holds the volume any more.

A fresh array costs a page fault for every 4 KB that is written into it; on the output of a small convolution that took
as long as the convolution.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

from cnntool.steps.memory import PAGE, aligned, memory_for, start_of_page

# Bytes of an array that is kept; larger ones would hold much memory. On 40 Gabor filters of 1024x1024, 168 MB, fresh
# pages took 17 ms of 77 with one thread, 10 of 46 with two.
LARGEST = 2**28
KEPT = 2  # arrays of one place in a plan: one may be in the user's hands while the next is computed


class Buffers:
    """Gives arrays of one kind. An array that it gave comes back by being forgotten: nobody refers to it any more."""

    def __init__(self) -> None:
        self._kept: list[tuple[np.ndarray, int]] = []  # and where in it the array begins
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of float32 with arbitrary contents."""
        size = 4 * math.prod(shape)
        if size > LARGEST:
            return aligned(*shape)
        with self._lock:
            for memory, start in self._kept:
                # references: of the pair, of the variable, of the call; an array in it or a view of one adds to them
                if memory.size == size + PAGE and sys.getrefcount(memory) == 3:
                    return np.ndarray(shape, np.float32, memory, start)
            memory = memory_for(shape)
            start = start_of_page(memory)
            self._kept = [*self._kept[-(KEPT - 1) :], (memory, start)]
            return np.ndarray(shape, np.float32, memory, start)
