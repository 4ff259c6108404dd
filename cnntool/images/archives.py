"""Images in a tar or zip file, read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import bisect
import functools
import itertools
import posixpath
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from cnntool.errors import BadInput, CnntoolError, Missing, reason_of
from cnntool.images import formats
from cnntool.images.items import Inputs, Item, OnDemand
from cnntool.images.leftout import CLEANED, LOST_LINK, NO_FILE, REPLACED, LeftOut, is_side_file
from cnntool.images.members import DEVICE, FILE, FOLDER, LINK, Member
from cnntool.images.names import clean_name, composed
from cnntool.images.webdataset import SideLabels, key_of

MOST_LINKS = 8  # in a chain of links


class Archive(Protocol):
    """The interface of both kinds of archive. `read` is thread-safe."""

    def members(self, side_labels: SideLabels | None = None) -> list[Member]:
        """All members. With `side_labels`, labels beside images are taken on the way."""

    def expect(self, members: Sequence[Member]) -> None:
        """Announces the members that will be read, in order; `read` takes their numbers."""

    def read(self, number: int) -> bytes: ...
    def close(self) -> None: ...


class Inside:
    """The inputs of one archive. Of each little more than its name is held: there may be millions."""

    def __init__(self, path: str, before: str, archive: Archive, names: list[str]) -> None:
        """`before` is what the names of inputs begin with, besides their `names` in the archive."""
        self.path, self.archive, self.names = path, archive, names
        self.labels: list[str | None] = []
        self._before = before

    def __len__(self) -> int:
        return len(self.names)

    def item(self, number: int) -> Item:
        name = self.names[number]
        where = f"{self.path}/{name}"
        content = functools.partial(_content, self.archive, number, where)
        label = self.labels[number] if self.labels else None
        return Item(self._before + name, content=content, label=label, where=where, archive=(self.path, name))


class Broken:
    """An archive among several that cannot be listed: one input, which fails."""

    labels: Sequence[str | None] = ()

    def __init__(self, path: str, error: BadInput) -> None:
        self._path, self._error = path, error

    def __len__(self) -> int:
        return 1

    def item(self, number: int) -> Item:
        return Item(posixpath.basename(self._path), content=functools.partial(_raise, self._error), where=self._path)


def open_archives(paths: Sequence[str], text: str, labels: bool = False) -> Inputs:
    """The images and volumes of a `.zip` or `.tar` (also `.gz`, `.bz2`, `.xz`, `.zst`), or of several tars, in order.

    Of several, names begin with the archive's. With `labels`, those beside images in a tar are read. Hidden files are
    skipped; folders, devices, links that leave the archive and other suffixes are counted. A link to a member stands
    for that member. Among members with the same name the last counts, as in unpacking. Drives, leading slashes and `..`
    are stripped from names. A member that is encrypted, too large, sparse or broken raises BadInput when it is read; an
    archive that cannot be listed raises it at once, or, of several, when it is read.
    """
    left_out, classes = LeftOut(), Classes(labels)
    found: list[Inside | Broken] = []

    def close() -> None:
        for archive in found:
            if isinstance(archive, Inside):
                archive.archive.close()

    for path, before in zip(paths, _prefixes(paths), strict=True):
        try:
            found.append(_listed(path, before, classes, left_out))
        except BadInput as error:
            if len(paths) == 1:
                raise
            found.append(Broken(path, error))
        except BaseException:
            close()
            raise
    folders = classes.label([archive for archive in found if isinstance(archive, Inside)])
    starts = list(itertools.accumulate((len(archive) for archive in found), initial=0))

    def item(number: int) -> Item:
        place = bisect.bisect_right(starts, number) - 1
        return found[place].item(number - starts[place])

    def all_labels() -> Iterator[str | None]:
        for archive in found:
            yield from archive.labels

    items = OnDemand(starts[-1], item, all_labels)
    return Inputs(items, text, close=close, left_out=left_out, folders=folders)


def _listed(path: str, before: str, classes: Classes, left_out: LeftOut) -> Inside:
    archive: Archive | None = None
    side_labels = classes.side_labels()
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
    del members  # what is known of each takes more than all that is kept
    wanted = _wanted(named, left_out, side_labels)
    inside = Inside(path, before, archive, list(wanted))
    classes.add(inside, named, side_labels)
    del named
    archive.expect(list(wanted.values()))
    return inside


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
        named[member.name if name == member.name else name] = member
    return named


def _wanted(named: dict[str, Member], left_out: LeftOut, side_labels: SideLabels | None) -> dict[str, Member]:
    """The inputs: names, and the members that hold their content."""
    wanted = {}
    keys = {key_of(name) for name in named if formats.is_input(name)} if side_labels is not None else set()
    for name, member in named.items():
        if _is_hidden(name) or member.kind == FOLDER:
            continue
        if member.kind == DEVICE:
            left_out.other(NO_FILE, name)
        elif not formats.is_input(name):
            if side_labels is None or not side_labels.uses(name) or key_of(name) not in keys:
                left_out.file(name)
        elif (file := _followed(name, named)) is None:
            left_out.other(LOST_LINK, name)
        else:
            wanted[name] = file
    return wanted


def _is_hidden(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    return is_side_file(last) or _holds_hidden(folder)


@functools.lru_cache(256)
def _holds_hidden(folder: str) -> bool:
    """Whether a folder, or one of those it lies in, is hidden."""
    return any(map(is_side_file, folder.split("/")))


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


class Classes:
    """Labels of the inputs of archives: what lies beside an image, or its folder below those that all of them share."""

    def __init__(self, beside: bool) -> None:
        """`beside`: whether labels beside images are looked for."""
        self._beside, self._folders = beside, set[tuple[str, ...]]()

    def side_labels(self) -> SideLabels | None:
        return SideLabels() if self._beside else None

    def add(self, inside: Inside, named: dict[str, Member], side_labels: SideLabels | None) -> None:
        """Takes the folders of an archive, and what lies beside its images."""
        for name, member in named.items():
            parts = name.split("/") if member.kind == FOLDER else name.split("/")[:-1]
            if parts and not _is_hidden(name):
                self._folders.add(tuple(parts))
        if side_labels is not None:
            inside.labels = [side_labels.label(name) for name in inside.names]

    def label(self, archives: Sequence[Inside]) -> set[str]:
        """Labels all inputs. Returns the names of all folders that are labels, also of those without an input."""
        holders = {tuple(name.split("/")[:-1]) for archive in archives for name in archive.names}
        depth = 0
        while holders and all(len(parts) > depth + 1 for parts in holders) and len({p[depth] for p in holders}) == 1:
            depth += 1
        around = next(iter(holders), ())[:depth]
        are_beside = False
        for archive in archives:
            beside = archive.labels or [None] * len(archive)
            are_beside |= any(label is not None for label in beside)
            archive.labels = [
                _folder_at(name, depth) if label is None else label
                for name, label in zip(archive.names, beside, strict=True)
            ]
        if are_beside:
            return set()
        return {parts[depth] for parts in self._folders if parts[:depth] == around and len(parts) > depth}


def _folder_at(name: str, depth: int) -> str | None:
    """The folder at a depth of a path; the same string for the same name."""
    parts = name.split("/", depth + 1)
    return sys.intern(parts[depth]) if len(parts) > depth + 1 else None


def _content(archive: Archive, number: int, where: str) -> bytes:
    try:
        return archive.read(number)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except Exception as error:  # as above
        raise BadInput(f"{where}: cannot be read from the archive ({reason_of(error)})") from None
