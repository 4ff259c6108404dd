"""Kernels: arrays and numbers in, `out` filled. No layer, no file and no message is known here.

`kernels.activations.relu_forward(...)` calls a kernel that Numba has compiled from `sources/activations.py`. Machine
code is kept on disk and runs without Numba (`code`), which is imported where something has to be compiled
(`compiler`). Modules beside a source of their name hold what Python needs of it: constants, packed filters.

Modules load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from cnntool.kernels.common import RANGE, SOURCES, compile_listeners, on_compile

__all__ = ["RANGE", "SOURCES", "compile_listeners", "kernels_of", "on_compile"]


class KernelModule:
    """The kernels of a module of `sources` that has nothing else for Python."""

    def __init__(self, module: str) -> None:
        self._find = kernels_of(module)

    def __getattr__(self, name: str) -> Any:
        return self._find(name)


def kernels_of(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: each name that it does not define itself is a kernel in the source of its name."""
    source = SOURCES / f"{module.rpartition('.')[2]}.py"

    @functools.cache
    def find(name: str) -> Any:
        if f"\ndef {name}(" not in source.read_text(encoding="utf-8"):
            raise AttributeError(f"no kernel {name!r} in {source.name}")
        from cnntool.kernels.code import Kernel

        return Kernel(source.stem, name)

    return find


def __getattr__(name: str) -> Any:
    if SOURCES.with_name(f"{name}.py").is_file():
        return importlib.import_module(f"{__name__}.{name}")
    if not (SOURCES / f"{name}.py").is_file():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, KernelModule(name))
