"""The names of a table's columns: by the filters of a bank, and by the position where there are several."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

from cnntool.batches.identity import Identity
from cnntool.images.origins import About
from cnntool.layers.base import by_position
from cnntool.network.maps import maps_of
from cnntool.pipeline import Pipeline
from cnntool.steps.geometry import Shape

MOST_NAMES = 2**16  # of longer rows the columns are numbers, as the head would be longer than many a table


def about_of(identity: Identity, pipeline: Pipeline, shape: tuple[int, ...] | None) -> About:
    """What a table tells of itself, of inputs of a shape (that of the first one)."""
    return About(identity.text, column_names(pipeline, shape) if shape is not None else [])  # type: ignore[arg-type]


def column_names(pipeline: Pipeline, shape: Shape) -> list[str]:
    """A name for each number of the flattened output; none where no bank names its channels.

    `gabor_0_45deg`, and `gabor_0_45deg_y1_x0` where the output has more than one position.
    """
    output = pipeline.graph.shapes(shape)[pipeline.graph.output]
    if math.prod(output) > MOST_NAMES:
        return []
    maps = maps_of(pipeline.graph, shape)
    return distinct(map(plain, by_position(maps.names, output))) if maps.named else []


def plain(name: str) -> str:
    """The name with nothing that needs quotes in most languages but points."""
    return re.sub(r"[^0-9A-Za-z.+-]+", "_", name).strip("_") or "map"


def distinct(names: Iterable[str]) -> list[str]:
    """The names, where a later one that was there already gets a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        found.append(next(candidate for candidate in candidates if candidate not in taken))
        taken.add(found[-1])
    return found
