"""Kernels: functions of arrays and numbers that fill `out`. They know no layers, files or messages.

`kernels.activations.relu_forward(...)` calls the kernel that Numba compiled from `sources/activations.py`. Machine code
is cached on disk and runs without Numba (`code`), which is imported only to compile (`compiler`). A module here with
the name of a source holds what Python needs beside the kernels: constants, packing of filters.

Modules load on first use, so importing this package costs nothing.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from typing import Any

from cnntool.kernels.common import RANGE, SOURCES, compile_listeners, on_compile

__all__ = ["RANGE", "SOURCES", "compile_listeners", "kernels_of", "on_compile"]


def kernels_of(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__`: every name that it does not define is a kernel of the source with the module's name.

    A kernel that does not exist is an AttributeError when it is called.
    """
    source = module.rpartition(".")[2]

    @functools.cache
    def kernel(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        from cnntool.kernels.code import kernel_of

        return kernel_of(source, name)

    return kernel


def __getattr__(name: str) -> Any:
    if SOURCES.with_name(f"{name}.py").is_file():
        return importlib.import_module(f"{__name__}.{name}")
    if not (SOURCES / f"{name}.py").is_file():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = types.ModuleType(name)
    module.__getattr__ = kernels_of(name)  # type: ignore[method-assign]
    return globals().setdefault(name, module)
