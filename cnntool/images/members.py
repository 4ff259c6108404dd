"""A member of an archive, of whatever kind the archive is."""

from __future__ import annotations

from typing import Any, NamedTuple

FILE, LINK, FOLDER, DEVICE = "file", "link", "folder", "device"


class Member(NamedTuple):
    """A name with what it stands for. `raw` is the archive's own record; `target` is where a link leads."""

    name: str
    kind: str
    raw: Any
    target: str = ""
    is_hard: bool = False  # a hard link's target is a name in the archive, a soft one's a path beside the link
