"""Typed numbers: the text files of `--values`, and small whole numbers for a shape alone.

A file of values is written as such numbers stand on slides. A line with a name begins an array, and the rows of numbers
below it fill it; `[:,:,2]` behind the name says which channel a matrix is. `#` begins a comment.

    x[:,:,0]        the input, channel by channel (`x` alone if it has one)
    w0[:,:,0]       filter 0 of a layer, channel by channel; w1, w2, ... are the others
    b0              its bias; filters without biases have none
    layer 3         what follows belongs to the layer of row 3; before it, to the first layer with filters
    gamma           any other array by its own name: gamma, beta, running_mean, mean, matrix, alpha
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.layers.base import Arrays
from cnntool.limits import LARGEST_PIPELINE
from cnntool.network.graph import named
from cnntool.pipeline import Pipeline
from cnntool.steps.geometry import Shape

NAME = re.compile(r"([a-z_]+\d*)\s*(?:\[\s*:\s*,\s*:\s*,\s*(\d+)\s*\])?")
EXPECTED = "expected names such as x[:,:,0], w0[:,:,0] or b0, each above its rows of numbers"


class Values(NamedTuple):
    """The arrays of a file by their names: of the input, and of layers by their rows (0: the first with filters)."""

    path: str
    input: np.ndarray | None
    layers: dict[int, dict[str, np.ndarray]]


def read_values(path: str) -> Values:
    """The file's arrays; a CnntoolError names the line that cannot be read."""
    blocks: dict[tuple[int, str], dict[int | None, list[list[float]]]] = {}
    layer, current = 0, None
    for place, line in enumerate(text_of(path).splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        where = f"{path}, line {place}"
        if match := re.fullmatch(r"layer\s+(\d{1,6})", words):
            layer, current = int(match[1]), None
        elif match := NAME.fullmatch(words):
            channel = None if match[2] is None else int(match[2][:9])
            planes = blocks.setdefault((0 if match[1] == "x" else layer, match[1]), {})
            if channel in planes:
                raise CnntoolError(f"{where}: {words} is there already: give each once")
            current = planes[channel] = []
        elif current is None:
            raise CnntoolError(f"{where}: {words[:40]!r} belongs to no array: {EXPECTED}")
        else:
            current.append(numbers_of(words, where))
    arrays: dict[int, dict[str, np.ndarray]] = {}
    for (row, name), planes in blocks.items():
        arrays.setdefault(row, {})[name] = stacked(planes, f"{path}: {name}")
    given = arrays.get(0, {}).pop("x", None)
    if given is None and not any(arrays.values()):
        raise CnntoolError(f"{path}: no numbers: {EXPECTED}")
    return Values(path, None if given is None else given.astype(np.float32), arrays)


def text_of(path: str) -> str:
    """The file's text, not more of it than values can be."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_PIPELINE + 1)
        if len(content) > LARGEST_PIPELINE:
            raise CnntoolError(f"{path}: over 1 MiB of values: give a .npy volume and --weights instead")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise CnntoolError(f"{path}: no such file; expected a text file of values") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CnntoolError(f"{path}: not a file of values that can be read ({error})") from None


def numbers_of(words: str, where: str) -> list[float]:
    """A row of finite numbers, with blanks or commas between them."""
    row = []
    for word in words.replace(",", " ").split():
        try:
            row.append(float(word))
        except ValueError:
            raise CnntoolError(f"{where}: {word[:40]!r} is no number: {EXPECTED}") from None
        if not math.isfinite(row[-1]):
            raise CnntoolError(f"{where}: {word[:40]!r}: expected finite numbers")
    return row


def stacked(planes: dict[int | None, list[list[float]]], what: str) -> np.ndarray:
    """H x W x C of the planes; a single plane without a number may have any rows, of one length."""
    if None in planes and len(planes) > 1:
        raise CnntoolError(f"{what} stands both with and without a channel: expected one of them")
    channels: list[int | None] = [None] if None in planes else list(range(len(planes)))
    if set(channels) != set(planes):
        raise CnntoolError(
            f"{what}: expected the channels 0 to {len(planes) - 1}, got {sorted(c for c in planes if c is not None)}"
        )
    rows = [planes[channel] for channel in channels]
    lengths = {len(line) for plane in rows for line in plane}
    if len(lengths) != 1 or len({len(plane) for plane in rows}) != 1:
        raise CnntoolError(f"{what}: expected rows of one length, and as many for each channel")
    return np.stack([np.array(plane) for plane in rows], axis=2)


def small_numbers(shape: Shape, seed: int) -> np.ndarray:
    """An input of 0, 1 and 2, to be worked out by hand."""
    return np.random.default_rng([seed, 0]).integers(0, 3, shape).astype(np.float32)


def small_arrays(pipeline: Pipeline, shape: Shape) -> list[Arrays]:
    """Filters and weights of -1, 0 and 1, biases of 0 and 1; files that layers name, and other arrays, as they are."""
    arrays = pipeline.weights(shape)
    for number in pipeline.graph.needed():
        node = pipeline.graph.nodes[number]
        if "weight" not in arrays[number] or node.layer.buffer_shapes(shape) or getattr(node.layer, "weights", None):
            continue
        dice = np.random.default_rng([pipeline.seed, number + 1])
        drawn = {"weight": (-1, 2), "bias": (0, 2)}
        arrays[number] = arrays[number] | {
            name: dice.integers(*drawn[name], array.shape).astype(np.float32)
            for name, array in arrays[number].items() if name in drawn
        }  # fmt: skip
    return arrays


def use_values(pipeline: Pipeline, values: Values, shape: Shape) -> None:
    """Gives the pipeline the typed arrays; a CnntoolError for those that do not fit."""
    graph = pipeline.graph
    shapes, arrays = graph.shapes(shape), pipeline.weights(shape)
    for row, typed in values.layers.items():
        if not typed:
            continue
        number = row - 1 if row else next((n for n in graph.needed() if "weight" in arrays[n]), -1)
        if number not in graph.needed():
            where = f"layer {row}: there is no such row" if row else "no layer has filters"
            raise CnntoolError(f"{values.path}: {where} among the {len(graph.nodes)} of the chain")
        layer, inputs = graph.nodes[number]
        before = shapes[inputs[0]]
        wanted = layer.parameter_shapes(before) | layer.buffer_shapes(before)
        with named(layer, number):
            arrays[number] = arrays[number] | fitted(typed, wanted, values.path)
    pipeline.set_weights(arrays)


def fitted(typed: dict[str, np.ndarray], wanted: dict[str, tuple[int, ...]], path: str) -> Arrays:
    """The typed arrays in the shapes that a layer wants."""
    found: Arrays = {}
    filters = {name: array for name, array in typed.items() if re.fullmatch(r"w\d+", name)}
    biases = {name: array for name, array in typed.items() if re.fullmatch(r"b\d+", name)}
    if filters:
        shape = wanted.get("weight")
        count = shape[-1] if shape else 0
        found["weight"] = (
            np.stack([one_filter(filters, k, shape, path) for k in range(count)], axis=-1) if shape else np.zeros(0)
        )
        if "bias" in wanted:
            found["bias"] = np.zeros(count)
    for kind, names in (("filter", filters), ("bias", biases)):
        count = wanted.get("weight" if kind == "filter" else "bias", (0,))[-1]
        for name in names:
            if int(name[1:7]) >= count:
                raise CnntoolError(
                    f"{path}: {name}: the layer has {count or 'no'} such: expected at most {name[0]}{count - 1}"
                )
    if biases:
        found["bias"] = np.array(
            [float(biases[f"b{k}"].ravel()[0]) if f"b{k}" in biases else 0.0 for k in range(wanted["bias"][0])]
        )
    for name, array in typed.items():
        if name in filters or name in biases:
            continue
        if name not in wanted:
            raise CnntoolError(
                f"{path}: {name}: the layer has no such array: expected one of {', '.join(wanted) or 'none'}"
            )
        if array.size != math.prod(wanted[name]):
            raise CnntoolError(
                f"{path}: {name} has {array.size} numbers: expected {' x '.join(map(str, wanted[name]))}"
            )
        found[name] = array.reshape(wanted[name])
    return {name: array.astype(np.float32) for name, array in found.items()}


def one_filter(filters: dict[str, np.ndarray], k: int, shape: tuple[int, ...], path: str) -> np.ndarray:
    """Filter k in the shape of one; of a full connection, all its weights in the order of the volume."""
    text = " x ".join(map(str, shape[:-1]))
    if f"w{k}" not in filters:
        raise CnntoolError(f"{path}: w{k} is missing: expected w0 to w{shape[-1] - 1}, each of {text} numbers")
    own = filters[f"w{k}"]
    if own.shape != shape[:-1] and not (len(shape) == 2 and own.size == shape[0]):
        raise CnntoolError(f"{path}: w{k} has {' x '.join(map(str, own.shape))} numbers: expected {text}")
    return own.reshape(shape[:-1])
