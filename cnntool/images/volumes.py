"""`.npy` volumes: H x W or H x W x C numbers, mapped from a file or taken from bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnntool.arrays import Header, npy_array, npy_header, telling
from cnntool.errors import BadInput
from cnntool.limits import check_memory

EXPECTED = "expected a .npy file of H x W or H x W x C real numbers"
TROUBLE = "not a volume that can be read"
MAPPED = "<f4"  # what is read without being converted


def volume_shape(source: Any, name: str) -> tuple[int, int, int]:
    """(height, width, channels) of a path or bytes, from the header; raises BadInput for what is no volume."""
    shape = header(source, name).shape
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def load(
    source: Any, name: str, notice: Callable[[str], None] | None = None, part: tuple[slice, slice] | None = None
) -> np.ndarray:
    """float32 H x W x C, C-contiguous, of the rows and columns in `part`.

    A path of little-endian float32 is mapped copy-on-write: only the pages that are used are read, and the array can
    be written without changing the file. `notice` gets one line when another type is converted.
    """
    found = header(source, name)
    with telling(name, EXPECTED, TROUBLE, BadInput):
        array = npy_array(source, found)
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if part is not None:
            array = array[part]
        tell_type(found.dtype, name, notice)
        if found.descr != MAPPED or not array.flags.c_contiguous:
            check_memory(array.size, f"{name}: the volume as float32")
        array = to_float32(array)
        return array if array.flags.writeable else array.copy()


def tell_type(dtype: np.dtype, name: str, notice: Callable[[str], None] | None) -> None:
    """One line to `notice` when numbers of `dtype` are not float32 already."""
    if dtype.newbyteorder("=") != np.float32 and notice is not None:
        notice(f"{name}: {dtype.name} converted to float32")


def to_float32(array: np.ndarray) -> np.ndarray:
    """C-contiguous float32, the array itself where it is that; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def header(source: Any, name: str) -> Header:
    """The header of a volume, checked against the file's length; raises BadInput for what is no volume."""
    with telling(name, EXPECTED, TROUBLE, BadInput):
        found = npy_header(source)
        found.require("fiub")
        if len(found.shape) not in (2, 3):
            raise ValueError(f"{len(found.shape)} dimensions")
        if not math.prod(found.shape):
            raise ValueError(f"an empty volume, {' x '.join(map(str, found.shape))}")
        return found
