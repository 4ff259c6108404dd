"""How time grows with the side of the image, with the number of filters, and with threads."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np

from cnntool import Pipeline
from tests.benchmarks.measure import interleaved

SIDES = (256, 512, 1024, 2048, 4096, 8192)
FILTERS = (8, 16, 32, 64, 128, 256, 512)
HEAD = ("growth", "value", "ms", "ns a pixel and map", "of the least")
FEW = 3  # rounds of calls that take longer than LONG seconds
LONG = 0.5
SHORTEST = 0.1  # seconds of all rounds of a point


class Series(NamedTuple):
    """A pipeline, `{}` in it being the number of filters, against one growing number."""

    name: str
    words: str
    values: tuple[int, ...]
    side: int | None = None  # of the image, where that does not grow
    channels: int = 1
    by_threads: bool = False


SERIES = (
    Series("side, conv 8 3 on gray", "conv 8 3 --padding 1", SIDES),
    Series("side, bank of 8 Gabor 15x15", "bank gabor --scales 1 --size 15", SIDES),
    Series("side, maxpool 2 on gray", "maxpool 2", SIDES),
    Series("side, relu on gray", "relu", SIDES),
    Series("side, conv 8 3 + relu + maxpool 2", "conv 8 3 --padding 1 relu maxpool 2", SIDES),
    Series("filters, conv N 3 on 256x256x1", "conv {} 3 --padding 1", FILTERS, 256),
    Series("filters, conv N 3 on 56x56x64", "conv {} 3 --padding 1", FILTERS, 56, 64),
    Series("filters, bank of N random 15x15 on 256x256", "bank random --count {} --size 15", FILTERS, 256),
    Series("threads, conv 128 3 on 112x112x64", "conv 128 3 --padding 1", (), 112, 64, True),
    Series("threads, bank gabor on 512x512", "bank gabor", (), 512, 1, True),
    Series("threads, relu on 1024x1024x16", "relu", (), 1024, 16, True),
)


def measure_all(only: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each point of the series whose names match."""
    return [
        point
        for series in SERIES
        if re.search(only, f"growth: {series.name}")
        for point in measure(series, threads, rounds)
    ]


def measure(series: Series, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Each point by itself: the largest volumes would not be in memory together. Threads grow from 1 to `threads`."""
    points = []
    for value in range(1, threads + 1) if series.by_threads else series.values:
        side = series.side or value
        pipeline = Pipeline.parse(series.words.format(value))
        volume = np.random.default_rng(0).standard_normal((side, side, series.channels), np.float32)
        used = value if series.by_threads else threads
        maps = pipeline.shape(volume.shape)["layers"][-1]["output_shape"][2]
        seconds = median(pipeline, volume, used, rounds)
        points.append(
            {"series": series.name, "value": value, "ms": 1e3 * seconds, "ns": 1e9 * seconds / side**2 / maps}
        )
    return points


def median(pipeline: Pipeline, volume: np.ndarray, threads: int, rounds: int) -> float:
    def call() -> object:
        return pipeline.run(volume, threads)

    first = interleaved({"ours": call}, 1)["ours"]
    enough = min(rounds, FEW) if first > LONG else max(rounds, int(SHORTEST / first))
    return interleaved({"ours": call}, enough)["ours"]


def rows(points: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The lines of the table; the last column is 1 where the cost of a pixel is the least of its series."""
    least = {point["series"]: math.inf for point in points}
    for point in points:
        least[point["series"]] = min(least[point["series"]], point["ns"])
    return [
        (
            point["series"],
            str(point["value"]),
            f"{point['ms']:.3g}",
            f"{point['ns']:.3g}",
            f"{point['ns'] / least[point['series']]:.2f}",
        )
        for point in points
    ]
