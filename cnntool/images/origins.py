"""What a table keeps of where its rows came from, so that a later run computes only what is new or changed."""

from __future__ import annotations

import array
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnntool.files import atomic

INDEX, BESIDE = "index.npz", ".index.npz"  # what a text table keeps beside it, on its way and in its place
DIGEST = 16  # bytes of the digest of a content


class About(NamedTuple):
    """What a table tells of itself: the JSON text of its pipeline's identity, and the names of its columns or none."""

    pipeline: str
    columns: list[str] = []


class Origin(NamedTuple):
    """What a row was computed from: the digest of the image's content, and the shape of the volume it became."""

    content: bytes
    shape: tuple[int, int, int]


class Origins:
    """The origins of all rows, in a few bytes each."""

    def __init__(self) -> None:
        self._contents, self._shapes = bytearray(), array.array("q")

    def append(self, origin: Origin) -> None:
        self._contents += origin.content
        self._shapes.extend(origin.shape)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """`contents` uint8 N x 16, and `shapes` int64 N x 3: views, which must be gone before the next `append`."""
        contents = np.frombuffer(self._contents, np.uint8).reshape(-1, DIGEST)
        return {"contents": contents, "shapes": np.frombuffer(self._shapes, np.int64).reshape(-1, 3)}


def head_arrays(about: About, origins: Origins, columns: int) -> dict[str, np.ndarray]:
    """What a table keeps about itself, as arrays."""
    names = {"columns": np.array(about.columns, "<U")} if len(about.columns) == columns and columns else {}
    return {"pipeline": np.array(about.pipeline, "<U")} | origins.arrays | names


def write_index(path: Path, about: About, origins: Origins, files: list[str]) -> None:
    """The same in a file of its own, with the digests of the table's `files`."""
    with atomic(path, synchronise=True) as file:
        arrays = head_arrays(about, origins, len(about.columns)) | {"files": np.array(files, "<U")}
        np.savez(file, allow_pickle=False, **arrays)


def digests(files: Iterable[Path]) -> list[str]:
    """The digest of each file; of one that is not there it is empty."""
    found = []
    for path in files:
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=DIGEST))
            found.append(digest.hexdigest())
        except FileNotFoundError:
            found.append("")
    return found
