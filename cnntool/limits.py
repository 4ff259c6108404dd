"""Global limits and this machine's memory, checked before anything is allocated."""

from __future__ import annotations

import functools
import os

from cnntool import container
from cnntool.errors import CnntoolError

MAX_PIXELS = 2**29  # of an image, as read and after resizing
LARGEST_SIDE = 65535  # pixels that an option may ask for
LARGEST_SHAPE_SIDE = 10**7  # of a typed shape, and of a model's input
LARGEST_PIPELINE = 2**20  # bytes of a file of words
MOST_LAYERS = 50_000  # of a chain; the deepest networks in use have about 1,000
LARGEST_BORDERED = 2**30  # bytes of a padded volume that consists mostly of padding
SHARE_OF_MEMORY = 0.8  # that volumes, parameters and scratch memory may take


@functools.cache
def physical_memory() -> int:
    """Bytes of memory of this machine, or of the container that this process runs in."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # unknown on this system
        machine = 2**36
    return int(min(machine, container.memory()))


def memory_limit() -> int:
    """Bytes that may be used at once."""
    return int(SHARE_OF_MEMORY * physical_memory())


def check_memory(numbers: int, what: str) -> None:
    """Refuses more float32 than fit into memory, before anything is allocated."""
    needed, limit = 4 * numbers, memory_limit()
    if needed > limit:
        raise CnntoolError(
            f"{what} would need {needed / 2**30:.1f} GiB: expected at most {limit / 2**30:.1f} GiB on this machine; "
            "make the input, the kernels or the channels fewer"
        )
