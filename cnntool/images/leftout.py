"""Counts what a folder or an archive holds that is not read, for the summary at the end."""

from __future__ import annotations

from collections import Counter

from cnntool.images import formats

NAMES_SHOWN = 3
SIDE_FILES = {"thumbs.db", "desktop.ini", "__macosx", "icon\r"}  # besides hidden ones, such as .DS_Store

# Why an entry is left out, other than its suffix.
LINKED_FOLDER = "not read, links to folders that are read already"
FOLDER = "not read, folders that the pattern matches"
LOST_LINK = "not read, links that lead to no file of the archive"
NO_FILE = "not read, devices, pipes and sockets"
OUTPUT = "not read, OUTPUT inside INPUT"
REPLACED = "not read, members that a later one of the same name replaces"
CLEANED = "read under names without the root, a drive or `..`"


def is_side_file(name: str) -> bool:
    """Whether a file or folder is hidden or made by a system beside images; such are not counted."""
    return name.startswith(".") or name.lower() in SIDE_FILES


class LeftOut:
    """Counts files by suffix and other entries by kind, with the first names of each kind."""

    def __init__(self) -> None:
        self.suffixes: Counter[str] = Counter()
        self.others: dict[str, list[str]] = {}

    def file(self, name: str) -> None:
        """A file whose suffix is not read."""
        self.suffixes[formats.suffix_of_unread(name)] += 1

    def other(self, kind: str, name: str) -> None:
        self.others.setdefault(kind, []).append(name)

    def lines(self) -> list[str]:
        """One line for the suffixes, the commonest first, and one for each other kind."""
        lines = []
        if self.suffixes:
            counts = sorted(self.suffixes.items(), key=lambda pair: (-pair[1], pair[0]))
            lines.append("not read: " + ", ".join(f"{count} {suffix}" for suffix, count in counts) + self._extras())
        for kind, names in self.others.items():
            more = ", ..." if len(names) > NAMES_SHOWN else ""
            lines.append(f"{kind}: {len(names)} ({', '.join(sorted(names)[:NAMES_SHOWN])}{more})")
        return lines

    def _extras(self) -> str:
        """What to install for those suffixes that an extra would read."""
        return "".join(
            f'; pip install "cnntool[{name.lower()}]" for {", ".join(wanted)}'
            for name in formats.BY_EXTRA
            if (wanted := [suffix for suffix in formats.READ[name] if suffix in self.suffixes])
        )
