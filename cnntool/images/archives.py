"""Images in a tar or zip file, read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Sequence
from typing import Protocol

from cnntool.errors import BadInput, reason_of
from cnntool.images import formats
from cnntool.images.items import Inputs, Item
from cnntool.images.leftout import CLEANED, LOST_LINK, NO_FILE, REPLACED, LeftOut, is_side_file
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member
from cnntool.images.names import clean_name, composed

MOST_LINKS = 8  # in a chain of links


class Archive(Protocol):
    """The interface of both kinds of archive. `read` is thread-safe."""

    def members(self) -> list[Member]: ...
    def expect(self, members: Sequence[Member]) -> None:
        """Announces the members that will be read, in order."""

    def read(self, member: Member) -> bytes: ...
    def close(self) -> None: ...


def open_archive(path: str) -> Inputs:
    """The images and volumes of a `.zip` or `.tar` (also `.gz`, `.bz2`, `.xz`, `.zst`), in the archive's order.

    Hidden files are skipped; folders, devices, links that leave the archive and other suffixes are counted. A link to a
    member stands for that member. Among members with the same name the last counts, as in unpacking. Drives, leading
    slashes and `..` are stripped from names. A member that is encrypted, too large, sparse or broken raises BadInput
    when it is read; an archive that cannot be listed raises it at once.
    """
    archive: Archive | None = None
    try:
        archive = _opened(path)
        members = archive.members()
    except Exception as error:  # a hostile archive fails in many ways
        if archive is not None:
            archive.close()
        raise BadInput(
            f"{path}: not an archive that can be read ({reason_of(error)}): expected a whole .tar or .zip"
        ) from None
    left_out = LeftOut()
    named = _by_name(members, left_out)
    wanted = _wanted(named, left_out)
    archive.expect(list(wanted.values()))
    items = [
        Item(name, content=functools.partial(_content, archive, member, f"{path}/{name}"), where=f"{path}/{name}")
        for name, member in wanted.items()
    ]
    return Inputs(items, path, close=archive.close, left_out=left_out, folders=_set_labels(items, named))


def _opened(path: str) -> Archive:
    if path.lower().endswith(".zip"):
        from cnntool.images.zips import Zip

        return Zip(path)
    from cnntool.images.tars import Tar

    return Tar(path)


def _by_name(members: list[Member], left_out: LeftOut) -> dict[str, Member]:
    """Members by their clean names, with hidden ones, since links may lead to them."""
    named: dict[str, Member] = {}
    for member in members:
        name = composed(clean_name(member.name))
        shown = formats.is_input(name) and not _is_hidden(name) and member.kind != FOLDER
        if name in named and shown:
            left_out.other(REPLACED, name)
        if shown and name != composed(member.name).replace("\\", "/").removeprefix("./"):
            left_out.other(CLEANED, member.name)
        named.pop(name, None)  # the last one counts, at its own position
        named[name] = member
    return named


def _wanted(named: dict[str, Member], left_out: LeftOut) -> dict[str, Member]:
    """The inputs: names, and the members that hold their content."""
    wanted = {}
    for name, member in named.items():
        if _is_hidden(name) or member.kind == FOLDER:
            continue
        if member.kind == DEVICE:
            left_out.other(NO_FILE, name)
        elif not formats.is_input(name):
            left_out.file(name)
        elif (file := _followed(name, named)) is None:
            left_out.other(LOST_LINK, name)
        else:
            wanted[name] = file
    return wanted


def _is_hidden(name: str) -> bool:
    return any(is_side_file(part) for part in name.split("/"))


def _followed(name: str, named: dict[str, Member]) -> Member | None:
    """The file that a name stands for, following links within the archive."""
    for _ in range(MOST_LINKS):
        member = named.get(name)
        if member is None or member.kind != LINK:
            return member if member is not None and member.kind == FILE else None
        target = member.target if member.is_hard else posixpath.join(posixpath.dirname(name), member.target)
        target = posixpath.normpath(target)
        if not member.is_hard and target.startswith(("/", "../")):
            return None
        name = composed(clean_name(target))
    return None


def _set_labels(items: list[Item], named: dict[str, Member]) -> set[str]:
    """Labels items by their folder below the folders that all of them share.

    Returns the names of all folders at that level, also of those without an input.
    """
    folders = [item.name.split("/")[:-1] for item in items]
    around: list[str] = []
    while folders and all(len(parts) > 1 for parts in folders) and len({parts[0] for parts in folders}) == 1:
        around.append(folders[0][0])
        folders = [parts[1:] for parts in folders]
    for item, parts in zip(items, folders, strict=True):
        item.label = parts[0] if parts else None
    found = set()
    for name, member in named.items():
        parts = name.split("/") if member.kind == FOLDER else name.split("/")[:-1]
        if parts[: len(around)] == around and len(parts) > len(around) and not _is_hidden(name):
            found.add(parts[len(around)])
    return found


def _content(archive: Archive, member: Member, where: str) -> bytes:
    try:
        return archive.read(member)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except Exception as error:  # as above
        raise BadInput(f"{where}: cannot be read from the archive ({reason_of(error)})") from None
