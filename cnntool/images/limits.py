"""Limits on how much of an input is read. Plain files need none here: their size is checked against the header."""

from __future__ import annotations

from collections.abc import Callable

from cnntool.arrays import MAGIC
from cnntool.errors import BadInput

# An image file held in memory, from a stream or an archive. Larger scenes come as plain files.
IMAGE_BYTES = 2**29
# A .npy volume, which is not compressed.
VOLUME_BYTES = 2**31
# Archive members above FOLD_FROM bytes may be FOLD times their compressed size: photographs are at most twice, empty
# volumes and decompression bombs a thousand times.
FOLD, FOLD_FROM = 200, 2**26
# The same for a compressed tar as a whole, since listing it decompresses all of it.
ARCHIVE_FOLD_FROM = 2**30
# The headers of one member of a tar: names, attributes. Real ones take a few kilobytes.
HEADER_BYTES = 2**24
# A list of paths, and how many.
LIST_BYTES, LIST_PATHS = 2**28, 2_000_000
CHUNK = 2**20


def read_bounded(read: Callable[[int], bytes], size: int = CHUNK) -> bytes:
    """All that repeated `read(size)` returns; raises BadInput as soon as the limit is exceeded."""
    parts: list[bytes] = []
    total, limit = 0, IMAGE_BYTES
    while part := read(size):
        if not parts and part.startswith(MAGIC):
            limit = VOLUME_BYTES
        parts.append(part)
        total += len(part)
        check_bytes(total, limit)
    return b"".join(parts)


def check_bytes(total: int, limit: int) -> None:
    """BadInput when a file of `total` bytes is over `limit`."""
    if total > limit:
        raise BadInput(
            f"over {limit} bytes are too many for a stream or a member of an archive: give a file of its own"
        )


def check_fold(size: int, stored: int) -> None:
    """BadInput for a member with an excessive compression ratio."""
    if size > FOLD_FROM and size > FOLD * stored:
        raise BadInput(
            f"{size} bytes compressed to {stored}, more than {FOLD} to 1: give a file of its own if it is no bomb"
        )
