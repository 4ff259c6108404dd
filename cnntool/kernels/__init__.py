"""Numba kernels: arrays and integers in, `out` filled. No layer, no file and no message is known here.

The grammar of a kernel's name is `<operation>_<method>_<direction>`. Kernels are serial, release the GIL and work on a
range of rows; volumes are C-contiguous float32, height x width x channels. A kernel trusts its caller: checking,
allocating and defaults are done before it.

Modules load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "activations", "convolution", "dense", "jit", "normalisation", "peak", "pointwise", "pooling", "statistics",
    "vectors", "winograd",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
