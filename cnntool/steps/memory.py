"""Memory for volumes, and memory that a thread uses again for every band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BLOCK = 2**18  # float32 of the smallest block
PAGE = 4096  # bytes


def aligned(*shape: int) -> np.ndarray:
    """An array of float32 with arbitrary contents that begins with a page of memory.

    NumPy's large arrays begin 16 bytes after, so that every vector of 64 bytes crosses lines of the cache: into such an
    array 3x3 convolution of 224x224x3 to 64 channels took 1.96 ms instead of 1.77. 64 bytes after is worse than the
    page itself where the input is an array of NumPy, for reads then look like what was just written: 3x3 depthwise
    convolution of 112x112x128 took 0.38 ms instead of 0.35.
    """
    import numpy as np

    memory = memory_for(shape)
    return np.ndarray(shape, np.float32, memory, start_of_page(memory))


def memory_for(shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    return np.empty(4 * math.prod(shape) + PAGE, np.uint8)


def start_of_page(memory: np.ndarray) -> int:
    """How many bytes before the first page that begins in it."""
    return -memory.ctypes.data % PAGE


class Scratch:
    """Gives arrays out of a few blocks, the same ones in the same order after each `reset`.

    So what a band needs lies where that of the band before lay, in the processor's cache.
    """

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self.reset()

    def reset(self) -> None:
        """All arrays that were given become free."""
        self._place = self._used = 0

    def array(self, *shape: int, spare: int = 0) -> np.ndarray:
        """A float32 array with arbitrary contents; `spare` more float32 behind it may be read."""
        size = math.prod(shape)
        taken = -(-(size + spare) // 16) * 16  # whole lines of the cache
        while self._place < len(self._blocks) and self._used + taken > len(self._blocks[self._place]):
            self._place, self._used = self._place + 1, 0
        if self._place == len(self._blocks):
            self._blocks.append(aligned(max(BLOCK, taken)))
        start = self._used
        self._used += taken
        return self._blocks[self._place][start : start + size].reshape(shape)
