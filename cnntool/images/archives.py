"""Images in a tar or zip file, read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import functools
import tarfile
import threading
import zipfile
from collections import OrderedDict

from cnntool.errors import BadInput
from cnntool.images import formats
from cnntool.images.names import clean_name
from cnntool.images.sources import Item, Source

MAX_MEMBER_BYTES = 2**31
# What a compressed tar keeps of members that were passed over, for threads that ask a little out of order.
KEPT_BYTES = 2**28
KEPT_MEMBERS = 64


def open_archive(path: str) -> Source:
    """The images and volumes of a `.zip` or `.tar` (`.gz`, `.tgz`), in the archive's order.

    Folders, links, hidden files and other suffixes are skipped; of members with one name the last counts, as in
    unpacking. Names lose drives, leading slashes and `..`. Items may be read by several threads. A member that is
    encrypted, too large or broken raises BadInput when it is read; an archive that cannot be listed raises it at once.
    """
    archive: _Zip | _Tar | None = None
    try:
        archive = _Zip(path) if path.lower().endswith(".zip") else _Tar(path)
        members = archive.members()
    except Exception as error:  # a hostile archive fails in many ways
        if archive is not None:
            archive.close()
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: not an archive that can be read ({reason}): expected a whole .tar or .zip") from None
    names = {raw: clean_name(raw) for raw in members if _is_wanted(raw)}
    items = [
        Item(name, content=functools.partial(_content, archive, raw, f"{path}/{name}"), where=f"{path}/{name}")
        for raw, name in names.items()
    ]
    _set_labels(items)
    return Source(items, path, close=archive.close)


def _is_wanted(raw: str) -> bool:
    parts = raw.replace("\\", "/").split("/")
    hidden = any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)
    return formats.is_input(raw) and not hidden


def _set_labels(items: list[Item]) -> None:
    """The first folder that tells members apart; folders around the whole archive tell nothing."""
    folders = [item.name.split("/")[:-1] for item in items]
    while folders and all(len(parts) > 1 for parts in folders) and len({parts[0] for parts in folders}) == 1:
        folders = [parts[1:] for parts in folders]
    for item, parts in zip(items, folders, strict=True):
        item.label = parts[0] if parts else None


def _content(archive: _Zip | _Tar, raw: str, where: str) -> bytes:
    try:
        return archive.read(raw)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except Exception as error:  # as above
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{where}: cannot be read from the archive ({reason})") from None


def _checked(size: int) -> None:
    if not 0 <= size <= MAX_MEMBER_BYTES:
        raise BadInput(f"{size} bytes are too many: at most {MAX_MEMBER_BYTES} are read from an archive")


class _Zip:
    def __init__(self, path: str) -> None:
        self._file, self._lock = zipfile.ZipFile(path), threading.Lock()

    def members(self) -> list[str]:
        files = (info for info in self._file.infolist() if not info.is_dir() and not self._is_link(info))
        return list({info.filename: None for info in files})

    @staticmethod
    def _is_link(info: zipfile.ZipInfo) -> bool:
        return (info.external_attr >> 28) == 0o12

    def read(self, raw: str) -> bytes:
        info = self._file.getinfo(raw)
        _checked(info.file_size)
        if info.flag_bits & 1:
            raise BadInput("encrypted: expected a zip without a password")
        with self._lock:
            return self._file.read(info)

    def close(self) -> None:
        self._file.close()


class _Tar:
    """Members are read forwards. In a compressed tar going back means to begin again, so passed members are kept."""

    def __init__(self, path: str) -> None:
        self._file = tarfile.open(path)  # noqa: SIM115 it is closed with the source
        self._lock = threading.Lock()
        self._members: dict[str, tarfile.TarInfo] = {}
        self._order: list[str] = []
        self._places: dict[str, int] = {}
        self._next = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._keeps = not path.lower().endswith(".tar")

    def members(self) -> list[str]:
        for member in self._file:
            if member.isfile():
                self._members[member.name] = member
        self._order = sorted(self._members, key=lambda name: self._members[name].offset)
        self._places = {name: place for place, name in enumerate(self._order)}
        return self._order

    def read(self, raw: str) -> bytes:
        _checked(self._members[raw].size)
        with self._lock:
            if raw in self._kept:
                return self._kept.pop(raw)
            place = self._places[raw]
            if self._keeps:
                for passed in self._order[self._next : place][-KEPT_MEMBERS:]:
                    if self._members[passed].size <= KEPT_BYTES and _is_wanted(passed):
                        self._keep(passed)
                self._next = place + 1
            return self._content(raw)

    def _keep(self, raw: str) -> None:
        self._kept[raw] = self._content(raw)
        while len(self._kept) > KEPT_MEMBERS or sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _content(self, raw: str) -> bytes:
        member = self._members[raw]
        file = self._file.extractfile(member)
        assert file is not None
        content = file.read()
        if len(content) != member.size:
            raise BadInput(f"truncated: {len(content)} of {member.size} bytes")
        return content

    def close(self) -> None:
        self._file.close()
