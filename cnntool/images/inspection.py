"""Chooses the decoder of a file by its first bytes, as Pillow does, and notes what is left out. Decodes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import IO, Any

from cnntool.images import heif, jpeg2000, pages, png, pnm, tiff
from cnntool.images.strips import RandomFile

HEAD = 4096


@dataclasses.dataclass
class Found:
    """How a file is to be read.

    Pillow decodes frame `frame` of `source`, unless `pixels` reads the page, `stack` all pages, or `deep` the values
    that Pillow would round. `notes` are lines for the user.
    """

    source: str | bytes
    frame: int = 0
    pixels: pages.Pixels | None = None
    stack: list[Found] = dataclasses.field(default_factory=list)
    deep: png.Deep | pnm.Numbers | jpeg2000.Deep | heif.Deep | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    file: RandomFile | None = None

    def close(self) -> None:
        """Closes the file that `pixels` reads from."""
        if self.file is not None:
            self.file.close()


@contextlib.contextmanager
def inspected(source: Any, name: str, page: int | str = 1) -> Iterator[Found]:
    """How a path or bytes are to be read; raises ValueError or tiff.Unsupported for what cannot be.

    `page` is a number from 1, or "all" for the gray pages of a TIFF as channels.
    """
    found = _found(source, name, page)
    try:
        yield found
    finally:
        found.close()


def _found(source: Any, name: str, page: int | str) -> Found:
    file: IO[bytes]
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        head = file.read(HEAD)
        if head[:4] in tiff.MAGICS:
            return _tiff(source, name, page)
        if page == "all":
            raise tiff.Unsupported("--page all: only the pages of a TIFF become channels")
        found = Found(source, int(page) - 1)
        if head.startswith(png.MAGIC):
            chunks = png.chunks_of(file)
            found.deep = png.deep(file, chunks)
            found.source = png.mended(file, chunks) or source
        elif head[:2] in (b"P2", b"P3", b"P5", b"P6"):
            found.deep = pnm.deep(file, head)
        elif jpeg2000.is_one(head):
            found.deep = jpeg2000.deep(file, source)
        elif head[4:8] == b"ftyp":
            found.deep = heif.deep(source, head, found.frame)
        if found.deep is None:
            found.notes += _cut_to_8(head)
    return found


def _tiff(source: Any, name: str, wanted: int | str) -> Found:
    file = RandomFile(source, name)
    try:
        listed = tiff.pages_of(file)
        if wanted == "all":
            found = Found(source, stack=[_page(tags, file, source) for tags in listed], file=file)
        else:
            if int(wanted) > len(listed):
                raise ValueError(f"page {wanted} of {len(listed)}: expected --page 1 to {len(listed)}, or all")
            found = _page(listed[int(wanted) - 1], file, source)
            found.file = file
            if len(listed) > 1 and wanted == 1:
                found.notes.append(f"the first of {len(listed)} pages is taken; --page N takes another, --page all all")
        return found
    except BaseException:
        file.close()
        raise


def _page(tags: tiff.Tags, file: RandomFile, source: Any) -> Found:
    page, pixels = pages.open_page(tags, file, source)
    return Found(source, page.index, pixels, notes=[pixels.note] if pixels and pixels.note else [])


def _cut_to_8(head: bytes) -> list[str]:
    """A note when the file has more than 8 bits a channel where Pillow keeps 8: AVIF, and SGI of two bytes."""
    bits = 8
    if head[4:8] == b"ftyp" and (offset := head.find(b"pixi")) > 0 and len(head) > offset + 9:
        bits = head[offset + 9]
    elif head[:2] == b"\x01\xda" and head[3:4] == b"\x02":
        bits = 16
    return [f"{bits} bits a channel are read as 8"] if bits > 8 else []
