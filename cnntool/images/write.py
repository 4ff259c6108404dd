"""Writes one result atomically, or to a stream: volumes as `.npy` or float TIFF, pictures by their suffix."""

from __future__ import annotations

import io
import os
from typing import IO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cnntool import __version__
from cnntool.errors import CnntoolError
from cnntool.files import PathLike, atomic
from cnntool.images import float_tiff
from cnntool.images.clipping import Clipped
from cnntool.images.formats import VOLUME_SUFFIX, WRITTEN, suffix_of
from cnntool.images.names import as_text

COMMENT = 60_000  # bytes of a command that a comment of JPEG holds
NPY, FLOAT_TIFF = "npy", "tiff-float"
VOLUME_FORMATS = {NPY: (VOLUME_SUFFIX,), FLOAT_TIFF: (".tif", ".tiff")}  # and their suffixes, the usual first
FORMATS = (*VOLUME_FORMATS, *(suffix[1:] for suffix in WRITTEN))
SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {"compress_level": 1},  # for contact sheets: within 4 % of the default's size, in 0.4 of its time
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}


def output_format(path: PathLike, form: str | None = None) -> str:
    """One of FORMATS: `npy`, `png`, ... by the suffix, or `form` where that is given and fits the suffix.

    Raises CnntoolError for a suffix that cannot be written, and for one of another format.
    """
    suffix = suffix_of(path)
    if suffix != VOLUME_SUFFIX and suffix not in WRITTEN:
        given = f"suffix {suffix} is not known" if suffix else "no suffix"
        raise CnntoolError(f"{os.fspath(path)}: {given}: expected {VOLUME_SUFFIX}, {', '.join(WRITTEN)}")
    if form is None or form == suffix[1:]:
        return suffix[1:]
    suffixes = VOLUME_FORMATS.get(form, (f".{form}",))
    if suffix not in suffixes:
        raise CnntoolError(f"{os.fspath(path)}: --format {form} has another suffix: expected {' or '.join(suffixes)}")
    return form


def suffix_for(form: str) -> str:
    """The suffix, with its dot, that files of one of FORMATS get."""
    return VOLUME_FORMATS.get(form, (f".{form}",))[0]


def volume_header(form: str, shape: tuple[int, int, int]) -> bytes:
    """What stands in a file before the float32 numbers of H x W x C, little-endian and in C order."""
    if form == FLOAT_TIFF:
        return float_tiff.header(shape)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def write_volume(path: PathLike, volume: np.ndarray, *, form: str = NPY, make_folders: bool = False) -> None:
    """Writes H x W x C as float32, C order, atomically, in one of VOLUME_FORMATS. Raises CnntoolError."""
    header = volume_header(form, volume.shape)
    with atomic(path, make_folders=make_folders) as file:
        file.write(header)
        file.write(volume_bytes(volume))


def volume_bytes(volume: np.ndarray) -> memoryview | bytes:
    """The numbers as they stand in a file."""
    volume = np.ascontiguousarray(volume, dtype="<f4")
    return volume.data.cast("B") if volume.size else b""


def write_picture(
    path: PathLike, image: Image.Image, *, make_folders: bool = False, command: str | None = None
) -> None:  # fmt: skip
    """Writes a picture in the format of the suffix, atomically. Raises CnntoolError, also for a picture too large.

    `command`, which made it, goes into the metadata of formats that have a place for it (not BMP and PPM).
    """
    if output_format(path) == NPY:
        raise CnntoolError(f"{os.fspath(path)}: a picture is not a .npy volume: expected {', '.join(WRITTEN)}")
    kind = _fitting(image, suffix_of(path), os.fspath(path))
    content = _encoded(image, kind, command)
    with atomic(path, make_folders=make_folders) as file:
        file.write(content)


def picture_of(volume: np.ndarray, clipped: Clipped | None = None) -> Image.Image:
    """An H x W x 1 or H x W x 3 volume as the picture itself: [0, 1] becomes 0 to 255, NaN is 0.

    Other numbers are clipped, and counted in `clipped`.
    """
    if volume.ndim != 3 or volume.shape[2] not in (1, 3):
        raise CnntoolError(
            f"a volume of {' x '.join(map(str, volume.shape))} is no picture: expected 1 or 3 channels; "
            "leave --as-image out for a contact sheet"
        )
    if clipped is not None:
        clipped.look(volume, 0, 1)
    levels = np.nan_to_num(np.clip(volume, 0, 1), copy=False, nan=0.0) * np.float32(255)
    pixels = np.rint(levels).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def write_pixels(path: PathLike, pixels: np.ndarray, *, command: str | None = None) -> None:
    """As `write_picture`, of uint8 H x W x 3."""
    write_picture(path, Image.fromarray(pixels), command=command)


def encode(value: np.ndarray | Image.Image, format: str, stream: IO[bytes], command: str | None = None) -> None:
    """Writes a volume or a picture in one of FORMATS that fits it to a binary stream that need not seek.

    `command` as of `write_picture`.

    Raises CnntoolError for an unknown format, and for a format that does not fit the value.
    """
    format = format.lower().removeprefix(".")
    if format not in FORMATS:
        raise CnntoolError(f"format {format!r} is not known: expected {', '.join(FORMATS)}")
    if isinstance(value, np.ndarray):
        if format not in VOLUME_FORMATS:
            raise CnntoolError(
                f"a volume is not written as {format}: expected {', '.join(VOLUME_FORMATS)}, or a picture"
            )
        stream.write(volume_header(format, value.shape))
        stream.write(volume_bytes(value))
        return
    if format in VOLUME_FORMATS:
        pictures = ", ".join(suffix[1:] for suffix in WRITTEN)
        raise CnntoolError(f"a picture is not written as {format}: expected {pictures}")
    stream.write(_encoded(value, _fitting(value, f".{format}", format), command))


def _fitting(image: Image.Image, suffix: str, name: str) -> str:
    """Pillow's name of the format; a CnntoolError if the picture is too large for it."""
    kind, longest = WRITTEN[suffix]
    if max(image.size) > longest:
        raise CnntoolError(
            f"{name}: {image.height} x {image.width} pixels are too many for {kind}: at most {longest} a side; use .png"
        )
    return kind


def _encoded(image: Image.Image, kind: str, command: str | None) -> memoryview:
    """The encoded bytes. Pillow writes to files directly and does not report why that fails."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **SAVE_OPTIONS.get(kind, {}), **(metadata(kind, command) if command else {}))
    return buffer.getbuffer()


IMAGE_DESCRIPTION = 270  # a tag of TIFF and of EXIF


def metadata(kind: str, command: str) -> dict[str, object]:
    """What Pillow takes to write a command into a file of one of its formats; empty where there is no place for it."""
    text = as_text(command)
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Software", f"cnntool {__version__}")
        info.add_text("Description", text)
        return {"pnginfo": info}
    if kind in ("JPEG", "GIF"):
        return {"comment": text.encode()[:COMMENT]}
    if kind == "TIFF":
        return {"tiffinfo": {IMAGE_DESCRIPTION: text.encode()}}  # of a str, Pillow writes `?` for what is not ASCII
    if kind == "WEBP":
        exif = Image.Exif()
        exif[IMAGE_DESCRIPTION] = text.encode()
        return {"exif": exif}
    return {}
