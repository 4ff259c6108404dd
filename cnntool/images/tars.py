"""The members of a tar file, also a compressed one."""

from __future__ import annotations

import array
import bisect
import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import operator
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from cnntool.errors import BadInput
from cnntool.images import limits
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member
from cnntool.images.remote import open_binary, read_piece, size_of
from cnntool.images.webdataset import SideLabels

# Members of a compressed tar kept after being passed over, for threads that read slightly out of order; more of small
# ones, which threads take in groups.
KEPT_BYTES, KEPT_MEMBERS = 2**28, 64
SMALL_BYTES, SMALL_MEMBERS = 2**25, 4096
BLOCK = tarfile.BLOCKSIZE
OCTAL = b"01234567 \0"
BUFFER = 2**17  # bytes; a file object that decompresses takes longer for a call than for what a small member needs


class Tar:
    """A tar, plain or compressed, whose members are read in any order, best in that of the archive.

    A compressed tar cannot seek back without starting over, so passed members are kept. Of many archives few are open:
    a plain one is opened for each member, a compressed one until its last member was read.
    """

    def __init__(self, path: str) -> None:
        self._path, self._lock = path, threading.Lock()
        self._stream: Any = None
        with open_binary(path) as file:
            self._is_packed = _packing(file.read(6)) is not None
            self._size = size_of(file)
        self._found = array.array("q")  # offset and size of all members, until it is known which are wanted
        # Where the wanted members lie, in the order of their numbers and in that of the archive: 8 bytes each, since
        # there may be millions.
        self._numbered = array.array("q")
        self._offsets, self._sizes = array.array("q"), array.array("q")
        self._sparse: set[int] = set()  # offsets
        self._volumes: set[int] = set()
        self._shared: set[int] = set()  # of members with several names
        self._next = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0

    def members(self, side_labels: SideLabels | None = None) -> list[Member]:
        """All members; what stands in the labels' own files is read on the way."""
        with contextlib.closing(_Watched(Decompressed(self._path))) as stream:
            file = tarfile.open(fileobj=stream, mode="r:", encoding="utf-8")  # type: ignore[call-overload]  # noqa: SIM115
            found: list[Member] = []
            while (raw := _next(file, stream)) is not None:
                end = raw.offset_data + raw.size
                if self._is_packed and end > limits.ARCHIVE_FOLD_FROM and end > limits.FOLD * self._size:
                    raise BadInput(f"{self._size} bytes decompress to over {end}: at most {limits.FOLD} to 1 is read")
                if isinstance(raw, _Plain):
                    found.append(Member(raw.name, FILE, len(found)))
                else:
                    found.append(_member(raw, len(found)))
                    if raw.issparse():
                        self._sparse.add(raw.offset_data)
                self._found.extend((raw.offset_data, raw.size))
                if side_labels is not None and found[-1].kind == FILE and side_labels.wants(raw.name, raw.size):
                    stream.left = None
                    stream.seek(raw.offset_data)
                    side_labels.add(raw.name, stream.read(raw.size))
            self._check_end(found, stream, file.offset)
            return found

    @staticmethod
    def _check_end(found: list[Member], stream: _Watched, offset: int) -> None:
        """Raises BadInput for a damaged header, which tarfile takes for the end of the archive."""
        stream.left = limits.HEADER_BYTES
        stream.seek(offset)
        if stream.read(BLOCK).strip(b"\0"):
            raise BadInput(f"damaged after {found[-1].name}" if found else "damaged")

    def expect(self, members: Sequence[Member]) -> None:
        for member in members:
            offset = self._found[2 * member.raw]
            self._numbered.append(offset)
            if member.name.lower().endswith(".npy"):
                self._volumes.add(offset)
        numbers = range(len(members))
        ordered = all(map(operator.le, self._numbered, self._numbered[1:]))
        for number in numbers if ordered else sorted(numbers, key=self._numbered.__getitem__):
            offset = self._numbered[number]
            if self._offsets and self._offsets[-1] == offset:
                self._shared.add(offset)
            else:
                self._offsets.append(offset)
                self._sizes.append(self._found[2 * members[number].raw + 1])
        self._found = array.array("q")

    def read(self, number: int) -> bytes:
        index = bisect.bisect_left(self._offsets, self._numbered[number])
        offset, size = self._offsets[index], self._sizes[index]
        if offset in self._sparse:
            raise BadInput("a sparse member: pack it without --sparse")
        limits.check_bytes(size, limits.VOLUME_BYTES if offset in self._volumes else limits.IMAGE_BYTES)
        if not self._is_packed:
            return _whole(read_piece(self._path, offset, size), size)
        with self._lock:
            if offset in self._kept:
                return self._kept[offset] if offset in self._shared else self._taken(offset)
            for passed in range(max(self._next, index - SMALL_MEMBERS), index):
                if self._sizes[passed] <= KEPT_BYTES and self._offsets[passed] not in self._sparse:
                    with contextlib.suppress(BadInput):  # raised when it is read
                        self._keep(self._offsets[passed], self._content(passed))
            self._next = index + 1
            content = self._content(index)
            if offset in self._shared:
                self._keep(offset, content)
            if self._next == len(self._offsets):
                self._close_stream()
            return content

    def _taken(self, offset: int) -> bytes:
        """What is kept of a member, and no longer kept then."""
        content = self._kept.pop(offset, b"")
        self._kept_bytes -= len(content)
        return content

    def _keep(self, offset: int, content: bytes) -> None:
        self._taken(offset)
        self._kept[offset] = content
        self._kept_bytes += len(content)
        while self._keeps_too_much():
            self._taken(next(iter(self._kept)))

    def _keeps_too_much(self) -> bool:
        if len(self._kept) <= KEPT_MEMBERS:
            return self._kept_bytes > KEPT_BYTES
        return len(self._kept) > SMALL_MEMBERS or self._kept_bytes > SMALL_BYTES

    def _content(self, index: int) -> bytes:
        if self._stream is None:
            self._stream = Decompressed(self._path)
        self._stream.seek(self._offsets[index])
        size = self._sizes[index]
        if size <= limits.CHUNK:
            return _whole(self._stream.read(size), size)
        content = bytearray()
        while piece := self._stream.read(min(limits.CHUNK, size - len(content))):
            content += piece
        return _whole(bytes(content), size)

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        with self._lock:
            self._close_stream()


def _whole(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise BadInput(f"truncated: {len(content)} of {size} bytes")
    return content


class _Plain(NamedTuple):
    """A member that is a file, whose header needs nothing but itself to be understood."""

    name: str
    offset_data: int
    size: int


def _next(file: Any, stream: _Watched) -> _Plain | tarfile.TarInfo | None:
    """The next member; None at the end. `file` reads what is not plain: it takes 20 microseconds for a header."""
    stream.left = limits.HEADER_BYTES
    if not (file.firstmember or file.pax_headers):
        stream.move_to(file.offset)
        raw = _plain(stream.peek(BLOCK), file.offset + BLOCK)
        if raw is not None:
            file.offset = raw.offset_data + -(-raw.size // BLOCK) * BLOCK
            return raw
    file.members.clear()  # it would keep a record of each
    return file.next()


def _plain(header: bytes, offset_data: int) -> _Plain | None:
    name, size = header[:100], header[124:135]
    is_plain = (
        len(header) == BLOCK
        and header[156:157] == tarfile.REGTYPE
        and header[257:262] == b"ustar"
        and not header[345]  # where the beginning of a long name is
        and size.isdigit()
        and not header[100:124].strip(OCTAL)
        and not header[136:156].strip(OCTAL)
    )
    try:
        if not is_plain or int(header[148:156].strip(b"\0 "), 8) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            return None
        name = name.partition(b"\0")[0]
        return _Plain(name.decode(errors="surrogateescape"), offset_data, int(size, 8))
    except ValueError:
        return None


def _member(raw: tarfile.TarInfo, number: int) -> Member:
    if raw.isdir():
        return Member(raw.name, FOLDER, number)
    if raw.issym() or raw.islnk():
        return Member(raw.name, LINK, number, raw.linkname, raw.islnk())
    return Member(raw.name, FILE if raw.isfile() else DEVICE, number)


class _Watched:
    """The tar's bytes. `left` bounds how many are read for headers, which may declare any length."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.left: int | None = limits.HEADER_BYTES
        self.tell, self.seek, self.close = file.tell, file.seek, file.close
        self._peek = getattr(file, "peek", lambda _: b"")

    def peek(self, size: int) -> bytes:
        """The next bytes, without moving; fewer where that is hard, so that compressed files need not seek back."""
        return self._peek(size)[:size]

    def move_to(self, offset: int) -> None:
        """Moves to an offset, but not beyond the end: `tarfile` tells a cut from an end by where it is."""
        if self.tell() != offset:
            self.seek(offset - 1)
            self._file.read(1)

    def read(self, size: int) -> bytes:
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise BadInput(f"a header of over {limits.HEADER_BYTES // 2**20} MiB")
        return self._file.read(size)


class Decompressed:
    """The bytes of a tar, decompressed where its first bytes say so."""

    def __init__(self, path: str) -> None:
        self._below: Any = open_binary(path)
        try:
            opener = _packing(self._below.read(6))
            self._below.seek(0)
            self._file = io.BufferedReader(opener(self._below), BUFFER) if opener is not None else self._below
        except BaseException:
            self._below.close()
            raise
        self.tell, self.seek, self.read = self._file.tell, self._file.seek, self._file.read
        if hasattr(self._file, "peek"):
            self.peek = self._file.peek

    def close(self) -> None:
        if self._file is not self._below:
            self._file.close()
        self._below.close()


def _packing(first: bytes) -> Callable[[IO[bytes]], Any] | None:
    """What opens a compressed file that begins with these bytes; None for one that is not compressed."""
    openers: dict[bytes, Callable[[IO[bytes]], Any]] = {
        b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open, b"\x28\xb5\x2f\xfd": _zstandard,
    }  # fmt: skip
    return next((opener for magic, opener in openers.items() if first.startswith(magic)), None)


def _zstandard(file: IO[bytes]) -> Any:
    """Opens a .zst with Python 3.14's own module, or with the package zstandard."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.open(file) if name == "compression.zstd" else _Rewinding(file, module)
    raise BadInput("compressed by Zstandard: that needs Python 3.14, or `pip install zstandard`; or pack it as .tar.gz")


class _Rewinding(io.RawIOBase):
    """The forward-only stream of the package zstandard; seeking back starts over."""

    def __init__(self, file: IO[bytes], module: Any) -> None:
        self._below, self._module = file, module
        self._begin()

    def _begin(self) -> None:
        self._below.seek(0)
        self._reader = self._module.ZstdDecompressor().stream_reader(
            self._below, read_across_frames=True, closefd=False
        )
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._reader.readinto(buffer)
        self._at += count
        return count

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
        super().close()
