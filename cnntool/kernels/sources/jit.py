"""Decorators that make functions of `sources` kernels, with Numba's options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numba

# NaN and infinity must behave as in IEEE 754, so neither `nnan` nor `ninf` is set.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def kernel(function: Callable) -> Any:
    """A kernel, to be called by `kernels.code.Kernel` and other kernels."""
    return _compiled(function, nogil=True, fastmath=FASTMATH, error_model="numpy", boundscheck=False)


def inlined(function: Callable) -> Any:
    """A helper inlined by Numba before type inference, so that literals reach the tiles."""
    return _compiled(function, inline="always")


def _compiled(function: Callable, **options: Any) -> Any:
    with compiling_enabled():
        return numba.njit(**options)(function)


@contextlib.contextmanager
def compiling_enabled() -> Iterator[None]:
    """Overrides NUMBA_DISABLE_JIT, since Python cannot run functions that emit LLVM IR."""
    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 0
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before
