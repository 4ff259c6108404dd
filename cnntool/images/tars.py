"""The members of a tar file, also a compressed one."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from cnntool.errors import BadInput
from cnntool.images import limits
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member

# Members of a compressed tar kept after being passed over, for threads that read slightly out of order.
KEPT_BYTES = 2**28
KEPT_MEMBERS = 64
BLOCK = tarfile.BLOCKSIZE


class Tar:
    """Reads members in order. A compressed tar cannot seek back without starting over, so passed members are kept."""

    def __init__(self, path: str) -> None:
        self._size = os.path.getsize(path)
        file, self._keeps = decompressed(path)
        self._stream = _Watched(file)
        self._lock = threading.Lock()
        try:
            self._file = tarfile.open(fileobj=self._stream, mode="r:", encoding="utf-8")  # type: ignore[call-overload]  # noqa: SIM115
        except BaseException:
            self._stream.close()
            raise
        self._wanted: list[tarfile.TarInfo] = []
        self._shared: set[int] = set()  # offsets of members with several names
        self._next = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def members(self) -> list[Member]:
        found = []
        while True:
            self._stream.left = limits.HEADER_BYTES
            raw = self._file.next()
            if raw is None:
                break
            end = raw.offset_data + raw.size
            if self._keeps and end > limits.ARCHIVE_FOLD_FROM and end > limits.FOLD * self._size:
                raise BadInput(f"{self._size} bytes decompress to over {end}: at most {limits.FOLD} to 1 is read")
            found.append(_member(raw))
        self._check_end(found)
        self._stream.left = None
        return found

    def _check_end(self, found: list[Member]) -> None:
        """Raises BadInput for a damaged header, which tarfile takes for the end of the archive."""
        self._stream.seek(self._file.offset)
        if self._stream.read(BLOCK).strip(b"\0"):
            raise BadInput(f"damaged after {found[-1].name}" if found else "damaged")

    def expect(self, members: Sequence[Member]) -> None:
        by_offset = {member.raw.offset: member.raw for member in members}
        self._wanted = [by_offset[offset] for offset in sorted(by_offset)]
        self._indices = {raw.offset: index for index, raw in enumerate(self._wanted)}
        seen: set[int] = set()
        for member in members:
            (self._shared if member.raw.offset in seen else seen).add(member.raw.offset)

    def read(self, member: Member) -> bytes:
        raw: tarfile.TarInfo = member.raw
        _check(raw)
        with self._lock:
            if raw.offset in self._kept:
                return self._kept[raw.offset] if raw.offset in self._shared else self._kept.pop(raw.offset)
            index = self._indices[raw.offset]
            if self._keeps:
                for passed in self._wanted[self._next : index][-KEPT_MEMBERS:]:
                    if passed.size <= KEPT_BYTES and not passed.issparse():
                        with contextlib.suppress(BadInput):  # raised when it is read
                            self._keep(passed, self._content(passed))
                self._next = index + 1
            content = self._content(raw)
            if self._keeps and raw.offset in self._shared:
                self._keep(raw, content)
            return content

    def _keep(self, raw: tarfile.TarInfo, content: bytes) -> None:
        self._kept[raw.offset] = content
        while len(self._kept) > KEPT_MEMBERS or sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _content(self, raw: tarfile.TarInfo) -> bytes:
        file = self._file.extractfile(raw)
        assert file is not None
        content = limits.read_bounded(file.read)
        if len(content) != raw.size:
            raise BadInput(f"truncated: {len(content)} of {raw.size} bytes")
        return content

    def close(self) -> None:
        self._file.close()
        self._stream.close()


def _member(raw: tarfile.TarInfo) -> Member:
    if raw.isdir():
        return Member(raw.name, FOLDER, raw)
    if raw.issym() or raw.islnk():
        return Member(raw.name, LINK, raw, raw.linkname, raw.islnk())
    return Member(raw.name, FILE if raw.isfile() else DEVICE, raw)


def _check(raw: tarfile.TarInfo) -> None:
    if raw.issparse():
        raise BadInput("a sparse member: pack it without --sparse")
    limits.check_bytes(raw.size, limits.VOLUME_BYTES if raw.name.lower().endswith(".npy") else limits.IMAGE_BYTES)


class _Watched:
    """The tar's bytes. `left` bounds how many are read for headers, which may declare any length."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.left: int | None = limits.HEADER_BYTES
        self.tell, self.seek, self.close = file.tell, file.seek, file.close

    def read(self, size: int) -> bytes:
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise BadInput(f"a header of over {limits.HEADER_BYTES // 2**20} MiB")
        return self._file.read(size)


def decompressed(path: str) -> tuple[Any, bool]:
    """The decompressed tar, and whether it was compressed, judged by its first bytes."""
    with open(path, "rb") as file:
        first = file.read(6)
    if first.startswith(b"\x1f\x8b"):
        return gzip.open(path), True
    if first.startswith(b"BZh"):
        return bz2.open(path), True
    if first == b"\xfd7zXZ\0":
        return lzma.open(path), True
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstandard(path), True
    return open(path, "rb"), False


def _zstandard(path: str) -> Any:
    """Opens a .zst with Python 3.14's own module, or with the package zstandard."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.open(path) if name == "compression.zstd" else _Rewinding(path, module)
    raise BadInput("compressed by Zstandard: that needs Python 3.14, or `pip install zstandard`; or pack it as .tar.gz")


class _Rewinding(io.RawIOBase):
    """The forward-only stream of the package zstandard; seeking back starts over."""

    def __init__(self, path: str, module: Any) -> None:
        self._path, self._module = path, module
        self._begin()

    def _begin(self) -> None:
        self._file = open(self._path, "rb")  # noqa: SIM115 it is closed with this stream
        self._reader = self._module.ZstdDecompressor().stream_reader(self._file, read_across_frames=True)
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._reader.read(size)
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset < self._at:
            self._reader.close()
            self._begin()
        while self._at < offset and self.read(min(limits.CHUNK, offset - self._at)):
            pass
        return self._at

    def close(self) -> None:
        self._reader.close()
        self._file.close()
        super().close()
