"""Memory that a thread uses again for every band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BLOCK = 2**18  # float32 of the smallest block


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
        import numpy as np

        size = math.prod(shape)
        taken = -(-(size + spare) // 16) * 16  # whole lines of the cache
        while self._place < len(self._blocks) and self._used + taken > len(self._blocks[self._place]):
            self._place, self._used = self._place + 1, 0
        if self._place == len(self._blocks):
            self._blocks.append(np.empty(max(BLOCK, taken), np.float32))
        start = self._used
        self._used += taken
        return self._blocks[self._place][start : start + size].reshape(shape)
