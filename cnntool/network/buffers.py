"""Memory of volumes that is used again once nobody holds the volume any more.

A fresh array costs a page fault for every 4 KB that is written into it; on the output of a small convolution that took
as long as the convolution.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

from cnntool.layers.memory import PAGE, aligned, array_in, memory_for

# Bytes of an array that is kept; larger ones would hold much memory. On 40 Gabor filters of 1024x1024, 168 MB, fresh
# pages took 17 ms of 77 with one thread, 10 of 46 with two.
LARGEST = 2**28
KEPT = 2  # arrays of one place in a plan: one may be in the user's hands while the next is computed


class Buffers:
    """Gives arrays of one kind. An array that it gave comes back by being forgotten: nobody refers to it any more."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of float32 with arbitrary contents."""
        if 4 * math.prod(shape) > LARGEST:
            return aligned(*shape)
        with self._lock:
            for memory in self._kept:
                # references: of the list, of the variable, of the call; an array in it or a view of one adds to them
                if memory.size == 4 * math.prod(shape) + PAGE and sys.getrefcount(memory) == 3:
                    return array_in(memory, shape)
            fresh = memory_for(shape)
            self._kept = [*self._kept[-(KEPT - 1) :], fresh]
            return array_in(fresh, shape)
