"""Unsupervised learning, layer by layer: each layer learns from the output of the fitted layers before it.

Each layer that learns takes one pass over the data. An image contributes moments of its channels or a few patches,
which are merged in the order of the images, so the result depends on data and seed, not on threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from cnntool.banks.learned import Learned
from cnntool.engine.plans import PlanCache
from cnntool.errors import BadInput, CnntoolError
from cnntool.layers.bank import Bank
from cnntool.layers.base import Arrays, Layer
from cnntool.learning.filters import learn_bank, rounds
from cnntool.learning.patches import Sample, sample_size, sampled, share
from cnntool.learning.statistics import StreamedMoments, piece_of
from cnntool.network.graph import INPUT, Graph, named
from cnntool.network.parameters import Parameters
from cnntool.steps.blas import one_blas_thread
from cnntool.steps.geometry import Shape


class Prefix:
    """The layers before the one that learns, for inputs of any shape. Thread-safe."""

    def __init__(self, graph: Graph, arrays: list[Arrays]) -> None:
        self._is_empty = graph.output == INPUT
        self._plans = PlanCache(graph, Parameters(graph, 0, arrays))

    def run(self, volume: np.ndarray, threads: int | None = 1) -> np.ndarray:
        """H x W x C in and out."""
        if self._is_empty:
            return volume
        height, width, channels = volume.shape
        plan = self._plans.plan((height, width, channels))
        return plan.run(np.ascontiguousarray(volume[None], np.float32), threads or 1)[0]


class Data(Protocol):
    """Images that can be iterated over many times."""

    def __len__(self) -> int: ...

    def for_each(
        self, prefix: Prefix, look: Callable[[int, np.ndarray], Any], add: Callable[[Any], None], doing: str
    ) -> None:
        """Calls `add(look(number, prefix.run(volume)))` for all images: `add` in order, `look` in several threads."""

    def rounds(self, total: int, doing: str) -> Any:
        """A context manager; its value is a function to call after each of `total` rounds of work."""


class Job(NamedTuple):
    """A layer that learns, with the shape of its input."""

    layer: Layer
    number: int
    shape: Shape

    @property
    def name(self) -> str:
        return f"{' '.join(self.layer.words()[:4])} (layer {self.number + 1})"


def jobs(graph: Graph, input_shape: Shape) -> list[Job]:
    """The layers that learn, in order."""
    shapes = graph.shapes(input_shape)
    found = [Job(graph.nodes[n].layer, n, shapes[graph.nodes[n].inputs[0]]) for n in graph.needed()]
    return [
        job for job in found if job.layer.needs_data or (job.layer.statistics and job.layer.buffer_shapes(job.shape))
    ]


def fit(graph: Graph, parameters: Parameters, input_shape: Shape, data: Data, threads: int) -> list[Arrays]:
    """The arrays of all layers: learned where they come from data, else those of `parameters`."""
    learning = {job.number: job for job in jobs(graph, input_shape)}
    shapes = graph.shapes(input_shape)
    arrays: list[Arrays] = [{} for _ in graph.nodes]
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        if not layer.needs_data:
            arrays[number] = dict(parameters.of(number, shapes[inputs[0]]))
        if number in learning:
            prefix = Prefix(Graph(graph.nodes, graph.marks, inputs[0]), arrays)
            with named(layer, number), one_blas_thread():
                arrays[number] |= learned(learning[number], prefix, data, parameters.seed, threads)
    return arrays


def learned(job: Job, prefix: Prefix, data: Data, seed: int, threads: int) -> Arrays:
    """What one layer learns from the data."""
    layer = job.layer
    if layer.statistics:
        moments = StreamedMoments()
        data.for_each(prefix, lambda number, volume: piece_of(volume, layer.statistics), moments.add, job.name)
        return layer.learn(moments)  # type: ignore[attr-defined]
    if not isinstance(layer, Bank) or not isinstance(layer.bank, Learned):
        raise CnntoolError(layer.needs_data)
    bank, channels = layer.bank, job.shape[2]
    total = sample_size(bank.patches, bank.patch_length(channels))
    sample = Sample()

    def look(number: int, volume: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([seed, job.number, number])
        return sampled(volume, bank.size, share(number, len(data), total), rng)

    data.for_each(prefix, look, sample.add, job.name)
    with data.rounds(rounds(bank), job.name) as advance:
        rng = np.random.default_rng([seed, job.number])
        return learn_bank(bank, sample.taken(), channels, rng, threads, advance)


class Volumes:
    """`Data` from arrays in memory."""

    def __init__(self, volumes: Sequence[np.ndarray], threads: int) -> None:
        self._volumes, self._threads = volumes, threads

    def __len__(self) -> int:
        return len(self._volumes)

    def __iter__(self) -> Iterator[np.ndarray]:
        for index, volume in enumerate(self._volumes):
            array = np.asarray(volume)
            array = array[:, :, None] if array.ndim == 2 else array
            if array.ndim != 3 or array.dtype.kind not in "fiub" or not array.size:
                raise BadInput(f"volume {index}: expected real numbers H x W x C, got {array.dtype} of {array.shape}")
            yield np.ascontiguousarray(array, np.float32)

    def for_each(
        self, prefix: Prefix, look: Callable[[int, np.ndarray], Any], add: Callable[[Any], None], doing: str
    ) -> None:
        for number, volume in enumerate(self):
            try:
                add(look(number, prefix.run(volume, self._threads)))
            except CnntoolError:
                raise
            except ValueError as error:
                raise BadInput(f"volume {number}: {error}") from None

    def rounds(self, total: int, doing: str) -> Any:
        import contextlib

        return contextlib.nullcontext(lambda: None)
