"""Images in a tar or zip file, read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cnntool.errors import BadInput, CnntoolError, Missing, reason_of
from cnntool.images import formats
from cnntool.images.items import Inputs, Item
from cnntool.images.leftout import CLEANED, LOST_LINK, NO_FILE, REPLACED, LeftOut, is_side_file
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member
from cnntool.images.names import clean_name, composed
from cnntool.images.webdataset import SideLabels

MOST_LINKS = 8  # in a chain of links


class Archive(Protocol):
    """The interface of both kinds of archive. `read` is thread-safe."""

    def members(self, side_labels: SideLabels | None = None) -> list[Member]:
        """All members. With `side_labels`, labels beside images are taken on the way."""

    def expect(self, members: Sequence[Member]) -> None:
        """Announces the members that will be read, in order."""

    def read(self, member: Member) -> bytes: ...
    def close(self) -> None: ...


class Listing(NamedTuple):
    """An archive with its members by their clean names, and its inputs: names, and the members with their content."""

    path: str
    archive: Archive
    named: dict[str, Member]
    wanted: dict[str, Member]
    side_labels: SideLabels | None


def open_archives(paths: Sequence[str], text: str, labels: bool = False) -> Inputs:
    """The images and volumes of a `.zip` or `.tar` (also `.gz`, `.bz2`, `.xz`, `.zst`), or of several tars, in order.

    Of several, names begin with the archive's. With `labels`, those beside images in a tar are read. Hidden files are
    skipped; folders, devices, links that leave the archive and other suffixes are counted. A link to a member stands
    for that member. Among members with the same name the last counts, as in unpacking. Drives, leading slashes and `..`
    are stripped from names. A member that is encrypted, too large, sparse or broken raises BadInput when it is read; an
    archive that cannot be listed raises it at once, or, of several, when it is read.
    """
    left_out = LeftOut()
    items: list[Item] = []
    listings: list[Listing] = []
    places: list[tuple[Listing, str]] = []

    def close() -> None:
        for listing in listings:
            listing.archive.close()

    for path, before in zip(paths, _prefixes(paths), strict=True):
        try:
            listing = _listed(path, labels, left_out)
        except BadInput as error:
            if len(paths) == 1:
                raise
            items.append(Item(posixpath.basename(path), content=functools.partial(_raise, error), where=path))
            continue
        except BaseException:
            close()
            raise
        listings.append(listing)
        for name, member in listing.wanted.items():
            where = f"{path}/{name}"
            content = functools.partial(_content, listing.archive, member, where)
            items.append(Item(before + name, content=content, where=where, archive=(path, name)))
            places.append((listing, name))
    inputs = [item for item in items if item.archive is not None]
    folders = _set_labels(list(zip(inputs, places, strict=True)), listings)
    return Inputs(items, text, close=close, left_out=left_out, folders=folders)


def _listed(path: str, labels: bool, left_out: LeftOut) -> Listing:
    archive: Archive | None = None
    side_labels = SideLabels() if labels else None
    try:
        archive = _opened(path)
        members = archive.members(side_labels)
    except (FileNotFoundError, Missing):
        raise CnntoolError(f"{path}: no such file: expected a .zip or .tar") from None
    except Exception as error:  # a hostile archive fails in many ways
        if archive is not None:
            archive.close()
        if isinstance(error, CnntoolError) and not isinstance(error, BadInput):
            raise
        raise BadInput(
            f"{path}: not an archive that can be read ({reason_of(error)}): expected a whole .tar or .zip"
        ) from None
    named = _by_name(members, left_out)
    wanted = _wanted(named, left_out, side_labels)
    archive.expect(list(wanted.values()))
    return Listing(path, archive, named, wanted, side_labels)


def _opened(path: str) -> Archive:
    if path.lower().endswith(".zip"):
        from cnntool.images.zips import Zip

        return Zip(path)
    from cnntool.images.tars import Tar

    return Tar(path)


def _prefixes(paths: Sequence[str]) -> list[str]:
    """What the names of inputs begin with, by which archive they are in: nothing for one archive."""
    if len(paths) == 1:
        return [""]
    names = [path[: -len(formats.archive_suffix(path))] for path in paths]
    stems = [posixpath.basename(name) for name in names]
    return [f"{clean_name(name)}/" for name in (stems if len(set(stems)) == len(stems) else names)]


def _raise(error: BadInput) -> bytes:
    raise error


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


def _wanted(named: dict[str, Member], left_out: LeftOut, side_labels: SideLabels | None) -> dict[str, Member]:
    """The inputs: names, and the members that hold their content."""
    wanted = {}
    for name, member in named.items():
        if _is_hidden(name) or member.kind == FOLDER:
            continue
        if member.kind == DEVICE:
            left_out.other(NO_FILE, name)
        elif not formats.is_input(name):
            if side_labels is None or not side_labels.uses(name):
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


def _set_labels(inputs: list[tuple[Item, tuple[Listing, str]]], listings: list[Listing]) -> set[str]:
    """Labels inputs by what lies beside them, or by their folder below the folders that all of them share.

    Returns the names of all folders at that level, also of those without an input.
    """
    folders = [name.split("/")[:-1] for _, (_, name) in inputs]
    around: list[str] = []
    while folders and all(len(parts) > 1 for parts in folders) and len({parts[0] for parts in folders}) == 1:
        around.append(folders[0][0])
        folders = [parts[1:] for parts in folders]
    for (item, (listing, name)), parts in zip(inputs, folders, strict=True):
        beside = listing.side_labels.label(name) if listing.side_labels is not None else None
        item.label = beside if beside is not None else parts[0] if parts else None
    if any(listing.side_labels is not None and listing.side_labels.label(name) for _, (listing, name) in inputs):
        return set()
    found = set()
    for listing in listings:
        for name, member in listing.named.items():
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
