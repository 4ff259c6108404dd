"""Writing one result: all of it or nothing. Volumes as `.npy`, pictures by their suffix, either to a stream."""

from __future__ import annotations

import io
import os
from typing import IO

import numpy as np
from PIL import Image

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, atomic
from cnntool.images.formats import VOLUME_SUFFIX, WRITTEN, suffix_of

FORMATS = ("npy", *(suffix[1:] for suffix in WRITTEN))
SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {"compress_level": 1},  # a contact sheet: within 4 % of the default's size, written in 0.4 of its time
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}


def output_format(path: PathLike) -> str:
    """`npy`, `png`, ... by the suffix, one of FORMATS; CnntoolError for a suffix that cannot be written."""
    suffix = suffix_of(path)
    if suffix != VOLUME_SUFFIX and suffix not in WRITTEN:
        given = f"suffix {suffix} is not known" if suffix else "no suffix"
        raise CnntoolError(f"{os.fspath(path)}: {given}: expected {VOLUME_SUFFIX}, {', '.join(WRITTEN)}")
    return suffix[1:]


def write_volume(path: PathLike, volume: np.ndarray, *, make_folders: bool = False) -> None:
    """Writes H x W x C as float32 `.npy`, C order, atomically. Raises CnntoolError."""
    with atomic(path, make_folders=make_folders) as file:
        _write_npy(file, volume)


def write_picture(path: PathLike, image: Image.Image, *, make_folders: bool = False) -> None:
    """Writes a picture in the format of the suffix, atomically. Raises CnntoolError, also for a picture too large."""
    if output_format(path) == "npy":
        raise CnntoolError(f"{os.fspath(path)}: a picture is not a .npy volume: expected {', '.join(WRITTEN)}")
    kind = _fitting(image, suffix_of(path), os.fspath(path))
    content = _encoded(image, kind)
    with atomic(path, make_folders=make_folders) as file:
        file.write(content)


def picture_of(volume: np.ndarray) -> Image.Image:
    """An H x W x 1 or H x W x 3 volume as the picture itself: [0, 1] becomes 0 to 255, clipped; NaN is 0."""
    if volume.ndim != 3 or volume.shape[2] not in (1, 3):
        raise CnntoolError(
            f"a volume of {' x '.join(map(str, volume.shape))} is no picture: expected 1 or 3 channels; "
            "leave --as-image out for a contact sheet"
        )
    levels = np.nan_to_num(np.clip(volume, 0, 1), copy=False, nan=0.0) * np.float32(255)
    pixels = np.rint(levels).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def encode(value: np.ndarray | Image.Image, format: str, stream: IO[bytes]) -> None:
    """Writes a volume as `npy`, or a picture as one of FORMATS, to a binary stream that need not seek.

    Raises CnntoolError for an unknown format, and for a format that does not fit the value.
    """
    format = format.lower().removeprefix(".")
    if format not in FORMATS:
        raise CnntoolError(f"format {format!r} is not known: expected {', '.join(FORMATS)}")
    if isinstance(value, np.ndarray):
        if format != "npy":
            raise CnntoolError(f"a volume is not written as {format}: expected npy, or a picture of it")
        _write_npy(stream, value)
        return
    if format == "npy":
        raise CnntoolError(f"a picture is not written as npy: expected {', '.join(FORMATS[1:])}")
    stream.write(_encoded(value, _fitting(value, f".{format}", format)))


def _write_npy(stream: IO[bytes], volume: np.ndarray) -> None:
    """As np.save, which asks a file for its position and so fails on a pipe."""
    volume = np.ascontiguousarray(volume, dtype="<f4")
    header = {"descr": "<f4", "fortran_order": False, "shape": volume.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    stream.write(volume.data.cast("B") if volume.size else b"")


def _fitting(image: Image.Image, suffix: str, name: str) -> str:
    """Pillow's name of the format, when the picture fits into it."""
    kind, longest = WRITTEN[suffix]
    if max(image.size) > longest:
        raise CnntoolError(
            f"{name}: {image.height} x {image.width} pixels are too many for {kind}: at most {longest} a side; use .png"
        )
    return kind


def _encoded(image: Image.Image, kind: str) -> memoryview:
    """The bytes of the file. Pillow writes them to a file past Python, and then does not tell why that failed."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **SAVE_OPTIONS.get(kind, {}))
    return buffer.getbuffer()
