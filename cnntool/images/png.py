"""PNG beyond Pillow: 16 bits a channel, and ancillary chunks that are broken or huge.

https://www.w3.org/TR/png-3
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from cnntool.images.samples import over_white
from cnntool.limits import MAX_PIXELS

MAGIC = b"\x89PNG\r\n\x1a\n"
# Ancillary chunks that Pillow reads, with their fixed length; without colour profiles, which are not applied.
SHORT = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7, b"acTL": 8, b"fcTL": 26}
KEPT = (b"tRNS", b"eXIf", b"fdAT")
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
# Texts that may hold the orientation.
TEXTS = {
    b"iTXt": (b"XML:com.adobe.xmp\0",),
    b"zTXt": (b"Raw profile type exif\0",),
    b"tEXt": (b"Raw profile type exif\0",),
}
LARGEST_NOTE = 2**18
PIECE = 2**20  # bytes of pixels in memory at a time
MOST_UNPACKED = 2**31  # bytes that are looked through to see that pixels beside a wrong checksum are whole
GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}
DEEPEST_DEFLATE = 1100  # bytes that one packed byte may become, at most


class Chunk(NamedTuple):
    """The offset of a chunk's content, and whether it is cut off, too large to keep, or its checksum is wrong."""

    kind: bytes
    offset: int
    length: int
    broken: bool

    @property
    def critical(self) -> bool:
        return not self.kind[0] & 32


def chunks_of(file: IO[bytes]) -> list[Chunk]:
    """All chunks, with the checksums of ancillary ones and of pixels verified: Pillow does not look at the latter.

    A ValueError for broken pixels or transparency, which changes the pixels.
    """
    chunks: list[Chunk] = []
    end = file.seek(0, io.SEEK_END)
    offset = file.seek(len(MAGIC))
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        broken = offset + 12 + length > end
        if kind == b"IDAT":
            broken = _checksum(file, length) != file.read(4)
        elif not kind[0] & 32 or broken:
            file.seek(offset + 12 + length)
        elif length > LARGEST_NOTE and kind not in ANIMATION:
            broken = True  # larger than what is kept
            file.seek(length + 4, io.SEEK_CUR)
        else:
            content = file.read(length)
            broken = zlib.crc32(kind + content) != int.from_bytes(file.read(4), "big")
        if broken and kind == b"tRNS":
            raise ValueError("its transparency (tRNS) is broken")
        chunks.append(Chunk(kind, offset + 8, length, broken))
        if kind == b"IEND":
            break
        offset += 12 + length
    pixels = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    if any(chunk.broken for chunk in pixels) and not _is_whole(file, pixels):
        raise ValueError("broken or truncated pixels: a checksum is wrong")
    return chunks


def _checksum(file: IO[bytes], length: int) -> bytes:
    """Of the content of an IDAT at the place of the file, which moves to its end; of what is there if it is cut off."""
    found = zlib.crc32(b"IDAT")
    for piece in _pieces(file, length):
        found = zlib.crc32(piece, found)
    return found.to_bytes(4, "big")


def _pieces(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length and (piece := file.read(min(length, PIECE))):
        length -= len(piece)
        yield piece


def _is_whole(file: IO[bytes], pixels: list[Chunk]) -> bool:
    """Whether the packed pixels end with the checksum of what they unpack to, so that those of the chunks are wrong."""
    unpacker, unpacked = zlib.decompressobj(), 0
    try:
        for chunk in pixels:
            file.seek(chunk.offset)
            for piece in _pieces(file, chunk.length):
                while (content := unpacker.decompress(piece, PIECE)) or unpacker.unconsumed_tail:
                    piece, unpacked = unpacker.unconsumed_tail, unpacked + len(content)
                    if unpacked > MOST_UNPACKED:
                        return False
    except zlib.error:
        return False
    return unpacker.eof


def mended(file: IO[bytes], chunks: list[Chunk]) -> bytes | None:
    """The file without ancillary chunks that Pillow could fail on; None if there are none."""
    moving = [chunk for chunk in chunks if chunk.kind in ANIMATION]
    animated = all(map(_plain, moving)) and any(chunk.kind == b"acTL" for chunk in moving)
    if all(chunk.critical or _plain(chunk) for chunk in chunks) and (animated or not moving):
        return None
    parts = [MAGIC]
    for chunk in chunks:
        file.seek(chunk.offset - 8)
        content = file.read(chunk.length + 12)
        if (
            chunk.critical
            or (_plain(chunk) and (animated or chunk.kind not in ANIMATION))
            or (not chunk.broken and _tells_orientation(chunk.kind, content[8:-4]))
        ):
            parts.append(content)
    return b"".join(parts)


def _plain(chunk: Chunk) -> bool:
    known = chunk.kind in KEPT or SHORT.get(chunk.kind) == chunk.length
    return known and not chunk.broken


def _tells_orientation(kind: bytes, content: bytes) -> bool:
    """Whether a text may hold the orientation, and decompresses to a bounded size."""
    for keyword in TEXTS.get(kind, ()):
        if content.startswith(keyword):
            rest = content[len(keyword) :]
            if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
                return True
            packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
            try:
                unpacker = zlib.decompressobj()
                unpacker.decompress(packed, LARGEST_NOTE)
                return not unpacker.unconsumed_tail
            except zlib.error:
                return False
    return False


class Deep(NamedTuple):
    """A 16-bit PNG that Pillow would reduce to 8 bits, or whose transparent colour it would miss."""

    size: tuple[int, int]
    colour: int
    interlaced: int
    packed: bytes
    clear: bytes | None

    @property
    def channels(self) -> int:
        return 1 if self.colour in (GRAY, GRAY_ALPHA) else 3

    def volume(self) -> np.ndarray:
        """float32 H x W x 1 or 3, over white; a ValueError for pixels that are not whole."""
        numbers = self._numbers()
        volume = np.divide(numbers, np.float32(65535), dtype=np.float32)
        if self.colour in (GRAY_ALPHA, RGBA):
            return over_white(volume[:, :, :-1], volume[:, :, -1:])
        if self.clear is not None:
            volume[(numbers == np.frombuffer(self.clear, ">u2")).all(axis=2)] = 1
        return volume

    def _numbers(self) -> np.ndarray:
        """uint16 H x W x samples.

        Pillow's decoder undoes the filters for any pixel size; only its unpacking drops to 8 bits. So the upper and the
        lower bytes are unpacked in turn, or pixels of 2 and 4 bytes as 8-bit pixels with twice the samples.
        """
        samples = SAMPLES[self.colour]
        if samples < 3:
            pairs = self._decoded("LA" if samples == 1 else "RGBA", "LA" if samples == 1 else "RGBA")
            return pairs.view(">u2")
        mode = "RGB" if samples == 3 else "RGBA"
        numbers = self._decoded(mode, f"{mode};16B").astype(np.uint16)
        numbers <<= 8
        return np.bitwise_or(numbers, self._decoded(mode, f"{mode};16L"), out=numbers)

    def _decoded(self, mode: str, raw: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, self.size, self.packed, "zip", raw, self.interlaced))


def deep(file: IO[bytes], chunks: list[Chunk]) -> Deep | None:
    """The decoder of a 16-bit PNG; None if Pillow decodes it. A ValueError if pixels must be missing."""
    if not chunks or chunks[0].kind != b"IHDR" or chunks[0].length != 13:
        return None
    file.seek(chunks[0].offset)
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", file.read(13))
    clear = next((chunk for chunk in chunks if chunk.kind == b"tRNS" and not chunk.broken), None)
    if bits != 16 or colour not in SAMPLES or (colour == GRAY and clear is None) or width * height > MAX_PIXELS:
        return None
    packed = []
    for chunk in chunks:
        if chunk.kind == b"IDAT":
            file.seek(chunk.offset)
            packed.append(file.read(chunk.length))
    if sum(map(len, packed)) * DEEPEST_DEFLATE < 2 * width * height * SAMPLES[colour]:
        raise ValueError("truncated: its packed bytes do not become so many pixels")
    content = b""
    if clear is not None and colour in (GRAY, RGB):
        file.seek(clear.offset)
        content = file.read(clear.length)
    usable = len(content) == 2 * SAMPLES[colour]
    return Deep((width, height), colour, interlaced, b"".join(packed), content if usable else None)
