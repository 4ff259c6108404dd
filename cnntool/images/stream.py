"""Writes a volume a band of rows at a time, atomically."""

from __future__ import annotations

import os

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, Replacement
from cnntool.images.write import NPY, volume_bytes, volume_header


class VolumeWriter:
    """Writes H x W x C float32, C order, to `path`: a context manager, within which `append` takes the rows in order.

    `form` is one of `write.VOLUME_FORMATS`.
    The file appears when the block ends well and exactly H rows came. On an exception, KeyboardInterrupt too, nothing
    is left and a file that was there stays as it was. One thread at a time may append. Raises CnntoolError, which names
    `path`, for a path that cannot be written, a full disk, and rows that do not fit `shape`.
    """

    def __init__(
        self, path: PathLike, shape: tuple[int, int, int], *, form: str = NPY, make_folders: bool = False
    ) -> None:
        height, width, channels = map(int, shape)
        self.path, self.shape = path, (height, width, channels)
        self._header = volume_header(form, self.shape)
        self.count = 0  # rows so far
        self._make_folders = make_folders
        self._replacement: Replacement | None = None

    def __enter__(self) -> VolumeWriter:
        replacement = Replacement(self.path, make_folders=self._make_folders)
        try:
            replacement.file.write(self._header)
        except BaseException:
            replacement.abandon()
            raise
        self._replacement = replacement
        return self

    def append(self, rows: np.ndarray) -> None:
        """The next rows, n x W x C; converted to float32."""
        if self._replacement is None:
            raise ValueError(f"{os.fspath(self.path)}: rows are appended within a `with` block")
        if rows.ndim != 3 or rows.shape[1:] != self.shape[1:]:
            given, wanted = (" x ".join(map(str, shape)) for shape in (rows.shape, ("rows", *self.shape[1:])))
            raise CnntoolError(f"{os.fspath(self.path)}: {given} numbers do not fit: expected {wanted}")
        if self.count + len(rows) > self.shape[0]:
            raise CnntoolError(f"{os.fspath(self.path)}: {self.count + len(rows)} rows came: expected {self.shape[0]}")
        self._replacement.file.write(volume_bytes(rows))
        self.count += len(rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        replacement, self._replacement = self._replacement, None
        assert replacement is not None
        if kind is None and self.count == self.shape[0]:
            replacement.commit()
            return
        replacement.abandon()
        if kind is None:
            raise CnntoolError(f"{os.fspath(self.path)}: {self.count} rows came: expected {self.shape[0]}")
