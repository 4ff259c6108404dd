"""A checking mode of all memory, for tests: mistakes that would go unnoticed become NaN, an error or a crash.

`CNNTOOL_CHECK_MEMORY=end` (or `start`) puts every volume, room and scratch between two pages that may not be touched,
with its end (or its start) right at one of them and known bytes in what is left of its own pages. What is given out is
filled with NaN, rooms also when they are given back, and inputs may not be written. `steps.memory` and the engine ask
`enabled()`. It costs several times the time of computing, and needs POSIX's `mprotect`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

PAGE = mmap.PAGESIZE
CANARY = 0xA5
NAN = np.float32(np.nan).tobytes()
NOTHING, READ_ONLY = 0, 1  # PROT_NONE, PROT_READ of POSIX
placement = os.environ.get("CNNTOOL_CHECK_MEMORY", "")
_regions: weakref.WeakValueDictionary[int, _Region] = weakref.WeakValueDictionary()


class GuardError(AssertionError):
    """Something was written where nothing may be written."""


class _Region:
    """Whole pages between two guard pages; alive as long as an array lies in it."""

    def __init__(self, size: int) -> None:
        self.size = size
        rounded = -(-max(size, 1) // PAGE) * PAGE
        # private: a forked child has a copy, as of any memory
        self._map = mmap.mmap(-1, rounded + 2 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._protect(0, PAGE, NOTHING)
        self._protect(PAGE + rounded, PAGE, NOTHING)
        self.first = PAGE + (rounded - size if placement == "end" else 0)
        inner = self._bytes[PAGE : PAGE + rounded]
        inner[:] = CANARY
        self._rest = inner[: rounded - size] if placement == "end" else inner[size:]
        self._whole = rounded
        _regions[id(self)] = self

    @property
    def __array_interface__(self) -> dict:
        address = self._bytes.ctypes.data + self.first
        return {"data": (address, False), "shape": (self.size // 4,), "typestr": "<f4", "version": 3}

    def _protect(self, start: int, size: int, kind: int) -> None:
        address = ctypes.c_void_p(self._bytes.ctypes.data + start)
        if ctypes.CDLL(None, use_errno=True).mprotect(address, ctypes.c_size_t(size), kind):
            raise OSError(ctypes.get_errno(), "mprotect")

    def make_read_only(self) -> None:
        self._protect(PAGE, self._whole, READ_ONLY)

    def check(self) -> None:
        if (self._rest != CANARY).any():
            raise GuardError(f"{int((self._rest != CANARY).sum())} bytes beside an array of {self.size} were written")


def enabled() -> bool:
    return bool(placement)


@contextmanager
def placed_at(where: str) -> Iterator[None]:
    """Turns the mode on (`end` or `start`) or off (empty) for what is made meanwhile."""
    global placement
    before, placement = placement, where
    try:
        yield
    finally:
        placement = before


def array(shape: tuple[int, ...], spare: int = 0) -> np.ndarray:
    """float32, filled with NaN, and `spare` more behind it."""
    size = int(np.prod(shape, dtype=np.int64))
    flat = np.asarray(_Region(4 * (size + spare)))
    flat[:] = np.nan
    return flat[:size].reshape(shape)


def read_only(values: np.ndarray) -> np.ndarray:
    """A copy that may not be written."""
    region = _Region(values.nbytes)
    copy = np.asarray(region).reshape(values.shape)
    copy[...] = values
    region.make_read_only()
    return copy


def check_all() -> None:
    """Raises a GuardError if bytes beside any array that is alive were written."""
    for reference in _regions.valuerefs():
        region = reference()
        if region is not None:
            region.check()
