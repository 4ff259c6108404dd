"""What is done to every input before the first layer: resize, crop, gray or three channels, normalise.

Only this module computes sizes, in integers, so the shape predicted from a header is the shape that is read. It imports
neither numpy nor Pillow, since the shell parses its options with it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from cnntool.limits import LARGEST_SIDE, MAX_PIXELS, memory_limit

BYTES_OF_PIXEL = 16  # three channels as float32, and as a decoder has them
ALL_PAGES = "all"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Size = tuple[int, int]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How an input becomes the volume that the first layer takes; the steps run in the order of the fields.

    resize: the length of the shorter side, keeping the aspect as torchvision does (the longer side is rounded down), or
        exactly (height, width). Bilinear and antialiased. Images only.
    crop: (height, width) about the centre; an input smaller than that is refused.
    gray: one channel, 0.299 R + 0.587 G + 0.114 B (ITU-R 601).
    rgb: three channels; one channel is repeated. Excludes `gray`.
    normalize: (means, standard deviations), one for all channels or one a channel: (x - mean) / standard deviation.
    page: which page or frame of a file, from 1; `ALL_PAGES` for the gray pages of a TIFF as channels.
    max_pixels: an input of more, as it is stored, is refused before it is decoded. It decides no number of another.
    """

    resize: int | Size | None = None
    crop: Size | None = None
    gray: bool = False
    rgb: bool = False
    normalize: Statistics | None = None
    page: int | str = 1
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.gray and self.rgb:
            raise ValueError("gray and rgb exclude each other: one channel or three")

    def check_pixels(self, height: int, width: int) -> None:
        """A ValueError for an input with more pixels than `max_pixels`."""
        if height * width > self.max_pixels:
            raise ValueError(f"{height} x {width} pixels are too many: at most {self.max_pixels} are read")

    def fixed_to(self, channels: int) -> Preparation:
        """With `gray` or `rgb` set so that every image gets this many channels, as a model expects."""
        if self.gray or self.rgb or channels not in (1, 3):
            return self
        return dataclasses.replace(self, gray=channels == 1, rgb=channels == 3)

    def size(self, height: int, width: int) -> Size:
        """The height and width after `resize` and `crop`; a ValueError when the input does not fit."""
        return self.cropped(*self.resized(height, width))

    def resized(self, height: int, width: int) -> Size:
        if self.resize is None:
            return height, width
        if isinstance(self.resize, tuple):
            size = self.resize
        elif height <= width:
            size = self.resize, self.resize * width // height
        else:
            size = self.resize * height // width, self.resize
        most = min(MAX_PIXELS, memory_limit() // BYTES_OF_PIXEL)
        if math.prod(size) > most:
            raise ValueError(f"{height} x {width} pixels become {size[0]} x {size[1]}: at most {most} are read")
        return size

    def cropped(self, height: int, width: int) -> Size:
        if self.crop is None:
            return height, width
        if self.crop[0] > height or self.crop[1] > width:
            raise ValueError(
                f"{height} x {width} pixels are too few for a crop of {self.crop[0]} x {self.crop[1]}: "
                "crop less, or resize first"
            )
        return self.crop

    def corner(self, height: int, width: int) -> Size:
        """Row and column where the centre crop begins; halves are rounded to even, as torchvision does."""
        rows, columns = self.cropped(height, width)
        return round((height - rows) / 2), round((width - columns) / 2)

    def channels(self, channels: int) -> int:
        """The channels after `gray` or `rgb`; a ValueError if the input's cannot be converted or normalised so."""
        if (self.gray or self.rgb) and channels not in (1, 3):
            raise ValueError(f"{channels} channels do not become {'gray' if self.gray else 'RGB'}: expected 1 or 3")
        channels = 1 if self.gray else 3 if self.rgb else channels
        if self.normalize is not None:
            for values in self.normalize:
                if len(values) not in (1, channels):
                    hint = " (read it as RGB)" if channels == 1 and len(values) == 3 else ""
                    raise ValueError(f"{channels} channel(s), but {len(values)} values to normalise with{hint}")
        return channels


AS_IT_IS = Preparation()


def to_json(preparation: Preparation) -> dict[str, Any]:
    """The fields that decide numbers and differ from their defaults, as JSON values."""
    fields = {field.name: field.default for field in dataclasses.fields(Preparation) if field.name != "max_pixels"}
    return {name: value for name in fields if (value := getattr(preparation, name)) != fields[name]}


def from_json(values: dict[str, Any]) -> Preparation:
    """The inverse of `to_json`, with every value checked like the option's; a ValueError for anything else."""
    parsers = {"resize": parse_resize, "crop": parse_crop, "normalize": parse_normalize, "page": parse_page}
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("gray", "rgb") and isinstance(value, bool):
            fields[name] = value
        elif name in parsers:
            fields[name] = parsers[name](_text(value))
        else:
            raise ValueError(f"{name!r:.40} is {value!r:.40}")
    return Preparation(**fields)


def _text(value: Any) -> str:
    """The text of the option with this value: a number, a list of numbers, or a list of lists."""
    if not isinstance(value, list | tuple):
        return str(value)[:1000]
    if any(isinstance(part, list | tuple) for part in value):
        return "/".join(",".join(map(str, part)) for part in value if isinstance(part, list | tuple))
    return "x".join(map(str, value))


def parse_resize(text: str) -> int | Size:
    """`256` is the shorter side, `256x320` exactly height x width; a ValueError tells what was expected."""
    values = _integers(text)
    if values is None or len(values) > 2:
        raise ValueError(f"{text!r} is not a size: expected the shorter side or HEIGHTxWIDTH, such as 256 or 256x320")
    return values[0] if len(values) == 1 else (values[0], values[1])


def parse_crop(text: str) -> Size:
    """`224` is a square, `224x320` height x width; a ValueError tells what was expected."""
    values = _integers(text)
    if values is None or len(values) > 2:
        raise ValueError(f"{text!r} is not a size: expected N or HEIGHTxWIDTH, such as 224 or 224x320")
    return values[0], values[-1]


def parse_normalize(text: str) -> Statistics:
    """`imagenet`, or MEAN/STD, each one number or one a channel; a ValueError tells what was expected."""
    if text == "imagenet":
        return IMAGENET
    expected = "expected imagenet or MEAN/STD, such as 0.5/0.25 or 0.485,0.456,0.406/0.229,0.224,0.225"
    try:
        means, deviations = (tuple(float(part) for part in half.split(",")) for half in text.split("/"))
    except ValueError:
        raise ValueError(f"{text!r}: {expected}") from None
    if not all(math.isfinite(value) for value in means + deviations):
        raise ValueError(f"{text!r} holds a number that is not finite: {expected}")
    if min(deviations) <= 0:
        raise ValueError(f"{text!r}: a standard deviation is above 0")
    if len(means) != len(deviations) and 1 not in (len(means), len(deviations)):
        raise ValueError(f"{text!r} gives {len(means)} means and {len(deviations)} deviations: {expected}")
    return means, deviations


def parse_page(text: str) -> int | str:
    """A number from 1, or `all`; a ValueError tells what was expected."""
    if text == ALL_PAGES:
        return text
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 7 and int(text)):
        raise ValueError(f"{text!r} is not a page: expected a number from 1, or all")
    return int(text)


def _integers(text: str) -> list[int] | None:
    """The whole numbers of `N` or `NxM`, or None for anything else."""
    parts = text.lower().split("x")
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        return None
    values = [int(part) for part in parts]
    for value in values:
        if not 1 <= value <= LARGEST_SIDE:
            raise ValueError(f"{text}: expected sizes of 1 to {LARGEST_SIDE}")
    return values
