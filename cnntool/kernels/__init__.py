"""Numba kernels: arrays and integers in, `out` filled. No layer, no file and no message is known here.

The grammar of a kernel's name is `<operation>_<method>_<direction>`. Kernels are serial, release the GIL and work on a
range of rows; volumes are C-contiguous float32, height x width x channels. A kernel trusts its caller: checking,
allocating and defaults are done before it.

Modules load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

compile_listeners: list[Callable[[str], None]] = []


@contextlib.contextmanager
def on_compile(tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, calls `tell(kernel name)` when a kernel has to be compiled because no cached code was found.

    It stands here, and not in `jit`, for whoever listens before there is need of Numba.
    """
    compile_listeners.append(tell)
    try:
        yield
    finally:
        compile_listeners.remove(tell)


def __getattr__(name: str) -> Any:
    path = f"{__name__}.{name}"
    if name.startswith("_") or importlib.util.find_spec(path) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(path)
