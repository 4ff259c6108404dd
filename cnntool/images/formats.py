"""The image formats that are read and written. Imports neither numpy nor Pillow."""

from __future__ import annotations

import importlib.util
import os

# Pillow's name of a format -> its suffixes, the most common first. Pillow's other formats run another program (EPS),
# read only a header (HDF5, MPEG) or are not used for images in this field.
READ: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "MPO": (".mpo",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    "DIB": (".dib",),
    "ICO": (".ico",),
    "ICNS": (".icns",),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "DDS": (".dds",),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),  # by an extra
}
BY_EXTRA = {"HEIF": "pillow_heif"}  # the package that reads it; without it, such files are counted as not read
IMAGE_SUFFIXES = frozenset(
    suffix
    for name, suffixes in READ.items()
    if name not in BY_EXTRA or importlib.util.find_spec(BY_EXTRA[name]) is not None
    for suffix in suffixes
)
VOLUME_SUFFIX = ".npy"
ARCHIVE_SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".zip",
)  # fmt: skip

# Suffix -> Pillow's name and the longest side that the format can hold.
WRITTEN: dict[str, tuple[str, int]] = {
    ".png": ("PNG", 2**31 - 1),
    ".jpg": ("JPEG", 65500),
    ".jpeg": ("JPEG", 65500),
    ".webp": ("WEBP", 16383),
    ".tif": ("TIFF", 2**31 - 1),
    ".tiff": ("TIFF", 2**31 - 1),
    ".bmp": ("BMP", 2**31 - 1),
    ".gif": ("GIF", 65535),
    ".ppm": ("PPM", 2**31 - 1),
}


def suffix_of(name: str | os.PathLike[str]) -> str:
    """The last suffix of a name in lower case, with its dot; "" when there is none."""
    return os.path.splitext(os.fspath(name))[1].lower()  # not by pathlib, which is slow for 100,000 names


def is_input(name: str) -> bool:
    """Whether a file in a folder or an archive is an input, by its suffix."""
    suffix = suffix_of(name)
    return suffix in IMAGE_SUFFIXES or suffix == VOLUME_SUFFIX


def archive_suffix(name: str) -> str:
    """The suffix of an archive, such as `.tar.gz`; "" of another file."""
    return next((suffix for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)), "")


def suffix_of_unread(name: str) -> str:
    """The category of a file that is not read: `.heic`, `.tar.gz`, or no suffix."""
    return archive_suffix(name) or suffix_of(name) or "without a suffix"


def is_tar(name: str) -> bool:
    return archive_suffix(name) not in ("", ".zip")


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)
