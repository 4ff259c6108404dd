"""The members of a zip file."""

from __future__ import annotations

import bz2
import threading
import zipfile
from collections.abc import Sequence

from cnntool.errors import BadInput
from cnntool.images import formats, limits
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member
from cnntool.images.remote import open_binary
from cnntool.images.webdataset import SideLabels

LONGEST_LINK = 4096
UTF8_NAME = 0x800  # flag: the name is UTF-8
ENCRYPTED = 0x1
# The upper four bits of a Unix mode.
SOFT_LINK, NO_FILES = 0o12, {0o1, 0o2, 0o6, 0o14}
# 40 bytes of bzip2 can become 45 MB, and zipfile decompresses at least 4096 bytes at a time.
SMALL_READ, LARGEST_PIECE = 4096, 2**26


class Zip:
    """A zip file; its list of members is read at once."""

    def __init__(self, path: str) -> None:
        self._below, self._lock = open_binary(path), threading.Lock()
        try:
            self._file = zipfile.ZipFile(self._below)
        except BaseException:
            self._below.close()
            raise

    def members(self, side_labels: SideLabels | None = None) -> list[Member]:
        return [self._member(info) for info in self._file.infolist()]

    def _member(self, info: zipfile.ZipInfo) -> Member:
        name, mode = _name_of(info), info.external_attr >> 28
        if info.is_dir():
            return Member(name.rstrip("/"), FOLDER, info)
        if mode == SOFT_LINK:
            return Member(name, LINK, info, self._target(info))
        return Member(name, DEVICE if mode in NO_FILES else FILE, info)

    def _target(self, info: zipfile.ZipInfo) -> str:
        """The target of a link, which is its content; "" if it cannot be read."""
        try:
            with self._file.open(info) as file:
                return file.read(LONGEST_LINK).decode("utf-8", "surrogateescape")
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError):
            return ""

    def expect(self, members: Sequence[Member]) -> None:
        """Keeps what is known of them: they are read in any order."""
        self._wanted = list(members)

    def read(self, number: int) -> bytes:
        member = self._wanted[number]
        info: zipfile.ZipInfo = member.raw
        is_volume = formats.suffix_of(member.name) == formats.VOLUME_SUFFIX
        limits.check_bytes(info.file_size, limits.VOLUME_BYTES if is_volume else limits.IMAGE_BYTES)
        limits.check_fold(info.file_size, info.compress_size)
        if info.flag_bits & ENCRYPTED:
            raise BadInput("encrypted: expected a zip without a password")
        plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        with self._lock, self._file.open(info) as file:
            if info.compress_type == zipfile.ZIP_BZIP2:
                file._decompressor = _Bzip2()  # type: ignore[attr-defined]
            return limits.read_bounded(file.read, size=limits.CHUNK if plain else SMALL_READ)

    def close(self) -> None:
        self._file.close()
        self._below.close()


class _Bzip2:
    """A bzip2 decompressor that refuses excessive output from one piece."""

    def __init__(self) -> None:
        self._decompressor = bz2.BZ2Decompressor()

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    def decompress(self, data: bytes) -> bytes:
        piece = self._decompressor.decompress(data, LARGEST_PIECE)
        if len(piece) == LARGEST_PIECE:
            raise BadInput(f"{len(data)} bytes decompress to over {LARGEST_PIECE // 2**20} MiB")
        return piece


def _name_of(info: zipfile.ZipInfo) -> str:
    """The name, decoded as UTF-8 also without the flag, which many programs omit."""
    if info.flag_bits & UTF8_NAME or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
