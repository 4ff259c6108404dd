"""The calling convention of machine code: kinds of arguments, and the int64 numbers that represent them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

INTEGER, FLOAT32, FLOAT64 = "i", "f", "d"
Kind = str | tuple[str, int, bool]  # of an array: NumPy's type character, number of axes, whether C-contiguous
Kinds = tuple[Kind, ...]
FAILED = -1  # an entry's return value if the kernel ran out of memory; else its result, 0 for none
# The first byte of code: whether it calls functions of Numba's runtime, whose addresses LLVM needs.
NEEDS_NOTHING, NEEDS_NUMBA = b"-", b"N"
ADDRESS_SLOT = 4  # the index of an array's address among its numbers
STRIDED = "s"


def taken_apart(arguments: Sequence[Any]) -> tuple[Kinds, list[int]]:
    """The kinds of arguments, and their numbers in Numba's calling convention."""
    kinds: list[Kind] = []
    numbers: list[int] = []
    for argument in arguments:
        kind = type(argument)
        if kind is int:
            kinds.append(INTEGER)
            numbers.append(argument)
        elif isinstance(argument, np.ndarray):
            kinds.append((argument.dtype.char, argument.ndim, argument.flags.c_contiguous))
            # the two zeros: no owner, since the caller keeps the array alive
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
    """The inverse of `kinds_as_text`; a ValueError for other texts."""
    kinds: list[Kind] = []
    for letter, axes, strided in re.findall(r"(\D)(\d*)(s?)", text):
        kinds.append((letter, int(axes), not strided) if axes else letter)
    if kinds_as_text(tuple(kinds)) != text or not {kind for kind in kinds if isinstance(kind, str)} <= {*"ifd"}:
        raise ValueError(f"{text!r} are no kinds of arguments: expected some like 'if4d' (see kinds_as_text)")
    return tuple(kinds)


def _address_in_object(array: np.ndarray) -> int:
    """Reads the data pointer from NumPy's object struct; `array.ctypes` takes a microsecond."""
    return ctypes.c_int64.from_address(id(array) + object.__basicsize__).value


def _address_told(array: np.ndarray) -> int:
    return array.ctypes.data


_probe = np.zeros(3)[1:]
address = _address_in_object if _address_in_object(_probe) == _probe.ctypes.data else _address_told
"""The address of an array's first value."""
