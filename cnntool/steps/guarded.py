"""A memory checking mode for tests, in which silent errors become NaN, an exception or a crash.

`CNNTOOL_CHECK_MEMORY=end` (or `start`) puts every volume, room and scratch array between two guard pages, with its end
(or start) at one of them and canary bytes in the rest of its own pages. New memory is filled with NaN, rooms also on
release, and inputs are read-only. `steps.memory` and the engine call `enabled()`. It slows computing down several times
and needs POSIX `mprotect`.
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
    """A write outside of an array."""


class _Region:
    """Pages between two guard pages, alive as long as an array in them."""

    def __init__(self, size: int) -> None:
        self.size = size
        rounded = -(-max(size, 1) // PAGE) * PAGE
        # private, so that a forked child has a copy as of any memory
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
    """Turns the mode on (`end` or `start`) or off (empty) for arrays made in the block."""
    global placement
    before, placement = placement, where
    try:
        yield
    finally:
        placement = before


def array(shape: tuple[int, ...], spare: int = 0) -> np.ndarray:
    """A float32 array filled with NaN, followed by `spare` more float32."""
    size = int(np.prod(shape, dtype=np.int64))
    flat = np.asarray(_Region(4 * (size + spare)))
    flat[:] = np.nan
    return flat[:size].reshape(shape)


def read_only(values: np.ndarray) -> np.ndarray:
    """A read-only copy."""
    region = _Region(values.nbytes)
    copy = np.asarray(region).reshape(values.shape)
    copy[...] = values
    region.make_read_only()
    return copy


def check_all() -> None:
    """Raises GuardError if canary bytes beside any live array were overwritten."""
    for reference in _regions.valuerefs():
        region = reference()
        if region is not None:
            region.check()
