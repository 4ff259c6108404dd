"""Saved models: the words of a chain with its arrays, in one file that cannot run code.

A model holds `format` (a number), `words` (of the chain), `input_shape` (height, width, channels), `classes` (their
names, or none), `preparation` (what is done to an image, as JSON) and the arrays, `<row>.<name>` with rows from 1. A
`.npz` keeps each as an array, a `.safetensors` the first five as one JSON text in its header.

Files are not trusted: the words are parsed like a user's, and the declared layers determine which arrays must be there,
and their shapes. An array is read only after that check, so a model never takes more memory than its file has bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntool.arrays import ArrayFile, Header, open_arrays, telling
from cnntool.errors import CnntoolError
from cnntool.files import PathLike, atomic
from cnntool.late import np
from cnntool.layers.base import Arrays, Layer
from cnntool.limits import LARGEST_SHAPE_SIDE
from cnntool.network.graph import Graph
from cnntool.steps.geometry import Shape

FORMAT = 1
SUFFIXES = (".npz", ".safetensors")
EXPECTED = "expected a model that `cnntool fit`, `cnntool train` or Pipeline.save wrote"


@dataclass
class Head:
    """What a model holds besides arrays. `preparation` is interpreted by `images` only; here it is plain JSON."""

    words: list[str]
    input_shape: Shape
    classes: list[str] = field(default_factory=list)
    preparation: dict[str, Any] = field(default_factory=dict)


class SavedModel:
    """A model being read: its head first, its arrays once the graph of its words is known."""

    def __init__(self, file: ArrayFile, kind: str) -> None:
        self._file = file
        beside: tuple[str, ...] = ()  # entries beside the arrays
        if kind == ".npz":
            from cnntool.models.npz import HEAD as beside
            from cnntool.models.npz import head_of
        else:
            from cnntool.models.tensors import head_of
        self.head = checked_head(head_of(file))
        self._names = [name for name in file.names() if name not in beside]

    def arrays(self, graph: Graph) -> list[Arrays]:
        """The arrays of each node, with the shapes that its layer declares."""
        shapes = graph.shapes(self.head.input_shape)
        there = {name: self._header(name).shape for name in self._names}
        found: list[Arrays] = [{} for _ in graph.nodes]
        for number in graph.needed():
            layer, inputs = graph.nodes[number]
            for name, shape in expected_arrays(layer, number, shapes[inputs[0]], there).items():
                key = f"{number + 1}.{name}"
                if there[key] != shape:
                    raise CnntoolError(f"`{key}` has the shape {there[key]}, and `{layer.word}` has {shape}")
                found[number][name] = self._file.read(key)
        known = {f"{number + 1}.{name}" for number, arrays in enumerate(found) for name in arrays}
        if strange := sorted(set(there) - known):
            raise CnntoolError(f"`{strange[0]}` belongs to none of its layers")
        return found

    def _header(self, name: str) -> Header:
        header = self._file.header(name)
        if header.kind != "f" or header.itemsize not in (4, 8):
            raise CnntoolError(f"`{name}` holds {header.type_name}")
        return header


def expected_arrays(layer: Layer, number: int, shape: Shape, there: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The arrays of a layer that the file must hold, and optional ones that it holds."""
    wanted = layer.parameter_shapes(shape)
    buffers = layer.buffer_shapes(shape)
    # statistics computed for each image are not stored
    if not layer.statistics or any(f"{number + 1}.{name}" in there for name in buffers):
        wanted = wanted | buffers
    for name in list(wanted):
        if f"{number + 1}.{name}" not in there:
            if name != "bias":  # a missing bias is zero
                raise CnntoolError(f"`{number + 1}.{name}` of the layer `{layer.word}` is missing")
            del wanted[name]
    return wanted


def checked_head(values: dict[str, Any]) -> Head:
    """The head; raises if a value is missing or of the wrong type."""
    version = values.get("format")
    if type(version) is not int:
        raise CnntoolError("it does not say which `format` it has")
    if version != FORMAT:
        raise CnntoolError(f"its format is {version}, and this version of cnntool reads {FORMAT}: make it again")
    for name in ("words", "classes"):
        if not isinstance(values.get(name), list) or not all(isinstance(text, str) for text in values[name]):
            raise CnntoolError(f"its `{name}` are no list of texts")
    shape = values.get("input_shape")
    if not isinstance(shape, list) or len(shape) != 3 or not all(
        type(size) is int and 1 <= size <= LARGEST_SHAPE_SIDE for size in shape
    ):  # fmt: skip
        raise CnntoolError(f"its `input_shape` is {shape!r:.60}, no (height, width, channels)")
    if not isinstance(values.get("preparation"), dict):
        raise CnntoolError("its `preparation` is no object")
    height, width, channels = shape
    return Head(values["words"], (height, width, channels), values["classes"], values["preparation"])


@contextlib.contextmanager
def open_model(path: PathLike) -> Iterator[SavedModel]:
    """Opens a model. Any error in the file, also within the block, becomes a CnntoolError that names it."""
    name, kind = os.fspath(path), suffix_of(path)
    with telling(name, EXPECTED, "damaged, or no model"):
        try:
            with open_arrays(path) as file:
                yield SavedModel(file, kind)
        except CnntoolError as error:
            raise CnntoolError(f"{name}: not a model that can be used: {error}; {EXPECTED}") from None


def save_model(path: PathLike, head: Head, arrays: Sequence[Arrays]) -> None:
    """Writes a model, `arrays` one set a row. Raises CnntoolError.

    Writes atomically: a process killed at any moment leaves the old file or the new one.
    """
    kind = suffix_of(path)
    values = {
        "format": FORMAT, "words": head.words, "input_shape": list(head.input_shape),
        "classes": head.classes, "preparation": head.preparation,
    }  # fmt: skip
    named = {
        f"{row}.{name}": np.ascontiguousarray(array)
        for row, found in enumerate(arrays, 1)
        for name, array in found.items()
    }
    if kind == ".npz":
        from cnntool.models.npz import write
    else:
        from cnntool.models.tensors import write
    with atomic(path, synchronise=True) as file:
        write(file, values, named)


def layers_of_rows(layers: Sequence[Layer], rows: int) -> list[Layer]:
    """The layers up to that row, not counting `mark` and `from`."""
    from cnntool.layers.branches import From, Mark

    indices = [index for index, layer in enumerate(layers) if not isinstance(layer, Mark | From)]
    return list(layers[: indices[rows - 1] + 1]) if rows else []


def words_without_files(layers: Sequence[Layer]) -> list[str]:
    """The words for a model, which holds the arrays of files that layers name."""
    return [word for layer in layers for word in layer.without_files().words()]


def suffix_of(path: PathLike) -> str:
    """`.npz` or `.safetensors`; a CnntoolError for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise CnntoolError(f"{os.fspath(path)}: a model's name ends in {' or '.join(SUFFIXES)}")
    return suffix
