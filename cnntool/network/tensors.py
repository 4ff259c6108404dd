"""A model as `.safetensors`, by the package of that name: its header is checked there, and holds no code by design.

The header's `__metadata__` is a table of texts; each entry of the head is there as JSON.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.network.saving import parsed_json

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
        return {name: parsed_json(text) for name, text in (self._file.metadata() or {}).items()}

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
    metadata = {name: json.dumps(value) for name, value in values.items()}
    file.write(package().numpy.save(arrays, metadata=metadata))
