"""The calling convention of machine code: kinds of arguments, and the int64 numbers that represent them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnntool.kernels.arguments import TUPLES

INTEGER, FLOAT32, FLOAT64 = "i", "f", "d"
# Of an array: NumPy's type character, number of axes, whether C-contiguous. Of a tuple: its letter, its members' kinds.
Kind = str | tuple[str, int, bool] | tuple[str, "Kinds"]
Kinds = tuple[Kind, ...]
FAILED = -1  # an entry's return value if the kernel ran out of memory; else its result, 0 for none
ADDRESS_SLOT = 4  # the index of an array's address among its numbers
STRIDED = "s"
LETTERS = {kind: letter for letter, kind in TUPLES.items()}


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
        elif kind in LETTERS:
            members, more = taken_apart(argument)
            kinds.append((LETTERS[kind], members))
            numbers += more
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


def leaves(arguments: Sequence[Any]) -> Iterator[Any]:
    """The arrays and numbers among the arguments and in their tuples."""
    for argument in arguments:
        if type(argument) in LETTERS:
            yield from leaves(argument)
        else:
            yield argument


def kinds_as_text(kinds: Kinds) -> str:
    """`i`, `f` and `d` for numbers, `f4` for a contiguous float32 array with 4 axes and `f4s` for another one.

    Of a tuple: its letter in TUPLES, the number of its members, and their kinds.
    """
    return "".join(map(_kind_as_text, kinds))


def _kind_as_text(kind: Kind) -> str:
    if isinstance(kind, str):
        return kind
    if len(kind) == 2:
        return f"{kind[0]}{len(kind[1])}{kinds_as_text(kind[1])}"
    return f"{kind[0]}{kind[1]}{'' if kind[2] else STRIDED}"


def kinds_of_text(text: str) -> Kinds:
    """The inverse of `kinds_as_text`; a ValueError for other texts."""
    pieces = iter(re.findall(r"([A-Za-z])(\d*)(s?)", text))

    def kinds(letter: str, number: str, strided: str) -> Kind:
        if letter in TUPLES:
            return letter, tuple(kinds(*next(pieces)) for _ in range(int(number)))
        if not number and letter not in (INTEGER, FLOAT32, FLOAT64):
            raise ValueError
        return (letter, int(number), not strided) if number else letter

    try:
        found = tuple(kinds(*piece) for piece in pieces)
        if kinds_as_text(found) == text:
            return found
    except (ValueError, RuntimeError):  # RuntimeError: the end of the text within a tuple
        pass
    raise ValueError(f"{text!r} are no kinds of arguments: expected some like 'if4d' (see kinds_as_text)")


def _address_in_object(array: np.ndarray) -> int:
    """Reads the data pointer from NumPy's object struct; `array.ctypes` takes a microsecond."""
    return ctypes.c_int64.from_address(id(array) + object.__basicsize__).value


def _address_told(array: np.ndarray) -> int:
    return array.ctypes.data


_probe = np.zeros(3)[1:]
address = _address_in_object if _address_in_object(_probe) == _probe.ctypes.data else _address_told
"""The address of an array's first value."""
