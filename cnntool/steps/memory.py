"""Memory for volumes: who owns it, and until when.

Every array of the engine comes from here, and each kind has one owner:

- `aligned`: whoever holds the array, as with any array of NumPy.
- `Lender`: the array belongs to the one that it was lent to until nobody holds it or a view of it; then its memory is
  the lender's again, which may lend it to the next.
- `Rooms`: a room belongs to a value of a recorded program from `take` to `release`. Recorded calls keep only addresses,
  so a room must be released after the last call that reads it or a view of it has been recorded, and not before.
- `Scratch`: its arrays belong to one band of one thread, from one `reset` to the next.
"""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

BLOCK = 2**18  # float32 of the smallest block
PAGE = 4096  # bytes
# Bytes of memory that a lender keeps; larger pieces would hold much memory. On 40 Gabor filters of 1024x1024, 168 MB,
# fresh pages took 17 ms of 77 with one thread, 10 of 46 with two.
LARGEST = 2**28
KEPT = 2  # pieces that a lender keeps: one result may be in the user's hands while the next is computed


def aligned(*shape: int, spare: int = 0) -> np.ndarray:
    """An array of float32 with arbitrary contents that begins at a page; `spare` more float32 behind it may be read.

    NumPy's large arrays begin 16 bytes after a page, so that every vector of 64 bytes crosses a cache line: into such
    an array 3x3 convolution of 224x224x3 to 64 channels took 1.96 ms instead of 1.77. 64 bytes after is worse than the
    page itself where the input is an array of NumPy, for reads then look like what was just written: 3x3 depthwise
    convolution of 112x112x128 took 0.38 ms instead of 0.35.
    """
    import numpy as np

    from cnntool.steps import guarded

    if guarded.enabled():
        return guarded.array(shape, spare)
    memory = np.empty(4 * (math.prod(shape) + spare) + PAGE, np.uint8)
    return np.ndarray(shape, np.float32, memory, -memory.ctypes.data % PAGE)


class Lender:
    """Lends arrays of float32, and lends their memory again once nobody holds them.

    A fresh array costs a page fault for every 4 KB that is written into it; on the output of a small convolution that
    took as long as the convolution.
    """

    def __init__(self) -> None:
        self._free: deque[Any] = deque(maxlen=KEPT)

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array with arbitrary contents. Views of it count as the array itself."""
        import numpy as np

        size = 4 * math.prod(shape)
        if size > LARGEST:
            return aligned(*shape)
        memory = self._memory(size)
        array = np.ndarray(shape, np.float32, memory)
        # At the array's end `next` has `map` append the memory to what is free. None of this is written in Python: an
        # interrupt that strikes in what runs at an array's end would be lost.
        give_back = functools.partial(next, map(self._free.append, (memory,)))
        memory.loan = weakref.ref(array, give_back)
        return array

    def _memory(self, size: int) -> Any:
        """An object that is no array: NumPy would take it for the owner of views of what lies in it, and the array
        that was lent could die before them."""
        from cnntool.steps import guarded

        while (memory := taken(self._free)) is not None:
            if len(memory) == size:
                if guarded.enabled():
                    memory[:] = guarded.NAN * (size // 4)
                return memory
        return (ctypes.c_char * size).from_buffer(aligned(size // 4).data)


def taken(free: list[T] | deque[T]) -> T | None:
    """The last of what is free, whoever else takes from the list at the same time; None if there is none."""
    try:
        return free.pop()
    except IndexError:
        return None


class Rooms:
    """Memory of the values of a recorded program, used again by later values once nobody needs the earlier ones."""

    def __init__(self) -> None:
        self._owned: dict[int, np.ndarray] = {}
        self._free: list[np.ndarray] = []
        self.all: list[np.ndarray] = []

    def take(self, value: int, shape: tuple[int, ...]) -> np.ndarray:
        """A room for a value, which owns it from now on."""
        size = math.prod(shape)
        fitting = [number for number, room in enumerate(self._free) if room.size >= size]
        if fitting:
            room = self._free.pop(min(fitting, key=lambda number: self._free[number].size))
        else:
            room = aligned(size)
            self.all.append(room)
        self._owned[value] = room
        return room[:size].reshape(shape)

    def release(self, value: int) -> np.ndarray | None:
        """Takes the room of a value back, if it has one: nothing that is recorded from now on may read it."""
        room = self._owned.pop(value, None)
        if room is not None:
            self._free.append(room)
        return room


class Scratch:
    """Gives arrays out of a few blocks, the same ones in the same order after each `reset`.

    So what a band needs lies where that of the band before lay, in the processor's cache.
    """

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self.given: list[np.ndarray] = []  # since the last reset, each with its spare float32; in checking mode only
        self.reset()

    def reset(self) -> None:
        """All arrays that were given become free."""
        self._block = self._used = 0
        self.given = []

    def array(self, *shape: int, spare: int = 0) -> np.ndarray:
        """A float32 array with arbitrary contents; `spare` more float32 behind it may be read."""
        from cnntool.steps import guarded

        size = math.prod(shape)
        if guarded.enabled():
            self.given.append(guarded.array((size + spare,)))
            return self.given[-1][:size].reshape(shape)
        taken = -(-(size + spare) // 16) * 16  # whole cache lines
        while self._block < len(self._blocks) and self._used + taken > len(self._blocks[self._block]):
            self._block, self._used = self._block + 1, 0
        if self._block == len(self._blocks):
            self._blocks.append(aligned(max(BLOCK, taken)))
        start = self._used
        self._used += taken
        return self._blocks[self._block][start : start + size].reshape(shape)
