"""One image or one volume: from a file, bytes or a stream to float32 H x W x C."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import warnings
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnntool.errors import BadInput, CnntoolError, Unfit
from cnntool.images import decode, formats, limits, volumes
from cnntool.images.orientation import orientation_of, turned, turned_size
from cnntool.images.preparation import (
    AS_IT_IS,
    Preparation,
    parse_crop,
    parse_normalize,
    parse_resize,
)
from cnntool.images.resizing import Resizer
from cnntool.limits import MAX_PIXELS

__all__ = [
    "AS_IT_IS",
    "MAX_PIXELS",
    "Preparation",
    "image_shape",
    "parse_crop",
    "parse_normalize",
    "parse_resize",
    "read_image",
    "read_volume",
]

Source = str | os.PathLike[str] | bytes | IO[bytes]
Notice = Callable[[str], None]

EXPECTED = "expected a whole PNG, JPEG, TIFF, WebP, BMP, GIF or PPM file"
# A JPEG is decoded at reduced scale when that leaves at least so many decoded pixels to one of the result, along each
# axis. Measured on three photographs of 6 million pixels, to shorter sides of 32 to 300: at most 3 of 255 levels off
# the full decoding, 0.2 on average, and 2 to 5 times as fast.
REDUCING_GAP = 3
LUMA = (0.299, 0.587, 0.114)

# Pillow refuses above twice its limit and warns above it. Here one limit holds, checked from the header, and between
# refusing and reading there is nothing to warn of, nor of a broken note beside pixels that are whole. Pillow and
# Python keep these settings for the whole process.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(
    source: Source, preparation: Preparation = AS_IT_IS, *, name: str | None = None, resizer: Resizer | None = None
) -> np.ndarray:
    """The pixels of an image: float32 H x W x C, C-contiguous, in [0, 1] (a float file's as they are), then prepared.

    `source` is a path, the bytes of a file, or a binary stream; `name` stands for it in messages. Gray images give one
    channel, colours three; the table of all modes is in `decode`. Transparency is laid over white, EXIF rotation is
    applied, of an animation the first frame is taken, truncated files are errors. At most 2**29 pixels. A JPEG that
    `resize` makes at least 6 times smaller is decoded at reduced scale, which may change a value by about 0.01. A
    `resizer` makes reading faster, and changes no value.

    Raises BadInput, in one line, for a file that cannot be read; CnntoolError for one that is not there.
    """
    name = name or name_of(source)
    with decoding(name), opened(source, name) as image:
        pixels = prepared(image, preparation, name, resizer)
        volume = pixels if isinstance(pixels, np.ndarray) else decode.to_array(pixels)
    return finished(volume, preparation, name)


def read_volume(
    source: Source,
    preparation: Preparation = AS_IT_IS,
    notice: Notice | None = None,
    *,
    name: str | None = None,
    resizer: Resizer | None = None,
) -> np.ndarray:
    """An image as `read_image` gives it, or a `.npy` volume: float32 H x W x C, C-contiguous.

    A volume (known by its first bytes) is H x W or H x W x C numbers, taken as they are. From a path it is mapped, not
    loaded, when it is float32 already; writing into the array does not change the file. Other types of number are
    converted, and `notice` is called with one line that says so. `crop`, `gray`, `rgb` and `normalize` apply to a
    volume; `resize` does not, and is refused.
    """
    name = name or name_of(source)
    content, is_volume = looked_at(source, name)
    if not is_volume:
        return read_image(content, preparation, name=name, resizer=resizer)
    height, width, channels = volumes.volume_shape(content, name)
    with naming(name):
        rows, columns = volume_size(preparation, height, width)
        top, left = preparation.corner(height, width)
        preparation.channels(channels)
    volume = volumes.load(content, name, notice, (slice(top, top + rows), slice(left, left + columns)))
    return finished(volume, preparation, name)


def image_shape(
    source: Source, preparation: Preparation = AS_IT_IS, *, name: str | None = None
) -> tuple[int, int, int]:
    """(height, width, channels) that `read_volume` would give, from the header alone. Raises as that does."""
    name = name or name_of(source)
    content, is_volume = looked_at(source, name)
    if is_volume:
        height, width, channels = volumes.volume_shape(content, name)
        with naming(name):
            return *volume_size(preparation, height, width), preparation.channels(channels)
    with decoding(name), opened(content, name) as image:
        channels = decode.channels_of(image.mode)
        height, width = turned_size(image)
    with naming(name):
        return *preparation.size(height, width), preparation.channels(channels)


def opened(source: Source, name: str) -> Any:
    """The image with its header read and its size checked."""
    file: Any = source
    if not isinstance(source, str | bytes | os.PathLike) and not getattr(source, "seekable", bool)():
        file = limits.read_bounded(source.read)
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    image = Image.open(file, formats=_formats(formats.suffix_of(name)))
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise BadInput(f"{name}: {height} x {width} pixels are too many: at most {MAX_PIXELS} are read")
    return image


@functools.cache
def _formats(suffix: str) -> tuple[str, ...]:
    """The formats to try. TGA has no mark to be known by: half of all broken files look like one."""
    known = [name for name in formats.READ if name != "TGA" or suffix in formats.READ["TGA"]]
    known.remove("MPO")  # one is opened as a JPEG, and turns out to be more
    if importlib.util.find_spec("PIL.AvifImagePlugin") is None:
        known.remove("AVIF")
    return tuple(known)


def prepared(
    image: Any, preparation: Preparation, name: str, resizer: Resizer | None = None
) -> Image.Image | np.ndarray:
    """An image that `opened` gave, loaded: flat as `decode` has it, turned, resized and cropped.

    What the resizer made is the volume already.
    """
    raw = decode.raw_mode(image)
    height, width = turned_size(image)
    with naming(name):
        size = preparation.resized(height, width)
        top, left = preparation.corner(*size)
        rows, columns = preparation.cropped(*size)
    box = _draft(image, size)
    image.load()
    pixels = resized(decode.flatten_mode(image, raw), size, orientation_of(image), box, resizer)
    if preparation.crop is None:
        return pixels
    if isinstance(pixels, np.ndarray):
        return pixels[top : top + rows, left : left + columns]
    return pixels.crop((left, top, left + columns, top + rows))


def _draft(image: Any, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Lets a JPEG decode at 1/2, 1/4 or 1/8 where `size` needs no more; the part of it that holds the whole picture."""
    if image.format not in ("JPEG", "MPO"):
        return None
    height, width = size if orientation_of(image) < 5 else (size[1], size[0])
    if min(image.height // height, image.width // width) < 2 * REDUCING_GAP:
        return None
    drafted = image.draft(None, (width * REDUCING_GAP, height * REDUCING_GAP))
    return drafted[1] if drafted else None


def resized(
    image: Image.Image,
    size: tuple[int, int],
    orientation: int,
    box: tuple[float, float, float, float] | None,
    resizer: Resizer | None = None,
) -> Image.Image | np.ndarray:
    """The image turned and of `size` (height, width)."""
    if box is not None:
        # `box` is in the coordinates of the file, so the picture is turned after.
        stored = (size[1], size[0]) if orientation < 5 else size
        return turned(image.resize(stored, Image.Resampling.BILINEAR, box=box), orientation)
    image = turned(image, orientation)
    wanted = size[1], size[0]
    if image.size == wanted:
        return image
    volume = resizer.resized(image, size) if resizer is not None else None
    return image.resize(wanted, Image.Resampling.BILINEAR) if volume is None else volume


def finished(volume: np.ndarray, preparation: Preparation, name: str) -> np.ndarray:
    """Gray, RGB and normalisation; the volume is already resized and cropped."""
    with naming(name):
        preparation.channels(volume.shape[2])
    if preparation.gray and volume.shape[2] == 3:
        # Float32 sums of the three weights may end one bit above 1. The limit is each pixel's own, so that a band
        # of rows is what it is in the whole.
        red, green, blue = (volume[:, :, c] for c in range(3))
        limit = np.maximum(np.maximum(red, green), np.maximum(blue, 1))
        luma = sum(volume[:, :, c] * np.float32(weight) for c, weight in enumerate(LUMA))
        volume = np.minimum(luma, limit)[:, :, np.newaxis]
    elif preparation.rgb and volume.shape[2] == 1:
        volume = np.repeat(volume, 3, axis=2)
    if preparation.normalize is not None:
        means, deviations = (np.array(values, np.float32) for values in preparation.normalize)
        volume = (volume - means) / deviations
    return np.ascontiguousarray(volume)


def volume_size(preparation: Preparation, height: int, width: int) -> tuple[int, int]:
    if preparation.resize is not None:
        raise ValueError("a .npy volume is not resized: leave the resize out, or give the image")
    return preparation.cropped(height, width)


def looked_at(source: Source, name: str) -> tuple[Source, bool]:
    """The source, a stream as its bytes, and whether it begins as a `.npy` file or is called one."""
    if not isinstance(source, str | bytes | os.PathLike):
        with decoding(name):
            source = limits.read_bounded(source.read)
    if isinstance(source, bytes):
        return source, source.startswith(volumes.MAGIC)
    if formats.suffix_of(source) == formats.VOLUME_SUFFIX:
        return source, True
    with decoding(name), open(source, "rb") as file:
        return source, file.read(len(volumes.MAGIC)) == volumes.MAGIC


def name_of(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    stream_name = getattr(source, "name", None)
    return stream_name if isinstance(stream_name, str) else "image"


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Puts the input's name before what does not fit."""
    try:
        yield
    except CnntoolError:
        raise
    except ValueError as error:
        raise Unfit(f"{name}: {error}") from None


@contextlib.contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into one line: a hostile file can make it raise nearly anything."""
    try:
        yield
    except CnntoolError:
        raise
    except FileNotFoundError:
        raise CnntoolError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise CnntoolError(f"{name}: a folder, expected a file") from None
    except PermissionError:
        raise BadInput(f"{name}: cannot be read: permission denied") from None
    except UnidentifiedImageError:
        raise BadInput(f"{name}: not an image that can be read (unknown format): {EXPECTED}") from None
    except Image.DecompressionBombError:
        raise BadInput(f"{name}: too many pixels: at most {MAX_PIXELS} are read") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{name}: not an image that can be read ({reason}): {EXPECTED}") from None
