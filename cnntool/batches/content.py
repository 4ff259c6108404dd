"""The content of inputs, by its digest: what was computed once is known again under any name."""

from __future__ import annotations

import hashlib
import os
from typing import IO

from cnntool.errors import BadInput
from cnntool.images import formats, limits
from cnntool.images.items import Item

DIGEST = 16  # bytes
# A larger file is read a second time to be decoded, so that a volume that is mapped into memory need not fit there.
HELD_BYTES = 2**26


def content_of(item: Item) -> tuple[bytes, str | bytes]:
    """The digest of an input's content, and what it is then read from; BadInput for what cannot be read.

    Of one format the suffix is part of what decides the pixels: TGA has no mark to be known by.
    """
    source = item.source()
    suffix = formats.suffix_of(item.where)
    digest = hashlib.blake2b(digest_size=DIGEST, person=b"tga" if suffix in formats.READ["TGA"] else b"")
    if isinstance(source, str):
        try:
            with open(source, "rb") as file:
                if os.fstat(file.fileno()).st_size > HELD_BYTES:
                    _add_pieces(digest, file)
                    return digest.digest(), source
                source = file.read()
        except OSError as error:
            raise BadInput(f"{item.where}: cannot be read: {error.strerror}") from None
    digest.update(source)
    return digest.digest(), source


def _add_pieces(digest: hashlib.blake2b, file: IO[bytes]) -> None:
    while piece := file.read(limits.CHUNK):
        digest.update(piece)
