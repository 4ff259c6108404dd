"""One image or one volume: from a file, bytes or a stream to float32 H x W x C."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnntool.arrays import MAGIC
from cnntool.errors import BadInput, CnntoolError, Unfit, reason_of
from cnntool.images import decode, formats, limits, volumes
from cnntool.images.inspection import Found, inspected
from cnntool.images.orientation import orientation_of, turned, turned_array, turned_size
from cnntool.images.plain import plain
from cnntool.images.preparation import AS_IT_IS, Preparation
from cnntool.images.resizing import Resizer
from cnntool.images.tiff import MAX_SAMPLES, Unsupported
from cnntool.limits import MAX_PIXELS

Readable = str | os.PathLike[str] | bytes | IO[bytes]
Notice = Callable[[str], None]

EXPECTED = "expected a whole PNG, JPEG, TIFF, WebP, BMP, GIF or PPM file"
# A JPEG is decoded at reduced scale if that leaves at least this many decoded pixels for each pixel of the result along
# each axis. On three photographs of 6 million pixels, resized to shorter sides of 32 to 300, values differ from the
# full decoding by at most 3 of 255 levels, 0.2 on average; decoding is 2 to 5 times as fast.
REDUCING_GAP = 3
LUMA = (0.299, 0.587, 0.114)

# Pillow warns above its limit and refuses above twice that. Here one limit, checked from the header, decides; broken
# metadata beside intact pixels is no reason to warn either. These settings hold for the whole process.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(
    source: Readable,
    preparation: Preparation = AS_IT_IS,
    *,
    name: str | None = None,
    resizer: Resizer | None = None,
    notice: Notice | None = None,
) -> np.ndarray:
    """The pixels of an image: float32 H x W x C, C-contiguous, in [0, 1] (a float file's as they are), then prepared.

    `source` is a path, the bytes of a file, or a binary stream; `name` stands for it in messages. Gray images give one
    channel, colour images three, a multi-band TIFF as many as it has bands; docs/guide.md has the details. Transparency
    is composed over white, EXIF rotation is applied, the first frame of an animation is taken, truncated files are
    errors. At most 2**29 pixels. A JPEG that `resize` makes at least 6 times smaller is decoded at reduced scale, which
    may change a value by about 0.01. A `resizer` makes reading faster and changes no value. `notice` gets one line for
    each thing left out: further pages, further samples, bits.

    Raises BadInput, in one line, for a file that cannot be read; CnntoolError for one that is not there.
    """
    name = name or name_of(source)
    with decoding(name):
        content = source if isinstance(source, str | bytes | os.PathLike) else limits.read_bounded(source.read)
        volume = _volume_of_plain(content, preparation, resizer) if isinstance(content, bytes) else None
        if volume is None:
            with inspected(content, name, preparation.page) as found:
                check_pixels(found, preparation, name)
                tell(found, name, notice)
                volume = volume_of(found, preparation, name, resizer)
    return finished(volume, preparation, name)


def _volume_of_plain(content: bytes, preparation: Preparation, resizer: Resizer | None) -> np.ndarray | None:
    """The volume of a small file without anything unusual, as `volume_of` gives it; None for all others."""
    found = plain(content) if preparation.page == 1 else None
    if found is None:
        return None
    try:
        preparation.check_pixels(found.height, found.width)
        size = preparation.resized(found.height, found.width)
        if found.decoder == "jpeg" and reduces(found.height, found.width, size):
            return None
        pixels = cropped(resized(found.image(), size, 1, None, resizer), preparation, size)
    except Exception:  # of which the usual way tells
        return None
    return pixels if isinstance(pixels, np.ndarray) else decode.to_array(pixels)


def volume_of(found: Found, preparation: Preparation, name: str, resizer: Resizer | None = None) -> np.ndarray:
    """float32 H x W x C of what was found: rotated, resized and cropped."""
    if found.stack:
        shape_of(found, name)
        return np.concatenate([volume_of(page, preparation, name) for page in found.stack], axis=2)
    if found.pixels is not None:
        return shaped(found.pixels.volume(), preparation, name)
    with opened(found.source, name, found.frame) as image:
        if found.deep is not None:
            orientation = orientation_of(image)
            return shaped(turned_array(found.deep.volume(), orientation), preparation, name)
        pixels = prepared(image, preparation, name, resizer)
        return pixels if isinstance(pixels, np.ndarray) else decode.to_array(pixels)


def check_pixels(found: Found, preparation: Preparation, name: str) -> None:
    """Refuses an image with more pixels than `preparation` allows, by its header."""
    if preparation.max_pixels < MAX_PIXELS:  # which is checked for every image, wherever its header is read
        with refusing(name):
            preparation.check_pixels(*shape_of(found, name)[:2])


def shape_of(found: Found, name: str) -> tuple[int, int, int]:
    """(height, width, channels) after rotation, from the header."""
    if found.stack:
        shapes = [shape_of(page, name) for page in found.stack]
        if any(shape != (*shapes[0][:2], 1) for shape in shapes):
            different = sorted({" x ".join(map(str, shape)) for shape in shapes})
            raise Unsupported(f"--page all: expected gray pages of one size, and they are {', '.join(different[:4])}")
        if math.prod(shapes[0]) * len(shapes) > MAX_SAMPLES:
            raise Unsupported(f"--page all: {len(shapes)} pages are more than {MAX_SAMPLES} numbers")
        return (*shapes[0][:2], len(shapes))
    if found.pixels is not None:
        return found.pixels.shape
    with opened(found.source, name, found.frame) as image:
        channels = decode.channels_of(image.mode) if found.deep is None else found.deep.channels
        return (*turned_size(image), channels)


def tell(found: Found, name: str, notice: Notice | None) -> None:
    """Passes the notes on what is left out to `notice`."""
    if notice is not None:
        for note in found.notes:
            notice(f"{name}: {note}")


def read_volume(
    source: Readable,
    preparation: Preparation = AS_IT_IS,
    notice: Notice | None = None,
    *,
    name: str | None = None,
    resizer: Resizer | None = None,
) -> np.ndarray:
    """An image as `read_image` gives it, or a `.npy` volume: float32 H x W x C, C-contiguous.

    A volume (recognised by its first bytes) is H x W or H x W x C numbers, taken as they are. A float32 file is mapped
    copy-on-write, not loaded. Other types of number are converted, and `notice` gets one line that says so. `crop`,
    `gray`, `rgb` and `normalize` apply to a volume; `resize` is refused.
    """
    name = name or name_of(source)
    content, is_volume = looked_at(source, name)
    if not is_volume:
        return read_image(content, preparation, name=name, resizer=resizer, notice=notice)
    height, width, channels = volumes.volume_shape(content, name)
    with refusing(name):
        preparation.check_pixels(height, width)
    with naming(name):
        rows, columns = volume_size(preparation, height, width)
        top, left = preparation.corner(height, width)
        preparation.channels(channels)
    volume = volumes.load(content, name, notice, (slice(top, top + rows), slice(left, left + columns)))
    return finished(volume, preparation, name)


def image_shape(
    source: Readable, preparation: Preparation = AS_IT_IS, *, name: str | None = None
) -> tuple[int, int, int]:
    """(height, width, channels) that `read_volume` would give, from the header alone. Raises as that does."""
    name = name or name_of(source)
    content, is_volume = looked_at(source, name)
    if is_volume:
        height, width, channels = volumes.volume_shape(content, name)
        with refusing(name):
            preparation.check_pixels(height, width)
        with naming(name):
            return *volume_size(preparation, height, width), preparation.channels(channels)
    with decoding(name), inspected(content, name, preparation.page) as found:
        height, width, channels = shape_of(found, name)
        with refusing(name):
            preparation.check_pixels(height, width)
    with naming(name):
        return *preparation.size(height, width), preparation.channels(channels)


def opened(source: str | bytes | os.PathLike[str], name: str, frame: int = 0) -> Any:
    """The image at one of its frames or pages, its header read and its size checked."""
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    image = Image.open(file, formats=_formats(formats.suffix_of(name)))
    if frame:
        try:
            image.seek(frame)
        except EOFError:
            image.close()
            raise ValueError(f"page {frame + 1}: expected one that the file has, such as --page 1") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise BadInput(f"{name}: {height} x {width} pixels are too many: at most {MAX_PIXELS} are read")
    return image


@functools.cache
def _formats(suffix: str) -> tuple[str, ...]:
    """The formats to try; TGA only by its suffix, since it has no magic number and many broken files look like one."""
    known = [name for name in formats.READ if name != "TGA" or suffix in formats.READ["TGA"]]
    known.remove("MPO")  # opened as a JPEG first
    if "HEIF" not in Image.OPEN:  # until `inspection` has registered what reads it
        known.remove("HEIF")
    if importlib.util.find_spec("PIL.AvifImagePlugin") is None:
        known.remove("AVIF")
    return tuple(known)


def prepared(
    image: Any, preparation: Preparation, name: str, resizer: Resizer | None = None
) -> Image.Image | np.ndarray:
    """Loads, flattens, rotates, resizes and crops an image from `opened`; an array if the resizer made it."""
    raw = decode.raw_mode(image)
    height, width = turned_size(image)
    with naming(name):
        size = preparation.resized(height, width)
        preparation.cropped(*size)  # refuses before the pixels are read
    box = _draft(image, size)
    image.load()
    pixels = resized(decode.flatten_mode(image, raw), size, orientation_of(image), box, resizer)
    return cropped(pixels, preparation, size)


def cropped(
    pixels: Image.Image | np.ndarray, preparation: Preparation, size: tuple[int, int]
) -> Image.Image | np.ndarray:
    """The pixels within the crop of an image resized to `size`; a ValueError for a crop that is larger."""
    if preparation.crop is None:
        return pixels
    top, left = preparation.corner(*size)
    rows, columns = preparation.cropped(*size)
    if isinstance(pixels, np.ndarray):
        return pixels[top : top + rows, left : left + columns]
    return pixels.crop((left, top, left + columns, top + rows))


def _draft(image: Any, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Lets a JPEG decode at 1/2, 1/4 or 1/8 scale if `size` allows it; returns the box that holds the whole picture."""
    if image.format not in ("JPEG", "MPO"):
        return None
    height, width = size if orientation_of(image) < 5 else (size[1], size[0])
    if not reduces(image.height, image.width, (height, width)):
        return None
    drafted = image.draft(None, (width * REDUCING_GAP, height * REDUCING_GAP))
    return drafted[1] if drafted else None


def reduces(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether a JPEG that becomes `size` is decoded at reduced scale."""
    return min(height // size[0], width // size[1]) >= 2 * REDUCING_GAP


def resized(
    image: Image.Image,
    size: tuple[int, int],
    orientation: int,
    box: tuple[float, float, float, float] | None,
    resizer: Resizer | None = None,
) -> Image.Image | np.ndarray:
    """The image rotated and resized to `size` (height, width)."""
    if box is not None:
        # `box` is in the coordinates of the file, so rotation comes last.
        stored = (size[1], size[0]) if orientation < 5 else size
        return turned(image.resize(stored, Image.Resampling.BILINEAR, box=box), orientation)
    image = turned(image, orientation)
    wanted = size[1], size[0]
    if image.size == wanted:
        return image
    volume = resizer.resized(image, size) if resizer is not None else None
    return image.resize(wanted, Image.Resampling.BILINEAR) if volume is None else volume


def shaped(volume: np.ndarray, preparation: Preparation, name: str) -> np.ndarray:
    """A volume resized and cropped."""
    with naming(name):
        size = preparation.resized(*volume.shape[:2])
        top, left = preparation.corner(*size)
        rows, columns = preparation.cropped(*size)
    if size != volume.shape[:2]:
        channels = (Image.fromarray(np.ascontiguousarray(volume[:, :, c])) for c in range(volume.shape[2]))
        resized = [np.asarray(channel.resize(size[::-1], Image.Resampling.BILINEAR)) for channel in channels]
        volume = np.stack(resized, axis=2)
    return volume[top : top + rows, left : left + columns]


def finished(volume: np.ndarray, preparation: Preparation, name: str) -> np.ndarray:
    """Gray, RGB and normalisation; the volume is already resized and cropped."""
    with naming(name):
        preparation.channels(volume.shape[2])
    if preparation.gray and volume.shape[2] == 3:
        # Float32 sums of the three weights may end one bit above 1. The limit is taken per pixel, so that a band of
        # rows gets the same values as the full image.
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


def looked_at(source: Readable, name: str) -> tuple[Readable, bool]:
    """The source (a stream as its bytes), and whether its first bytes or its name are those of a `.npy` file."""
    if not isinstance(source, str | bytes | os.PathLike):
        with decoding(name):
            source = limits.read_bounded(source.read)
    if isinstance(source, bytes):
        start, is_volume = source[: len(MAGIC)], False
    else:
        is_volume = formats.suffix_of(source) == formats.VOLUME_SUFFIX
        with decoding(name), open(source, "rb") as file:
            start = file.read(len(MAGIC))
    if not start:
        raise BadInput(f"{name}: an empty file: {EXPECTED}")
    return source, is_volume or start == MAGIC


def name_of(source: Readable) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    stream_name = getattr(source, "name", None)
    return stream_name if isinstance(stream_name, str) else "image"


class naming:
    """Turns a ValueError into Unfit, with the input's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError) and not isinstance(error, CnntoolError):
            raise Unfit(f"{self._name}: {error}") from None


@contextlib.contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turns a ValueError into BadInput, with the input's name: other inputs may be smaller."""
    try:
        yield
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from None


@contextlib.contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into one line: hostile files can make it raise nearly anything."""
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
    except Unsupported as error:
        raise BadInput(f"{name}: {error}") from None
    except UnidentifiedImageError:
        raise BadInput(f"{name}: not an image that can be read (unknown format): {EXPECTED}") from None
    except Image.DecompressionBombError:
        raise BadInput(f"{name}: too many pixels: at most {MAX_PIXELS} are read") from None
    except Exception as error:
        raise BadInput(f"{name}: not an image that can be read ({reason_of(error)}): {EXPECTED}") from None
