"""The memory of a training step, counted as PyTorch allocates it: without in-place operations, in float32.

Counted are parameters, their gradients, the state of the optimiser and what its step takes besides; the images; the
activations that gradients are computed from, with indices and masks; gradients of activations while they are needed.
Convolutions work on copies of their volumes in blocks of channels, with AVX-512 of 16: they are the workspace, as are
temporary arrays of the optimiser. Not counted is memory that is free but kept.

A step is followed allocation by allocation, forward and backward, since its peak lies where both meet: an activation
goes when the last layer that keeps it has had its gradient, while gradients of parameters stay.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.network.graph import INPUT, Graph
from cnntool.steps.geometry import Shape

# oneDNN, which computes PyTorch's convolutions, works on copies in blocks of so many channels, unless it finds colours.
BLOCK, COLOURS = 16, 4
PARTS = ("parameters", "gradients", "optimiser", "images", "activations", "activation gradients", "workspace")


class Memory:
    """What is allocated now, by part, and as it was when it was most."""

    def __init__(self) -> None:
        self.now = dict.fromkeys(PARTS, 0)
        self.peak, self.at = dict(self.now), ""

    def add(self, part: str, size: int, place: str = "") -> None:
        """Allocates, or with a negative size frees; `place` is told if this makes the peak."""
        self.now[part] += size
        if sum(self.now.values()) > sum(self.peak.values()):
            self.peak, self.at = dict(self.now), place


class Volume:
    """Memory that is freed when nothing holds it any more; whoever makes it holds it."""

    def __init__(self, memory: Memory, part: str, size: int, place: str) -> None:
        self.memory, self.part, self.size, self.holders = memory, part, size, 1
        memory.add(part, size, place)

    def hold(self) -> Volume:
        """One more holds it."""
        self.holders += 1
        return self

    def release(self) -> None:
        """One that held it does so no longer."""
        self.holders -= 1
        if not self.holders:
            self.memory.add(self.part, -self.size)


def release(volumes: list[Volume]) -> None:
    for volume in volumes:
        volume.release()


class Step:
    """One training step of a graph, followed from allocation to allocation."""

    def __init__(self, graph: Graph, input_shape: Shape, batch: int, arrays_of_optimiser: tuple[int, int]) -> None:
        self.graph, self.batch = graph, batch
        self.shapes = graph.shapes(input_shape)
        self.order = graph.needed()
        if self.order and graph.nodes[self.order[-1]].layer.gives_probabilities:
            self.order.pop()  # it is a part of the loss
        arrays = {n: [4 * math.prod(shape) for shape in self._layer(n).parameter_shapes(self._given(n)).values()]
                  for n in self.order}  # fmt: skip
        self.parameters = {number: sum(sizes) for number, sizes in arrays.items()}
        self.learns = {INPUT: False}  # whether it has a gradient
        for number in self.order:
            before = any(self.learns[source] for source in graph.nodes[number].inputs)
            self.learns[number] = bool(self.parameters[number]) or before
        if not any(self.parameters.values()):
            raise CnntoolError(
                "--train: nothing can be trained: expected conv, fc, batchnorm or prelu among the layers"
            )
        self.copies, besides = arrays_of_optimiser
        weights = sum(self.parameters.values())
        self.memory = Memory()
        self.memory.add("parameters", weights)
        self.memory.add("optimiser", self.copies * weights)
        self.images = Volume(self.memory, "images", self._size(INPUT), "the images")
        self.volumes = {INPUT: self.images}
        self.saved: dict[int, list[Volume]] = {}
        self.kept = dict.fromkeys(self.order, 0)  # bytes of each row that stay for gradients
        self._forward()
        self._backward()
        self.memory.add("workspace", besides * max(itertools.chain(*arrays.values())), "the optimiser's step")

    def _layer(self, number: int) -> Layer:
        return self.graph.nodes[number].layer

    def _given(self, number: int) -> Shape:
        return self.shapes[self.graph.nodes[number].inputs[0]]

    def _size(self, number: int) -> int:
        """Bytes of a node's output for the whole batch."""
        return 4 * self.batch * math.prod(self.shapes[number])

    def _place(self, number: int, way: str) -> str:
        return f"{self._layer(number).word} (row {number + 1}), {way}"

    def _forward(self) -> None:
        uses = Counter(source for number in self.order for source in self.graph.nodes[number].inputs)
        uses[self.order[-1]] += 1  # by the loss
        for _ in range(uses[INPUT]):
            self.images.hold()  # whoever gives the images keeps them
        made_by: dict[int, int] = {}
        for number in self.order:
            layer, inputs = self.graph.nodes[number]
            place = self._place(number, "forward")
            given = [self.volumes[source] for source in inputs]
            copies = self._copies(number, place)
            if layer.reshapes:
                output = given[0].hold()
            else:
                output = Volume(self.memory, "activations", self._size(number), place)
                made_by[id(output)] = number
            release(copies)
            self.volumes[number] = output
            for _ in range(uses[number] - 1):
                output.hold()
            self.saved[number] = []
            if self.learns[number]:
                kept = [*(given if "input" in layer.kept else []), *([output] if "output" in layer.kept else [])]
                self.saved[number] = [volume.hold() for volume in kept]
                besides = self.batch * layer.kept_bytes(self._given(number))
                self.saved[number].append(Volume(self.memory, "activations", besides, place))
                self.kept[number] += besides
            release(given)
        stay = {id(volume): volume for volumes in self.saved.values() for volume in volumes}
        for name, volume in stay.items():
            if name in made_by:
                self.kept[made_by[name]] += volume.size

    def _backward(self) -> None:
        last = self.order[-1]
        probabilities = Volume(self.memory, "workspace", self._size(last), "the loss")
        self.volumes[last].release()
        slopes = {last: self._slope(last, "the loss, backward")}
        probabilities.release()
        for number in reversed(self.order):
            if number in slopes:
                own, place = slopes.pop(number), self._place(number, "backward")
                for source in self.graph.nodes[number].inputs:
                    if self.learns[source]:
                        passes = self._layer(number).passes_gradient
                        new = own.hold() if passes else self._slope(source, place)
                        slopes[source] = self._sum(slopes[source], new, place) if source in slopes else new
                volumes, weights = self._copies(number, place), self._copy_of_weights(number, place)
                release(volumes)
                self.memory.add("gradients", self.parameters[number], place)
                release(weights)
                own.release()
            release(self.saved[number])

    def _copies(self, number: int, place: str) -> list[Volume]:
        """The input and the output of a convolution in blocks of channels."""
        if self._layer(number).cost_kind != "convolution":
            return []
        found = []
        for height, width, channels in (self._given(number), self.shapes[number]):
            if channels > COLOURS:
                size = 4 * self.batch * height * width * -(-channels // BLOCK) * BLOCK
                found.append(Volume(self.memory, "workspace", size, place))
        return found

    def _copy_of_weights(self, number: int, place: str) -> list[Volume]:
        if self._layer(number).cost_kind != "convolution":
            return []
        return [Volume(self.memory, "workspace", self.parameters[number], place)]

    def _slope(self, number: int, place: str) -> Volume:
        """The gradient of a node's output."""
        return Volume(self.memory, "activation gradients", self._size(number), place)

    def _sum(self, old: Volume, new: Volume, place: str) -> Volume:
        """The sum of two gradients of one volume: in the memory of the first, unless another holds that as well."""
        joined = old if old.holders == 1 else Volume(self.memory, "activation gradients", new.size, place)
        if joined is not old:
            old.release()
        new.release()
        return joined


def training_memory(
    graph: Graph, input_shape: Shape, batch: int, optimizer: str, arrays_of_optimiser: tuple[int, int]
) -> dict[str, Any]:
    """The memory of a training step over `batch` images, in bytes. The last two are an optimiser's name and `arrays`.

    `peak_bytes` and `at`, where it is reached; `peak`, what it consists of by PARTS; and `layers`, `weight_bytes` of
    each row (parameters, their gradients and state) and `kept_bytes` (activations that gradients need).
    """
    step = Step(graph, input_shape, batch, arrays_of_optimiser)
    memory = step.memory
    return {
        "batch": batch,
        "optimizer": optimizer,
        "peak_bytes": sum(memory.peak.values()),
        "at": memory.at,
        "peak": memory.peak,
        "layers": [
            {
                "row": number + 1,
                "layer": graph.nodes[number].layer.word,
                "weight_bytes": (2 + step.copies) * step.parameters[number],
                "kept_bytes": step.kept[number],
            }
            for number in step.order
        ],
    }
