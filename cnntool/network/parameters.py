"""The arrays of a network: parameters drawn from a seed or read from files, and buffers that need no data."""

from __future__ import annotations

import math

from cnntool.errors import CnntoolError
from cnntool.late import np
from cnntool.layers.base import Arrays, Layer
from cnntool.limits import LARGEST_BORDERED, check_memory
from cnntool.network.graph import Graph, named
from cnntool.steps.geometry import Shape

MOSTLY_BORDER = 16  # times the volume itself


class Parameters:
    """Gives each node its arrays. The same seed gives the same arrays, whatever the size of the images."""

    def __init__(self, graph: Graph, seed: int, saved: list[Arrays] | None = None) -> None:
        self.graph, self.seed, self.saved = graph, seed, saved
        self._made: dict[tuple, Arrays] = {}

    def of(self, number: int, shape: Shape) -> Arrays:
        """The arrays of a node whose (first) input has this shape."""
        layer = self.graph.nodes[number].layer
        wanted = layer.parameter_shapes(shape) | layer.buffer_shapes(shape)
        key = (number, tuple(wanted.values()))
        if wanted and key not in self._made:
            with named(layer, number):
                self._made[key] = self._make(number, layer, shape, wanted)
        return self._made.get(key, {})

    def _make(self, number: int, layer: Layer, shape: Shape, wanted: dict[str, tuple[int, ...]]) -> Arrays:
        if self.saved is None:
            check_memory(sum(map(math.prod, wanted.values())), "its parameters")
            return layer.initial(shape, np.random.default_rng([self.seed, number]), self._rectified(number))
        arrays = self.saved[number]
        for name, array in arrays.items():
            if array.shape != wanted.get(name):
                raise CnntoolError(
                    f"the model's `{name}` has the shape {array.shape}, expected {wanted.get(name)} for an input of "
                    f"{'x'.join(map(str, shape))}: give images of the size the model was made for"
                )
        return arrays

    def _rectified(self, number: int) -> bool:
        """Whether a ReLU follows this node, skipping layers that only rescale."""
        for later in range(number + 1, len(self.graph.nodes)):
            layer, inputs = self.graph.nodes[later]
            if inputs[0] == number:
                if not layer.transparent:
                    return layer.rectifies
                number = later
        return False


def check_parameters(graph: Graph, shapes: dict[int, Shape]) -> None:
    """Refuses parameters that do not fit into memory before any is drawn; `shapes` from `Graph.shapes`."""
    total = 0
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        arrays = layer.parameter_shapes(shapes[inputs[0]]) | layer.buffer_shapes(shapes[inputs[0]])
        total += sum(map(math.prod, arrays.values()))
        with named(layer, number):
            check_memory(2 * total, "the parameters up to here, as they are and as kernels take them,")


def check_borders(graph: Graph, shapes: dict[int, Shape]) -> None:
    """Refuses padding that makes a large volume of a small one."""
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        height, width, channels = shape = shapes[inputs[0]]
        with named(layer, number):
            top, left, bottom, right = layer.window(shape).padding
            needed = 4 * (height + top + bottom) * (width + left + right) * channels
            if needed > max(LARGEST_BORDERED, MOSTLY_BORDER * 4 * math.prod(shape)):
                raise CnntoolError(
                    f"the border around its input would need {needed / 2**30:.1f} GiB: expected at most "
                    f"{LARGEST_BORDERED / 2**30:.1f} GiB; make the window or the padding smaller"
                )
