"""Files behind URLs such as `s3://` and `https://`, by the package fsspec, and those of this machine likewise."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit

from cnntool.errors import BadInput, CnntoolError, Failed, Missing, reason_of
from cnntool.images import formats, limits

URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
SECONDS = 120  # for one image or one piece of an archive; a server that answers no more is a failure of that input
NEEDED = "a URL needs the package fsspec: pip install 'cnntool[remote]'"


def is_url(text: str) -> bool:
    return URL.match(text) is not None


def name_of(url: str) -> str:
    """The file's name, without the query of a web address."""
    parts = urlsplit(url)
    return posixpath.basename(parts.path) or parts.netloc


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it; a CnntoolError if a package for it is missing."""
    try:
        import fsspec.core
    except ImportError:
        raise CnntoolError(f"{url}: {NEEDED}") from None
    with reaching(url):
        try:
            return fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:  # no package for this kind of URL, or an unknown kind
            raise CnntoolError(f"{url}: {reason_of(error)}") from None


def read(url: str) -> bytes:
    """The bytes of one image or volume; raises Missing and Failed."""
    is_volume = formats.suffix_of(name_of(url)) == formats.VOLUME_SUFFIX
    limit = limits.VOLUME_BYTES if is_volume else limits.IMAGE_BYTES
    content = read_piece(url, 0, limit + 1)
    limits.check_bytes(len(content), limit)
    return content


def read_piece(path: str, first: int, size: int) -> bytes:
    """Bytes of a file of this machine or behind a URL; as many as there are."""
    if not is_url(path):
        with open(path, "rb") as file:
            file.seek(first)
            return file.read(size)
    system, inside = file_system(path)
    with reaching(path):
        if not system.async_impl:
            return system.cat_file(inside, start=first, end=first + size)
        from fsspec.asyn import sync

        return sync(system.loop, system._cat_file, inside, start=first, end=first + size, timeout=SECONDS)


def open_binary(path: str) -> IO[bytes]:
    """A file of this machine or behind a URL, to be read and sought in; raises OSError for the first, Missing and
    Failed for the other."""
    if not is_url(path):
        return open(path, "rb")
    system, inside = file_system(path)
    with reaching(path):
        return system.open(inside, "rb")


def size_of(file: IO[bytes]) -> int:
    """The length of a file that can be sought in."""
    size = file.seek(0, 2)
    file.seek(0)
    return size


def files_below(url: str) -> Iterator[tuple[str, str]] | None:
    """(name, URL) of all files in a folder, or None where the URL is no folder."""
    system, inside = file_system(url)
    with reaching(url):
        if not system.isdir(inside):
            return None
        return _named(system, system.find(inside), inside.rstrip("/"))


def matching(pattern: str) -> Iterator[tuple[str, str]]:
    """(name, URL) of the files that a pattern matches; names are relative to the part before its first wildcard."""
    system, inside = file_system(pattern)
    with reaching(pattern):
        return _named(system, system.glob(inside), inside.partition("*")[0].rpartition("/")[0])


def _named(system: Any, paths: list[str], root: str) -> Iterator[tuple[str, str]]:
    if len(paths) > limits.LIST_PATHS:
        raise CnntoolError(f"{root}: over {limits.LIST_PATHS:,} files: expected fewer, or a list of them")
    return ((path.removeprefix(root).lstrip("/"), system.unstrip_protocol(path)) for path in sorted(paths))


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turns whatever a file system raises into one line; networks, servers and credentials fail in many ways."""
    try:
        yield
    except CnntoolError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise Missing(f"{url}: no such file") from None
    except TimeoutError:
        raise Failed(f"{url}: no answer for {SECONDS} seconds") from None
    except PermissionError as error:
        raise BadInput(f"{url}: cannot be read: {reason_of(error)}") from None
    except Exception as error:
        raise Failed(f"{url}: cannot be read: {reason_of(error)}") from None
