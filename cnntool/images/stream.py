"""A `.npy` volume written as it comes: a band of rows at a time, all of it or nothing."""

from __future__ import annotations

import contextlib
import os
from typing import IO

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, atomic, writing


class VolumeWriter:
    """Writes H x W x C float32, C order, to `path`: a context manager, within which `append` takes the rows in order.

    The file appears when the block ends well and exactly H rows came. On an exception, KeyboardInterrupt too, nothing
    is left and a file that was there stays as it was. One thread at a time may append. Raises CnntoolError, which names
    `path`, for a place that cannot be written, a full disk, and rows that do not fit `shape`.
    """

    def __init__(self, path: PathLike, shape: tuple[int, int, int], *, make_folders: bool = False) -> None:
        self.path, self.shape = path, shape
        self.count = 0  # rows so far
        self._make_folders = make_folders
        self._file: IO[bytes] | None = None

    def __enter__(self) -> VolumeWriter:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic(self.path, make_folders=self._make_folders))
            with writing(self.path):
                self._file = open(temporary, "wb")
                stack.callback(self._abandon)
                header = {"descr": "<f4", "fortran_order": False, "shape": tuple(map(int, self.shape))}
                np.lib.format.write_array_header_1_0(self._file, header)
            self._stack = stack.pop_all()
        return self

    def append(self, rows: np.ndarray) -> None:
        """The next rows, n x W x C; converted to float32."""
        if self._file is None:
            raise ValueError(f"{os.fspath(self.path)}: rows are appended within a `with` block")
        if rows.ndim != 3 or rows.shape[1:] != tuple(self.shape[1:]):
            given, wanted = (" x ".join(map(str, shape)) for shape in (rows.shape, ("rows", *self.shape[1:])))
            raise CnntoolError(f"{os.fspath(self.path)}: {given} numbers do not fit: expected {wanted}")
        if self.count + len(rows) > self.shape[0]:
            raise CnntoolError(f"{os.fspath(self.path)}: {self.count + len(rows)} rows came: expected {self.shape[0]}")
        rows = np.ascontiguousarray(rows, dtype="<f4")
        with writing(self.path):
            self._file.write(rows.data.cast("B") if rows.size else b"")
        self.count += len(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)  # type: ignore[arg-type]
            return
        with self._stack, writing(self.path):
            if self.count != self.shape[0]:
                raise CnntoolError(f"{os.fspath(self.path)}: {self.count} rows came: expected {self.shape[0]}")
            assert self._file is not None
            self._file.close()  # writes what is still in its buffer

    def _abandon(self) -> None:
        """Closes the file; an error in that would hide the one that came first."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None
