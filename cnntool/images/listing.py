"""Lists of paths: from a file or a stream to items."""

from __future__ import annotations

from collections.abc import Callable

from cnntool.errors import CnntoolError
from cnntool.images import limits
from cnntool.images.streams import refuse_device

EXPECTED = "expected a list, one path a line"


def listed_file(path: str) -> list[str]:
    """The paths of a list file, as they stand in it."""
    try:
        refuse_device(path, EXPECTED)
        with open(path, "rb") as file:
            return listed(file.read, f"@{path}")
    except (OSError, ValueError) as error:
        if isinstance(error, CnntoolError):
            raise
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise CnntoolError(f"{path}: {reason}: {EXPECTED}") from None


def listed(read: Callable[[int], bytes], text: str) -> list[str]:
    """The lines that are paths; blank lines and comments are none. Bounded, for a stream may have no end."""
    content = bytearray()
    lines = 0
    while part := read(limits.CHUNK):
        content += part
        lines += part.count(b"\n")
        if len(content) > limits.LIST_BYTES or lines > limits.LIST_PATHS:
            raise CnntoolError(
                f"{text}: over {limits.LIST_PATHS:,} lines or {limits.LIST_BYTES // 2**20} MiB: {EXPECTED}"
            )
    # surrogateescape keeps file names that are no UTF-8 as they are.
    decoded = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    names = []
    for line in decoded.split("\n"):
        name = line.strip()
        if name and not name.startswith("#"):
            names.append(name)
            if "\0" in name:
                raise CnntoolError(f"{text}: path {len(names)} holds a zero byte: {EXPECTED}")
    return names
