"""`.npy` volumes: H x W or H x W x C numbers, mapped from a file or taken from bytes. Nothing here unpickles."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from typing import IO, Any, Literal

import numpy as np

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import formats

MAGIC = formats.VOLUME_MAGIC
EXPECTED = "expected a .npy file of H x W or H x W x C real numbers"
READERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def volume_shape(source: Any, name: str) -> tuple[int, int, int]:
    """(height, width, channels) of a path or bytes, from the header; raises BadInput for what is no volume."""
    shape, _, _, _ = header(source, name)
    return (*shape, 1) if len(shape) == 2 else shape


def load(
    source: Any, name: str, notice: Callable[[str], None] | None = None, part: tuple[slice, slice] | None = None
) -> np.ndarray:
    """float32 H x W x C, C-contiguous, of the rows and columns in `part`.

    A path of little-endian float32 is mapped copy-on-write: only the pages that are used are read, and the array can
    be written without changing the file. `notice` gets one line when another type is converted.
    """
    shape, fortran, dtype, offset = header(source, name)
    order: Literal["F", "C"] = "F" if fortran else "C"
    try:
        if isinstance(source, bytes):
            array = np.frombuffer(source, dtype, math.prod(shape), offset).reshape(shape, order=order)
        else:
            array = np.asarray(np.memmap(source, dtype, "c", offset, shape, order))
    except (OSError, ValueError, MemoryError) as error:
        raise BadInput(f"{name}: not a volume that can be read ({error}): {EXPECTED}") from None
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if part is not None:
        array = array[part]
    tell_type(dtype, name, notice)
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


def header(source: Any, name: str) -> tuple[Any, bool, np.dtype, int]:
    """Shape, Fortran order, dtype and where the numbers begin; all is checked against the file's length."""
    try:
        if isinstance(source, bytes):
            return _parsed(io.BytesIO(source), len(source))
        with open(source, "rb") as file:
            return _parsed(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise CnntoolError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise CnntoolError(f"{name}: a folder, expected a file") from None
    except Exception as error:  # the header is a Python literal: a hostile one fails in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{name}: not a volume that can be read ({reason}): {EXPECTED}") from None


def _parsed(file: IO[bytes], length: int) -> tuple[Any, bool, np.dtype, int]:
    version = np.lib.format.read_magic(file)
    if version not in READERS:
        raise ValueError(f"format version {version[0]}.{version[1]}")
    shape, fortran, dtype = READERS[version](file)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"numbers of type {dtype}")
    if len(shape) not in (2, 3):
        raise ValueError(f"{len(shape)} dimensions")
    if any(side < 1 for side in shape):
        raise ValueError(f"an empty volume, {' x '.join(map(str, shape))}")
    missing = file.tell() + math.prod(shape) * dtype.itemsize - length
    if missing > 0:
        raise ValueError(f"truncated, {missing} bytes are missing")
    return shape, fortran, dtype, file.tell()
