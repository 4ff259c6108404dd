"""A model as `.npz`: a zip archive of `.npy` members, stored without compression.

What is stored has as many bytes in memory as on disk, so no small file can grow large; compressed members are refused.
Nothing is unpickled: a member's header must declare plain numbers or texts, of exactly the member's size.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from typing import IO, Any

import numpy as np

from cnntool.models.saving import parsed_json

HEAD = ("format", "words", "input_shape", "classes", "preparation")
LARGEST_HEAD = 2**26  # bytes of one of these
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpzStore:
    """An opened `.npz`."""

    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in self._members or name == member.filename:
                raise ValueError(f"a member {member.filename[:60]!r} is there twice, or is no .npy")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError(f"`{name}` is compressed: expected members as numpy.savez stores them")
            self._members[name] = member
        if sum(member.file_size for member in self._members.values()) > os.path.getsize(path):
            raise ValueError("its members overlap")

    def close(self) -> None:
        self._archive.close()

    def head(self) -> dict[str, Any]:
        values = {name: self._head_value(name) for name in HEAD if name in self._members}
        if isinstance(values.get("preparation"), str):
            values["preparation"] = parsed_json(values["preparation"])
        return values

    def _head_value(self, name: str) -> Any:
        if self._members[name].file_size > LARGEST_HEAD:
            raise ValueError(f"`{name}` is of {self._members[name].file_size} bytes")
        return self._read(name, "iU").tolist()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for name in self._members:
            if name not in HEAD:
                with self._archive.open(self._members[name]) as file:
                    found[name] = self._header(name, file, "f")[0]
        return found

    def read(self, name: str) -> np.ndarray:
        return self._read(name, "f")

    def _read(self, name: str, kinds: str) -> np.ndarray:
        with self._archive.open(self._members[name]) as file:
            shape, fortran, dtype = self._header(name, file, kinds)
            array = np.frombuffer(bytearray(file.read()), dtype).reshape(shape, order="F" if fortran else "C")
        return array.astype(dtype.newbyteorder("="), order="C", copy=False)

    def _header(self, name: str, file: IO[bytes], kinds: str) -> tuple[tuple[int, ...], bool, np.dtype]:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"`{name}` has a header of version {version}")
        shape, fortran, dtype = HEADERS[version](file)
        if dtype.hasobject or dtype.kind not in kinds or (dtype.kind != "U" and dtype.itemsize not in (4, 8)):
            raise ValueError(f"`{name}` holds {dtype}")
        if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != (
            self._members[name].file_size - file.tell()
        ):
            raise ValueError(f"`{name}` is not of the size that its header tells")
        return shape, fortran, dtype


def write(file: IO[bytes], values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """The same values give the same bytes."""
    head = {
        "format": np.array(values["format"]),
        "words": np.array(values["words"], str),
        "input_shape": np.array(values["input_shape"], np.int64),
        "classes": np.array(values["classes"], str),
        "preparation": np.array(json.dumps(values["preparation"])),
    }
    np.savez(file, allow_pickle=False, **head, **arrays)
