"""How functions of `sources` become kernels: the only place with Numba's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

# NaN and infinity must go through as IEEE says, so neither `nnan` nor `ninf` is among these.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def kernel(function: Callable) -> Any:
    """What `kernels.code.Kernel` calls, and other kernels do."""
    return numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy", boundscheck=False)(function)


def inlined(function: Callable) -> Any:
    """A helper that Numba writes into its callers before it types them, so that literals reach the tiles."""
    return numba.njit(inline="always")(function)
