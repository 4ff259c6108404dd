"""Rows of images and volumes that need not fit into memory: `rows[a:b]` reads only those rows."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from cnntool.arrays import Header
from cnntool.images import decode, volumes
from cnntool.images.inspection import Found, inspected
from cnntool.images.orientation import orientation_of, turned_size
from cnntool.images.pages import Pixels
from cnntool.images.preparation import AS_IT_IS, Preparation
from cnntool.images.read import (
    Notice,
    Readable,
    decoding,
    finished,
    looked_at,
    name_of,
    naming,
    opened,
    prepared,
    read_volume,
    tell,
    volume_of,
    volume_size,
)
from cnntool.images.strips import RandomFile, Strip, strips_of


def open_rows(
    source: Readable, preparation: Preparation = AS_IT_IS, notice: Notice | None = None, *, name: str | None = None
) -> RowReader:
    """The rows of an image or a `.npy` volume, prepared: `rows[a:b]` is exactly `read_volume(...)[a:b]`.

    What is held in memory between two reads:

    | input | held |
    | --- | --- |
    | `.npy` of any real type; uncompressed TIFF, PPM, PGM, PBM, PFM and BMP without a palette | nothing |
    | TIFF packed without loss that Pillow does not read right | the strips or tiles of the last row |
    | other images: compressed, with a palette, turned, resized | the pixels, mostly in 1 byte a number |
    | a `.npy` in Fortran order (`notice` is told), or given as bytes; PNG of 16 bit colours; such a TIFF turned or |
    | resized | the whole volume in float32 |

    Arguments and errors are those of `read_volume`. A file shorter than its header declares is refused here; one that
    is truncated later raises when the missing rows are read. The file must not change while rows are read.
    """
    name = name or name_of(source)
    content, is_volume = looked_at(source, name)
    if is_volume:
        return _volume_rows(content, preparation, notice, name)
    return _image_rows(content, preparation, notice, name)


class RowReader(abc.ABC):
    """The rows of one input: `shape` is (height, width, channels), `rows[a:b]` is float32 (b - a) x width x channels.

    Each slice is a new C-contiguous array. Several threads may read. A context manager; leaving it closes the file.
    """

    def __init__(self, shape: tuple[int, int, int], corner: tuple[int, int], preparation: Preparation, name: str):
        """`corner` is the row and column of the input where the crop begins."""
        self.shape, self.name = shape, name
        self._top, self._left = corner
        self._preparation = preparation
        self._closed = False

    def __getitem__(self, rows: slice) -> np.ndarray:
        """A ValueError for a step, and once the rows are closed; BadInput when the file cannot be read."""
        if not isinstance(rows, slice):
            raise TypeError(f"rows[{rows!r}]: expected a slice of rows, such as rows[0:256]")
        first, last, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"rows in steps of {step}: expected neighbouring rows, such as rows[0:256]")
        if self._closed:
            raise ValueError(f"{self.name}: the rows are closed")
        if last <= first:
            return np.empty((0, *self.shape[1:]), np.float32)
        with decoding(self.name):
            return self._read(first, last)

    def __enter__(self) -> RowReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True

    def _read(self, first: int, last: int) -> np.ndarray:
        return finished(self._cropped(first + self._top, last + self._top), self._preparation, self.name)

    @abc.abstractmethod
    def _cropped(self, first: int, last: int) -> np.ndarray:
        """float32 of the input's rows `first` to `last` and the columns of the crop; not empty."""

    @property
    def _columns(self) -> slice:
        return slice(self._left, self._left + self.shape[1])


class _InMemory(RowReader):
    """A prepared volume that had to be read completely."""

    def __init__(self, volume: np.ndarray, name: str) -> None:
        super().__init__(volume.shape, (0, 0), AS_IT_IS, name)
        self._volume = volume

    def _cropped(self, first: int, last: int) -> np.ndarray:
        return self._volume[first:last].copy()


class _VolumeRows(RowReader):
    """A `.npy` file in C order. Rows are read, not mapped: mapped pages would count as memory of this process."""

    def __init__(self, file: RandomFile, header: Header, *rows: Any) -> None:
        super().__init__(*rows)
        self._file = file
        _, width, *channels = header.shape
        self._dtype, self._offset = header.dtype, header.offset
        self._row = width, *(channels or [1])

    def _cropped(self, first: int, last: int) -> np.ndarray:
        row_bytes = self._row[0] * self._row[1] * self._dtype.itemsize
        content = self._file.read(self._offset + first * row_bytes, (last - first) * row_bytes)
        numbers = content.view(self._dtype).reshape(last - first, *self._row)
        return volumes.to_float32(numbers[:, self._columns])

    def close(self) -> None:
        super().close()
        self._file.close()


class _PageRows(RowReader):
    """A page of a TIFF that is not decoded by Pillow."""

    def __init__(self, file: RandomFile | None, pixels: Pixels, *rows: Any) -> None:
        super().__init__(*rows)
        self._file, self._pixels = file, pixels

    def _cropped(self, first: int, last: int) -> np.ndarray:
        return self._pixels.rows(first, last)[:, self._columns]

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()


class _StripRows(RowReader):
    """An image file of uncompressed pixels."""

    def __init__(self, file: RandomFile, strips: list[Strip], image: Any, *rows: Any) -> None:
        super().__init__(*rows)
        self._file, self._strips = file, strips
        self._mode, self._raw = image.mode, decode.raw_mode(image)
        self._format, self._info = image.format, image.info

    def _cropped(self, first: int, last: int) -> np.ndarray:
        columns = self._columns
        volume = np.empty((last - first, self.shape[1], decode.channels_of(self._mode)), np.float32)
        for strip in self._strips:
            top, bottom = max(first, strip.top), min(last, strip.bottom)
            left, right = max(columns.start, strip.left), min(columns.stop, strip.right)
            if top < bottom and left < right:
                pixels = strip.pixels(self._file, self._mode, top, bottom)
                pixels.format, pixels.info = self._format, dict(self._info)
                piece = decode.to_array(decode.flatten_mode(pixels, self._raw))
                part = slice(top - first, bottom - first), slice(left - columns.start, right - columns.start)
                volume[part] = piece[:, left - strip.left : right - strip.left]
        return volume

    def close(self) -> None:
        super().close()
        self._file.close()


class _PixelRows(RowReader):
    """An image held by Pillow, in its file's mode or flattened; converted to floats a band of rows at a time."""

    def __init__(self, image: Any, raw: str, *rows: Any) -> None:
        super().__init__(*rows)
        self._image, self._raw = image, raw

    def _cropped(self, first: int, last: int) -> np.ndarray:
        columns = self._columns
        band = self._image.crop((columns.start, first, columns.stop, last))
        band.format = self._image.format
        return decode.to_array(decode.flatten_mode(band, self._raw))

    def close(self) -> None:
        super().close()
        self._image = None


def _volume_rows(source: Readable, preparation: Preparation, notice: Notice | None, name: str) -> RowReader:
    header = volumes.header(source, name)
    shape = header.shape
    if header.fortran or isinstance(source, bytes):
        if header.fortran and notice is not None:
            notice(f"{name}: columns first (Fortran order), so the whole volume is held in memory")
        return _InMemory(read_volume(source, preparation, notice, name=name), name)
    with naming(name):
        size = volume_size(preparation, *shape[:2])
        corner = preparation.corner(*shape[:2])
        channels = preparation.channels(shape[2] if len(shape) == 3 else 1)
    volumes.tell_type(header.dtype, name, notice)
    with decoding(name):
        file = RandomFile(source, name)
    return _VolumeRows(file, header, (*size, channels), corner, preparation, name)


def _image_rows(source: Readable, preparation: Preparation, notice: Notice | None, name: str) -> RowReader:
    with decoding(name), inspected(source, name, preparation.page) as found:
        tell(found, name, notice)
        if found.pixels is not None and found.pixels.page.orientation == 1 and preparation.resize is None:
            return _tiff_rows(found, preparation, name)
        if found.pixels is not None or found.stack or found.deep is not None:
            return _InMemory(finished(volume_of(found, preparation, name), preparation, name), name)
        return _pillow_rows(found, preparation, name)


def _tiff_rows(found: Found, preparation: Preparation, name: str) -> RowReader:
    assert found.pixels is not None
    height, width, channels = found.pixels.shape
    with naming(name):
        shape = (*preparation.size(height, width), preparation.channels(channels))
        corner = preparation.corner(height, width)
    file, found.file = found.file, None  # the rows close it
    return _PageRows(file, found.pixels, shape, corner, preparation, name)


def _pillow_rows(found: Found, preparation: Preparation, name: str) -> RowReader:
    source = found.source
    with opened(source, name, found.frame) as image:
        raw = decode.raw_mode(image)
        height, width = turned_size(image)
        with naming(name):
            channels = preparation.channels(decode.channels_of(image.mode))
            size = preparation.size(height, width)
            corner = preparation.corner(*preparation.resized(height, width))
        pixels = image
        if preparation.resize is not None or orientation_of(image) != 1:
            pixels, corner = prepared(image, preparation, name), (0, 0)
        elif not isinstance(source, bytes) and (strips := strips_of(image)) is not None:
            file = RandomFile(source, name)
            return _StripRows(file, strips, image, (*size, channels), corner, preparation, name)
        pixels.load()
        with naming(name):
            # The picture in an icon may have other channels than the icon's header tells.
            channels = preparation.channels(decode.channels_of(pixels.mode))
        return _PixelRows(pixels, raw, (*size, channels), corner, preparation, name)
