"""How machine code is called: kinds of arguments, and the int64 numbers in memory that stand for the arguments."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

INTEGER, FLOAT32, FLOAT64 = "i", "f", "d"
Kind = str | tuple[str, int, bool]  # of an array: NumPy's letter for its numbers, its axes, whether it is C-contiguous
Kinds = tuple[Kind, ...]
FAILED = -1  # what an entry returns when the kernel found no memory; else its result, 0 for none
# The first byte of code: whether it calls functions of Numba, of which LLVM has to be told.
NEEDS_NOTHING, NEEDS_NUMBA = b"-", b"N"
ADDRESS_SLOT = 4  # of an array's numbers, the one that says where it lies
STRIDED = "s"


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


def kinds_as_text(kinds: Kinds) -> str:
    """`i`, `f` and `d` for numbers, `f4` for a contiguous float32 array with 4 axes and `f4s` for another one."""
    return "".join(
        kind if isinstance(kind, str) else f"{kind[0]}{kind[1]}{'' if kind[2] else STRIDED}" for kind in kinds
    )


def kinds_of_text(text: str) -> Kinds:
    """The kinds that `kinds_as_text` writes so; a ValueError for what it does not write."""
    kinds: list[Kind] = []
    for letter, axes, strided in re.findall(r"(\D)(\d*)(s?)", text):
        kinds.append((letter, int(axes), not strided) if axes else letter)
    if kinds_as_text(tuple(kinds)) != text or not {kind for kind in kinds if isinstance(kind, str)} <= {*"ifd"}:
        raise ValueError(f"{text!r} are no kinds of arguments: expected some like 'if4d' (see kinds_as_text)")
    return tuple(kinds)


def _address_in_object(array: np.ndarray) -> int:
    """Read from where NumPy keeps it, behind Python's header; `array.ctypes` takes a microsecond to tell it."""
    return ctypes.c_int64.from_address(id(array) + object.__basicsize__).value


def _address_told(array: np.ndarray) -> int:
    return array.ctypes.data


_probe = np.zeros(3)[1:]
address = _address_in_object if _address_in_object(_probe) == _probe.ctypes.data else _address_told
"""Where the first value of an array lies."""
