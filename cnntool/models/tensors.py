"""Models as `.safetensors`. The package of that name writes them; reading needs no package.

The header's `__metadata__` has one entry, `cnntool`, with the head as JSON: the package writes several entries in no
fixed order, and equal models should give equal files.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np

from cnntool.arrays import ArrayFile
from cnntool.errors import CnntoolError
from cnntool.models.heads import parsed_json

ENTRY = "cnntool"


def package() -> Any:
    """The module `safetensors.numpy`; a CnntoolError tells how to install it."""
    try:
        import safetensors.numpy
    except ImportError:
        raise CnntoolError(
            "the package `safetensors` is not installed: `pip install cnntool[safetensors]`, or a name ending in .npz"
        ) from None
    return safetensors


def head_of(file: ArrayFile) -> dict[str, Any]:
    """The entries beside the arrays of layers, as plain values; missing ones are left out."""
    head = parsed_json(file.metadata.get(ENTRY, "{}"))
    if not isinstance(head, dict):
        raise ValueError("its metadata are no object")
    return head


def write(file: IO[bytes], values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    file.write(package().numpy.save(arrays, metadata={ENTRY: json.dumps(values)}))
