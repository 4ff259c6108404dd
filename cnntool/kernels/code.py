"""Kernels as machine code, loaded and called without Numba; what is in no cache is compiled first.

The code of a kernel for arguments of certain kinds is an object file with one entry, which takes the address of the
arguments as int64 numbers in a row. Importing Numba and having it read its own cache took 0.4 s of a run of 0.6 s.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import threading
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np

from cnntool.kernels import RANGE, cache, compile_listeners
from cnntool.kernels.vectors import processor

INTEGER, FLOAT32, FLOAT64 = "i", "f", "d"
Kind = str | tuple[str, int, bool]  # of an array: NumPy's letter for its numbers, its axes, whether it is C-contiguous
Kinds = tuple[Kind, ...]
FAILED = -1  # what an entry returns when the kernel found no memory; else its result, 0 for none
# The first byte of code: whether it calls functions of Numba, of which LLVM has to be told.
NEEDS_NOTHING, NEEDS_NUMBA = b"-", b"N"
ADDRESS_SLOT = 4  # of an array's numbers, the one that says where it lies
_entry_type = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)  # lets go of Python's lock while it is called
_loading = threading.RLock()


class Entry(NamedTuple):
    """Where machine code begins, and a way to call it from Python."""

    address: int
    function: Callable[[int], int]

    def __call__(self, block: array) -> int:
        result = self.function(block.buffer_info()[0])
        if result == FAILED:
            raise MemoryError
        return result


class Kernel:
    """One function of `sources`, called with C-contiguous or other arrays, integers, np.float32 and Python's floats."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._entries: dict[Kinds, Entry] = {}

    def __call__(self, *arguments: Any) -> int:
        kinds, numbers = taken_apart(arguments)
        return self.entry(kinds)(array("q", numbers))

    def over(self, *arguments: Any) -> Callable[[int, int], int]:
        """`function(first, last)` that calls the kernel with these two numbers in the place of RANGE.

        The other arguments are taken apart once: in a step of training that was 2 ms of 36.
        """
        place = next(number for number, argument in enumerate(arguments) if argument is RANGE)
        before, after = arguments[:place], arguments[place + 1 :]
        start = len(taken_apart(before)[1])
        kinds, numbers = taken_apart((*before, 0, 0, *after))
        entry, whole = self.entry(kinds), array("q", numbers)

        def call(first: int, last: int) -> int:
            block = whole[:]
            block[start], block[start + 1] = first, last
            return entry(block)

        call.arguments = arguments  # type: ignore[attr-defined]  # arrays live as long as it does
        return call

    def entry(self, kinds: Kinds) -> Entry:
        """The machine code for arguments of these kinds."""
        return self._entries.get(kinds) or self._load(kinds)

    def _load(self, kinds: Kinds) -> Entry:
        name = f"{self.module}.{self.name}-{hashlib.blake2b(repr(kinds).encode(), digest_size=4).hexdigest()}"
        with _loading:
            if kinds not in self._entries:
                code = cache.read(name)
                if code is None:
                    code = self._compile(name, kinds)
                self._entries[kinds] = _load(name, code)
            return self._entries[kinds]

    def _compile(self, name: str, kinds: Kinds) -> bytes:
        from cnntool.kernels.compiler import machine_code

        for tell in compile_listeners:
            tell(self.name)
        source = importlib.import_module(f"cnntool.kernels.sources.{self.module}")
        code = machine_code(getattr(source, self.name), kinds, name)
        cache.write(name, code)
        return code


def taken_apart(arguments: Sequence[Any]) -> tuple[Kinds, list[int]]:
    """Kinds of the arguments, and the numbers that Numba's calling convention makes of them."""
    kinds: list[Kind] = []
    numbers: list[int] = []
    for argument in arguments:
        kind = type(argument)
        if kind is int:
            kinds.append(INTEGER)
            numbers.append(argument)
        elif isinstance(argument, np.ndarray):
            kinds.append((argument.dtype.char, argument.ndim, argument.flags.c_contiguous))
            # two pointers say who owns the array: nobody, the caller keeps it alive
            numbers += (0, 0, argument.size, argument.itemsize, address(argument), *argument.shape, *argument.strides)
        elif kind is np.float32:
            kinds.append(FLOAT32)
            numbers.append(int(argument.view(np.int32)))
        elif kind is float or kind is np.float64:
            kinds.append(FLOAT64)
            numbers.append(int(np.float64(argument).view(np.int64)))
        else:
            kinds.append(INTEGER)
            numbers.append(int(argument))
    return tuple(kinds), numbers


def _address_in_object(array: np.ndarray) -> int:
    """Read from where NumPy keeps it, behind Python's header; `array.ctypes` takes a microsecond to tell it."""
    return ctypes.c_int64.from_address(id(array) + object.__basicsize__).value


def _address_told(array: np.ndarray) -> int:
    return array.ctypes.data


_probe = np.zeros(3)[1:]
address = _address_in_object if _address_in_object(_probe) == _probe.ctypes.data else _address_told
"""Where the first value of an array lies."""


@functools.cache
def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = processor()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(name, features, jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def _load(name: str, code: bytes) -> Entry:
    if code[:1] == NEEDS_NUMBA:
        from cnntool.kernels.compiler import make_run_time_known

        make_run_time_known()
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code[1:]))
    engine.finalize_object()
    address = engine.get_function_address(name)
    return Entry(address, _entry_type(address))
