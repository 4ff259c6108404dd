"""Kernels as machine code, loaded and called without Numba, and compiled first if they are not cached.

A kernel for arguments of certain kinds is an object file with one entry, which takes the address of all arguments as
consecutive int64. Importing Numba and reading its own cache took 0.4 s of a run of 0.6 s.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import logging  # noqa: F401  # its fork hook must be registered before that of this module
import os
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from cnntool.kernels import ahead, cache, packaged
from cnntool.kernels.common import RANGE, compile_listeners
from cnntool.kernels.convention import (
    FAILED,
    Kinds,
    kinds_as_text,
    kinds_of_text,
    taken_apart,
)
from cnntool.kernels.processors import check_that_it_runs_here, target

_entry_type = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)  # releases the GIL during the call
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    # Threads that may hold the lock do not survive a fork. It stands for the locks of Numba and LLVM too: nothing forks
    # while another thread compiles. `before` hooks run in reverse order: compiling takes the lock of logging, which a
    # fork must not hold while it waits for this one.
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


class Entry(NamedTuple):
    """The address of machine code, and a function to call it from Python."""

    address: int
    function: Callable[[int], int]

    def __call__(self, block: array) -> int:
        result = self.function(block.buffer_info()[0])
        if result == FAILED:
            raise MemoryError
        return result


_rehearsals: dict[int, dict[str, None]] = {}  # by threads
_nothing = Entry(0, lambda _: 0)


@contextlib.contextmanager
def rehearsal() -> Iterator[dict[str, None]]:
    """Within the block, kernels that this thread calls do nothing; yields their names, by `Kernel.file`, in order.

    What they would have written is undefined, so that errors of their callers mean nothing.
    """
    names = _rehearsals[threading.get_ident()] = {}
    try:
        yield names
    finally:
        del _rehearsals[threading.get_ident()]


class Kernel:
    """A kernel of `sources`, called with arrays, integers, np.float32 and Python floats."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._entries: dict[Kinds, Entry] = {}

    def __call__(self, *arguments: Any) -> int:
        kinds, numbers = taken_apart(arguments)
        return self.entry(kinds)(array("q", numbers))

    def over(self, *arguments: Any) -> Callable[[int, int], int]:
        """A `function(first, last)` that calls the kernel with these two numbers instead of RANGE.

        The other arguments are converted once, which saves 2 ms of 36 in a step of training.
        """
        index = next(number for number, argument in enumerate(arguments) if argument is RANGE)
        before, after = arguments[:index], arguments[index + 1 :]
        start = len(taken_apart(before)[1])
        kinds, numbers = taken_apart((*before, 0, 0, *after))
        entry, template = self.entry(kinds), array("q", numbers)

        def call(first: int, last: int) -> int:
            block = template[:]
            block[start], block[start + 1] = first, last
            return entry(block)

        call.arguments = arguments  # type: ignore[attr-defined]  # keeps arrays alive
        return call

    def entry(self, kinds: Kinds) -> Entry:
        """The machine code for arguments of these kinds."""
        if _rehearsals and (names := _rehearsals.get(threading.get_ident())) is not None:
            names[self.file(kinds)] = None
            return _nothing
        return self._entries.get(kinds) or self._load(kinds)

    def file(self, kinds: Kinds) -> str:
        """What the cache calls the code for arguments of these kinds."""
        return f"{self.module}.{self.name}-{kinds_as_text(kinds)}"

    def _load(self, kinds: Kinds) -> Entry:
        name = self.file(kinds)
        with _loading:
            if kinds not in self._entries:
                code = packaged.read(name) or cache.read(name)
                if code is None:
                    for tell in compile_listeners:
                        tell(self.name)
                    code = ahead.code_of(name, compiled)
                    cache.write(name, code)
                self._entries[kinds] = _load(name, code)
            return self._entries[kinds]


@functools.cache
def kernel_of(module: str, name: str) -> Kernel:
    """The kernel of a source, one for all who call it."""
    return Kernel(module, name)


def compiled(name: str) -> bytes:
    """The code of a kernel, `module.kernel-kinds`, made by Numba."""
    from cnntool.kernels.compiler import machine_code

    kernel, _, kinds = name.partition("-")
    module, _, function = kernel.partition(".")
    source = importlib.import_module(f"cnntool.kernels.sources.{module}")
    return machine_code(getattr(source, function), kinds_of_text(kinds), name)


@functools.cache
def _engine() -> Any:
    check_that_it_runs_here()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = target()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(name, features, jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def _load(name: str, code: bytes) -> Entry:
    called, _, module = code.partition(b"\n")
    for one in called.decode().split():  # LLVM finds them by their names
        kernel, _, kinds = one.partition("-")
        source, _, function = kernel.partition(".")
        kernel_of(source, function).entry(kinds_of_text(kinds))
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(module))
    engine.finalize_object()
    address = engine.get_function_address(name)
    return Entry(address, _entry_type(address))
