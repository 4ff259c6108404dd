"""A model as `.safetensors`, by the package of that name: its header is checked there, and holds no code by design.

The header's `__metadata__` is a table of texts. It has one entry, `cnntool`, with the head as JSON: the package writes
several entries in no fixed order, and equal models should be equal files.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.models.saving import parsed_json

ENTRY = "cnntool"
FLOATS = {"F32": np.float32, "F64": np.float64}


def package() -> Any:
    """The module `safetensors.numpy`; a CnntoolError tells how to install it."""
    try:
        import safetensors.numpy
    except ImportError:
        raise CnntoolError(
            "the package `safetensors` is not installed: `pip install cnntool[safetensors]`, or a name ending in .npz"
        ) from None
    return safetensors


class TensorStore:
    """An opened `.safetensors`."""

    def __init__(self, path: str) -> None:
        self._file = package().safe_open(path, framework="numpy")

    def close(self) -> None:
        del self._file

    def head(self) -> dict[str, Any]:
        head = parsed_json((self._file.metadata() or {}).get(ENTRY, "{}"))
        if not isinstance(head, dict):
            raise ValueError("its metadata are no object")
        return head

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for name in self._file.keys():  # noqa: SIM118 it is no mapping
            piece = self._file.get_slice(name)
            if piece.get_dtype() not in FLOATS:
                raise ValueError(f"`{name}` holds {piece.get_dtype()}")
            found[name] = tuple(piece.get_shape())
        return found

    def read(self, name: str) -> np.ndarray:
        return self._file.get_tensor(name)


def write(file: IO[bytes], values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    file.write(package().numpy.save(arrays, metadata={ENTRY: json.dumps(values)}))
