"""Models as `.npz`: the head as arrays beside those of the layers, uncompressed.

Compressed members are refused, so a model takes no more memory than its file has bytes.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np

from cnntool.arrays import ArrayFile
from cnntool.models.heads import parsed_json

HEAD = ("format", "words", "input_shape", "classes", "preparation")
LARGEST_HEAD = 2**26  # bytes of one of these


def head_of(file: ArrayFile) -> dict[str, Any]:
    """The entries beside the arrays of layers, as plain values; missing ones are left out."""
    there = set(file.names())
    values = {name: _value(file, name) for name in HEAD if name in there}
    if isinstance(values.get("preparation"), str):
        values["preparation"] = parsed_json(values["preparation"])
    return values


def _value(file: ArrayFile, name: str) -> Any:
    header = file.header(name)
    if header.kind not in "iU":
        raise ValueError(f"`{name}` holds {header.type_name}")
    if header.bytes > LARGEST_HEAD:
        raise ValueError(f"`{name}` is of {header.bytes} bytes")
    return file.read(name).tolist()


def write(file: IO[bytes], values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes deterministically: equal values give equal bytes."""
    head = {
        "format": np.array(values["format"]),
        "words": np.array(values["words"], str),
        "input_shape": np.array(values["input_shape"], np.int64),
        "classes": np.array(values["classes"], str),
        "preparation": np.array(json.dumps(values["preparation"])),
    }
    np.savez(file, allow_pickle=False, **head, **arrays)
