"""Tars in the WebDataset convention: many shards; the label of `key.jpg` is in `key.cls`, `key.json` or `key.txt`."""

from __future__ import annotations

import json
import re
import sys

from cnntool.errors import CnntoolError
from cnntool.images.names import clean_name, composed

SIDES = ("cls", "json", "txt")  # the first that a key has gives its label
LARGEST_SIDE = 2**16  # bytes
TITLES = ("label", "class", "cls")  # in an object of JSON
LONGEST_LABEL = 200  # characters; a .txt that is longer is a text about the image
RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
MOST_SHARDS = 100_000


def expanded(pattern: str) -> list[str]:
    """The names that `shard-{0000..0003}.tar` stands for; numbers are as long as the first is."""
    found = RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = map(int, found.groups())
    rest = expanded(pattern[found.end() :])
    if not first <= last < first + MOST_SHARDS // len(rest):
        raise CnntoolError(f"{pattern}: expected a range of at most {MOST_SHARDS:,} numbers, such as {{0000..0099}}")
    before, width = pattern[: found.start()], len(found[1])
    return [f"{before}{number:0{width}}{after}" for number in range(first, last + 1) for after in rest]


def key_of(name: str) -> str:
    """A name up to the first dot of its last part: all files of one key belong together."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


class SideLabels:
    """The labels of keys, as they come by in a tar."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def wants(self, name: str, size: int) -> bool:
        """Whether a member may hold a label."""
        return _side_of(name) in SIDES and size <= LARGEST_SIDE

    def add(self, name: str, content: bytes) -> None:
        """Takes what a member holds."""
        name = composed(clean_name(name))
        side, key = _side_of(name), key_of(name)
        label, rank = label_in(side, content), SIDES.index(side)
        if label is not None and rank <= self._found.get(key, (rank, ""))[0]:
            self._found[key] = rank, sys.intern(label)

    def label(self, name: str) -> str | None:
        """The label of an image of that name; None where there is none beside it."""
        return self._found.get(key_of(name), (0, None))[1]

    def uses(self, name: str) -> bool:
        """Whether a member has given a label."""
        return _side_of(name) in SIDES and key_of(name) in self._found


def label_in(side: str, content: bytes) -> str | None:
    """The label that a member holds, or None."""
    try:
        text = content.decode("utf-8-sig").strip()
        if side == "json":
            values = json.loads(text)
            found = [values[title] for title in TITLES if title in values] if isinstance(values, dict) else [values]
            text = str(found[0]) if found and isinstance(found[0], str | int) else ""
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    return composed(text) if 0 < len(text) <= LONGEST_LABEL and text.isprintable() else None


def _side_of(name: str) -> str:
    """The name from the first dot of its last part, without it."""
    return name.rpartition("/")[2].partition(".")[2].lower()
