"""HEIC, HEIF and AVIF: which library reads a file, and what Pillow would round."""

from __future__ import annotations

import importlib
import importlib.util
import io
from typing import Any, NamedTuple

import numpy as np

from cnntool.images import formats
from cnntool.images.samples import over_white, scaled
from cnntool.images.tiff import Unsupported

# Brands of ISO media files. The last two say only that there are pictures, and are those of AVIF, too.
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


class Deep(NamedTuple):
    """A picture of more than 8 bits that pillow-heif opened: its numbers stand in the upper bits of 16."""

    image: Any
    bits: int

    @property
    def channels(self) -> int:
        return 1 if self.image.mode.startswith("I") else 3

    def volume(self) -> np.ndarray:
        """float32 H x W x 1 or 3 in [0, 1], over white, turned by the file's own transformations."""
        numbers = np.asarray(self.image)
        numbers = numbers.reshape(*numbers.shape[:2], -1) >> (16 - self.bits)
        volume = scaled(numbers, "u", self.bits)
        if volume.shape[2] != 4:
            return volume
        return over_white(volume[:, :, :3], volume[:, :, 3:], premultiplied=self.image.mode.startswith("RGBa"))


def is_installed() -> bool:
    """Whether HEIC and HEIF can be read."""
    return importlib.util.find_spec(formats.BY_EXTRA["HEIF"]) is not None


def brands_of(head: bytes) -> set[bytes]:
    """The brands that the first box of an ISO media file names; none for other files."""
    if head[4:8] != b"ftyp":
        return set()
    length = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, length - 3, 4))}


def deep(source: Any, head: bytes, frame: int) -> Deep | None:
    """Registers what Pillow needs to read a file, and gives what reads more than Pillow does.

    Unsupported, with what to install, where that is not there.
    """
    brands = brands_of(head)
    if brands & AVIF_BRANDS:
        if importlib.util.find_spec("PIL.AvifImagePlugin") is None:
            raise Unsupported("AVIF is read by Pillow 11.3 and later: pip install --upgrade pillow")
        return None
    if not brands & HEIF_BRANDS:
        return None
    if not is_installed():
        raise Unsupported('HEIC and HEIF are read by pillow-heif: pip install "cnntool[heif]"')
    library = importlib.import_module(formats.BY_EXTRA["HEIF"])
    library.register_heif_opener()
    file = library.open_heif(io.BytesIO(source) if isinstance(source, bytes) else source, convert_hdr_to_8bit=False)
    if frame >= len(file):
        return None  # Pillow tells
    image = file[frame or file.primary_index]
    bits = image.info["bit_depth"]
    return Deep(image, bits) if bits > 8 else None
