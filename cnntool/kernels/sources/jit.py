"""How functions of `sources` become kernels: the only place with Numba's options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numba

# NaN and infinity must go through as IEEE says, so neither `nnan` nor `ninf` is among these.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def kernel(function: Callable) -> Any:
    """What `kernels.code.Kernel` calls, and other kernels do."""
    return _compiled(function, nogil=True, fastmath=FASTMATH, error_model="numpy", boundscheck=False)


def inlined(function: Callable) -> Any:
    """A helper that Numba writes into its callers before it types them, so that literals reach the tiles."""
    return _compiled(function, inline="always")


def _compiled(function: Callable, **options: Any) -> Any:
    with compiling_enabled():
        return numba.njit(**options)(function)


@contextlib.contextmanager
def compiling_enabled() -> Iterator[None]:
    """Whatever NUMBA_DISABLE_JIT says: Python could not run functions that write LLVM's instructions."""
    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 0
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before
