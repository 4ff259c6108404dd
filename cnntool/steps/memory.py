"""Memory for volumes, and its ownership. Every array of the engine comes from here:

- `aligned`: reference counted, like any NumPy array. - `Lender`: the array belongs to the borrower until it and all
views of it are garbage; then the lender reuses its memory. - `Rooms`: a room belongs to a value of a recorded program
from `take` to `release`. Recorded calls hold only addresses,
  so a room must not be released before the last call that reads it, or a view of it, is recorded.
- `Scratch`: its arrays belong to one band of one thread, from one `reset` to the next.
"""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from collections import deque
from typing import Any, TypeVar

import numpy as np

from cnntool.steps import guarded

T = TypeVar("T")

BLOCK = 2**18  # float32 of the smallest block
PAGE = 4096  # bytes
# Bytes of the largest array whose memory a lender keeps. For 40 Gabor filters on 1024x1024, 168 MB, page faults took 17
# ms of 77 with one thread, 10 of 46 with two.
LARGEST = 2**28
KEPT = 2  # free arrays of a lender: the user may hold one result while the next is computed


def aligned(*shape: int, spare: int = 0) -> np.ndarray:
    """An uninitialised, page-aligned float32 array; `spare` more float32 beyond its end may be read.

    NumPy's large arrays begin 16 bytes after a page, so that every 64-byte vector crosses a cache line: with such an
    output, 3x3 convolution of 224x224x3 to 64 channels took 1.96 ms instead of 1.77. An offset of 64 bytes is worse
    than page alignment for NumPy inputs, because of 4K aliasing between loads and recent stores: 3x3 depthwise
    convolution of 112x112x128 took 0.38 ms instead of 0.35.
    """
    if guarded.enabled():
        return guarded.array(shape, spare)
    memory = np.empty(4 * (math.prod(shape) + spare) + PAGE, np.uint8)
    return np.ndarray(shape, np.float32, memory, -memory.ctypes.data % PAGE)


class Lender:
    """Lends float32 arrays and reuses their memory once they are garbage.

    A fresh array costs a page fault for each 4 KB written, which took as long as a small convolution itself.
    """

    def __init__(self) -> None:
        self._free: deque[Any] = deque(maxlen=KEPT)

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """An uninitialised array. It is in use as long as it or a view of it is alive."""
        size = 4 * math.prod(shape)
        if size > LARGEST:
            return aligned(*shape)
        memory = self._memory(size)
        array = np.ndarray(shape, np.float32, memory)
        # When the array dies, `next` makes `map` append its memory to the free list. None of it is Python code, in
        # which an interrupt would be lost.
        give_back = functools.partial(next, map(self._free.append, (memory,)))
        memory.loan = weakref.ref(array, give_back)
        return array

    def _memory(self, size: int) -> Any:
        """Memory as an object that is not an array, which NumPy would make the base of views, so that the lent array
        could die before them."""

        while (memory := taken(self._free)) is not None:
            if len(memory) == size:
                if guarded.enabled():
                    memory[:] = guarded.NAN * (size // 4)
                return memory
        return (ctypes.c_char * size).from_buffer(aligned(size // 4).data)


def taken(free: list[T] | deque[T]) -> T | None:
    """Pops a free item, safe against concurrent use; None if there is none."""
    try:
        return free.pop()
    except IndexError:
        return None


class Rooms:
    """Memory for the values of a recorded program, reused by later values after release."""

    def __init__(self) -> None:
        self._owned: dict[int, np.ndarray] = {}
        self._free: list[np.ndarray] = []
        self.all: list[np.ndarray] = []

    def take(self, value: int, shape: tuple[int, ...]) -> np.ndarray:
        """A room for a value, which owns it until `release`."""
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
        """Releases the room of a value, if it has one: calls recorded later must not read it."""
        room = self._owned.pop(value, None)
        if room is not None:
            self._free.append(room)
        return room


class Scratch:
    """An arena: the same sequence of requests gets the same memory after each `reset`.

    So each band reuses the memory of the one before, which is still in the cache.
    """

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self.given: list[np.ndarray] = []  # arrays since the last reset, with their spare; in checking mode only
        self.reset()

    def reset(self) -> None:
        """Frees all arrays."""
        self._block = self._used = 0
        self.given = []

    def array(self, *shape: int, spare: int = 0) -> np.ndarray:
        """An uninitialised float32 array; `spare` more float32 beyond its end may be read."""

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
