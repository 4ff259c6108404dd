"""From a network and an input: what the kernels make of it layer by layer, and how one output of each comes about."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnntool.engine.plan import Plan
from cnntool.engine.threads import available_threads, parallel
from cnntool.errors import CnntoolError
from cnntool.explaining import matrices, points, windows
from cnntool.explaining.data import Account, Explanation, Place, Step, Unit
from cnntool.explaining.functions import FUNCTIONS
from cnntool.explaining.seen import seen_of
from cnntool.layers.base import Arrays, Layer
from cnntool.layers.whole_images import run_steps
from cnntool.limits import check_memory
from cnntool.network.graph import INPUT, Graph, Node, named
from cnntool.network.parameters import Parameters, check_parameters
from cnntool.pipeline import Pipeline
from cnntool.steps.geometry import Shape
from cnntool.steps.training import Training

EXPLAINED: dict[str, Callable[[Unit], Account]] = {
    "conv": windows.convolution, "bank": windows.bank, "maxpool": windows.pool, "avgpool": windows.pool,
    "l2pool": windows.pool, "globalpool": windows.global_pool, "gridpool": windows.grid_pool,
    **dict.fromkeys(FUNCTIONS, points.activation), "triangle": points.triangle,
    "batchnorm": points.batch_normalisation, "lrn": points.response_normalisation, "dropout": points.dropout,
    "softmax": points.softmax, "flatten": points.flatten, "add": points.addition, "concat": points.concatenation,
    "gram": points.gram, "center": matrices.from_data, "standardize": matrices.from_data,
    "whiten": matrices.from_data, "decorrelate": matrices.from_data, "fc": matrices.full_connection,
}  # fmt: skip


class Computed(NamedTuple):
    """A network with the arrays of its layers and the volumes between them, as the kernels compute them."""

    pipeline: Pipeline
    volumes: dict[int, np.ndarray]  # of each needed node, and of the input
    arrays: dict[int, Arrays]
    shapes: dict[int, Shape]

    @property
    def nodes(self) -> list[int]:
        return self.pipeline.graph.needed()

    def unit(self, number: int, at: Place) -> Unit:
        """One output of a node."""
        layer, inputs = self.pipeline.graph.nodes[number]
        return Unit(layer, self.arrays[number], [self.volumes[i] for i in inputs], self.volumes[number], at)


def compute(pipeline: Pipeline, volume: np.ndarray) -> Computed:
    """Each layer by itself, so that its volume is that of its kernels on the volume before it."""
    pipeline.require_fitted()
    graph, shape = pipeline.graph, (volume.shape[0], volume.shape[1], volume.shape[2])
    shapes = graph.shapes(shape)
    check_parameters(graph, shapes)
    check_memory(2 * sum(map(math.prod, shapes.values())), "the volumes of all layers")
    volumes, arrays = {INPUT: volume}, {}
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        arrays[number] = pipeline.parameters.of(number, shapes[inputs[0]])
        with named(layer, number):
            volumes[number] = computed_alone(layer, arrays[number], [volumes[i] for i in inputs])
    return Computed(pipeline, volumes, arrays, shapes)


def computed_alone(layer: Layer, arrays: Arrays, inputs: list[np.ndarray]) -> np.ndarray:
    """The layer's output by its kernels, as a network of this one layer."""
    threads = available_threads()
    if len(inputs) > 1:
        training = Training(lambda function, items: parallel(threads, function, items))
        steps = layer.steps([(x.shape[0], x.shape[1], x.shape[2]) for x in inputs], arrays)
        return run_steps(steps, [x[None] for x in inputs], training)[0].copy()
    (x,) = inputs
    graph = Graph([Node(layer, (INPUT,))], {}, 0)
    plan = Plan(graph, Parameters(graph, 0, [arrays]), (x.shape[0], x.shape[1], x.shape[2]))
    return plan.run(np.ascontiguousarray(x)[None], threads)[0]


def explain(computed: Computed, at: Place | None = None) -> list[Explanation]:
    """For each layer in order one output: of the last the one at `at`, of those before what counted most in it."""
    graph = computed.pipeline.graph
    places = {graph.output: place_of(computed, at)}
    found = []
    for number in reversed(computed.nodes):
        layer, inputs = graph.nodes[number]
        unit = computed.unit(number, places[number])
        with named(layer, number):
            account = account_of(unit)
        for source, place in zip(inputs, account.sources, strict=False):
            places.setdefault(source, place)
        for source in inputs:  # of which nothing is known
            places.setdefault(source, middle(computed.shapes[source]))
        found.append(Explanation(
            number + 1, shlex.join(layer.words()), layer.word, [computed.shapes[i] for i in inputs],
            computed.shapes[number], unit.at, account, float(unit.output[unit.at]),
            seen_of(graph, computed.shapes, number, unit.at).bounds,
        ))  # fmt: skip
    return found[::-1]


def account_of(unit: Unit) -> Account:
    """How the unit's number comes about; of a layer that is not explained, only what it is."""
    with np.errstate(all="ignore"):  # infinities come through as they are
        account = EXPLAINED.get(unit.layer.word, unknown)(unit)
    return account


def unknown(unit: Unit) -> Account:
    value = float(unit.output[unit.at])
    return Account(value, abs(value), [], [Step("layer.unknown", {"word": unit.layer.word})])


def middle(shape: Shape) -> Place:
    return shape[0] // 2, shape[1] // 2, 0


def place_of(computed: Computed, at: Place | None) -> Place:
    """`at` of the last layer's output, checked; the middle of its first map when not given."""
    shape = computed.shapes[computed.pipeline.graph.output]
    if at is None:
        return middle(shape)
    for name, place, size in zip(("row", "column", "channel"), at, shape, strict=True):
        if place >= size:
            last = computed.pipeline.graph.nodes[computed.pipeline.graph.output].layer.word
            raise CnntoolError(
                f"--at {','.join(map(str, at))}: the output of {last} is {'x'.join(map(str, shape))}: "
                f"expected a {name} of 0 to {size - 1}"
            )
    return at


__all__ = ["EXPLAINED", "Computed", "Layer", "compute", "explain"]
