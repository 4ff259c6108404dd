"""What the modules of this package share, and callers of kernels know."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES = Path(__file__).parent / "sources"

RANGE = object()
"""Stands for two numbers, the first and the last, in what `Kernel.over` is given."""

compile_listeners: list[Callable[[str], None]] = []


@contextlib.contextmanager
def on_compile(tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, calls `tell(kernel name)` when a kernel has to be compiled because no cached code was found."""
    compile_listeners.append(tell)
    try:
        yield
    finally:
        compile_listeners.remove(tell)
