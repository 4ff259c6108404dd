"""Shared by the modules of this package and callers of kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES = Path(__file__).parent / "sources"

SIZE = 8  # bytes of the number before a piece of code between processes

RANGE = object()
"""Stands for the two numbers first and last in the arguments of `Kernel.over`."""

undivided = False
"""Whether this process runs nothing but this program, no other user of Numba; the command line sets it."""

compile_listeners: list[Callable[[str], None]] = []


@contextlib.contextmanager
def on_compile(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, calls `tell(kernel name)` whenever a kernel is compiled for lack of cached code."""
    compile_listeners.append(tell)
    try:
        yield
    finally:
        compile_listeners.remove(tell)
