"""A graph of layers in training: forward and backward pass over a batch."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntool.engine.threads import parallel
from cnntool.errors import BadInput, CnntoolError
from cnntool.kernels.code import rehearsal
from cnntool.layers.base import Arrays
from cnntool.learning.losses import Loss, cross_entropy
from cnntool.limits import check_memory
from cnntool.network.graph import INPUT, Graph, named
from cnntool.steps.geometry import Shape
from cnntool.steps.training import Training


class Network:
    """The `arrays` of the nodes change in training: the parameters by an optimiser, the buffers by `step`.

    A final softmax is skipped, since the loss includes it. A ReLU and 2x2 max pooling after batch normalisation are
    fused into it, saving up to three passes over memory in each direction.
    """

    def __init__(
        self, graph: Graph, input_shape: Shape, arrays: Sequence[Arrays], threads: int, seed: int,
        weights: np.ndarray | None = None, *, to_input: bool = False,
    ) -> None:  # fmt: skip
        """`weights`: how much the loss of each class counts. `to_input`: the gradient by the input is wanted, whether
        anything is trained or not."""
        self.graph, self.seed, self.weights = graph, seed, weights
        self.output = scores_of(graph)
        self.shapes = graph.shapes(input_shape)
        self.order = [number for number in graph.needed() if number <= self.output]
        self.arrays = list(arrays)
        self.trained = {
            number: list(graph.nodes[number].layer.parameter_shapes(self.shapes[graph.nodes[number].inputs[0]]))
            for number in self.order
        }
        self.learns = {INPUT: to_input}  # whether a node or one before it is trained, so that it needs gradients
        for number in self.order:
            self.learns[number] = bool(self.trained[number]) or any(map(self.learns.get, graph.nodes[number].inputs))
        if not self.learns[self.output]:
            raise CnntoolError("no layer has anything to train: expected conv, fc, batchnorm or prelu among the layers")
        self.fused = self._fused()
        spread = functools.partial(parallel, threads)
        self.passes = {number: self._pass(number, spread) for number in self.order}

    def _fused(self) -> dict[int, int]:
        """For each ReLU and max pooling fused into batch normalisation, the node of the normalisation."""
        users = [node for number in self.order for node in self.graph.nodes[number].inputs]
        found: dict[int, int] = {}
        for number in self.order:
            layer, (before, *_) = self.graph.nodes[number]
            first = found.get(before, before)
            if first == INPUT or users.count(before) != 1 or not self.graph.nodes[first].layer.takes_next:
                continue
            rectifies = layer.slope_below is not None and before == first
            if rectifies or (layer.halves(self.shapes[before]) and self.shapes[before] == self.shapes[first]):
                found[number] = first
        return found

    def _pass(self, number: int, spread: Any) -> Training:
        needs_input = any(self.learns[i] for i in self.graph.nodes[number].inputs)
        fused = [self.graph.nodes[node].layer for node, first in self.fused.items() if first == number]
        slopes = [layer.slope_below for layer in fused if layer.slope_below is not None]
        return Training(
            spread, needs_input=needs_input, slope=slopes[0] if slopes else 1.0, halved=len(fused) > len(slopes)
        )

    def memory(self, images: int) -> int:
        """Estimates how many floats a step over so many images holds: outputs, gradients, padded inputs."""
        return 2 * images * sum(math.prod(self.shapes[number]) for number in self.order) + images * self._bordered()

    def _bordered(self) -> int:
        """The size of the largest padded input."""
        found = [0]
        for number in self.order:
            layer, inputs = self.graph.nodes[number]
            height, width, channels = self.shapes[inputs[0]]
            top, left, bottom, right = layer.window((height, width, channels)).padding
            found.append((height + top + bottom) * (width + left + right) * channels)
        return max(found)

    def parameters(self) -> Arrays:
        """All trained arrays themselves, as `row.name` with rows from 1."""
        return {
            f"{number + 1}.{name}": self.arrays[number][name]
            for number, names in self.trained.items()
            for name in names
            if name in self.arrays[number]
        }

    def kernels(self, images: int) -> list[str]:
        """The kernels, by `Kernel.file`, that a step over so many images calls, if nothing about them is unusual."""
        arrays = [{name: array.copy() for name, array in node.items()} for node in self.arrays]
        stage = Network(self.graph, self.shapes[INPUT], arrays, 1, self.seed, to_input=self.learns[INPUT])
        with rehearsal() as names, np.errstate(all="ignore"), contextlib.suppress(Exception):
            values, saved = stage.forward(np.zeros((images, *self.shapes[INPUT]), np.float32), 0)
            stage.backward(np.zeros(values[stage.output].shape, np.float32), saved)
        return list(names)

    def step(self, batch: np.ndarray, labels: np.ndarray, step: int) -> tuple[Loss, Arrays]:
        """The loss of a batch N x H x W x C and the gradients of all parameters. `step` seeds what is random.

        If the loss is not finite, a BadInput names the first layer whose output is not.
        """
        check_memory(self.memory(len(batch)), f"a training step over {len(batch)} images")
        values, saved = self.forward(batch, step)
        output = values[self.output]
        loss = cross_entropy(output.reshape(len(batch), -1), labels, self.weights)
        if not math.isfinite(loss.total):
            raise BadInput(self.first_overflow(values))
        return loss, self.backward(loss.d_scores.reshape(output.shape), saved)

    def first_overflow(self, values: dict[int, np.ndarray]) -> str:
        """The first layer whose output is not finite, for a message."""
        for number in (INPUT, *self.order):
            if not np.isfinite(values[number]).all():
                if number == INPUT:
                    return "the images hold values that are not finite"
                return f"the output of {self.graph.nodes[number].layer.word} (layer {number + 1}) is not finite"
        return "the outputs of the last layer are too large"

    def forward(self, batch: np.ndarray, step: int) -> tuple[dict[int, np.ndarray], dict[int, Any]]:
        values, saved = {INPUT: batch}, {}
        for number in self.order:
            layer, inputs = self.graph.nodes[number]
            if number in self.fused:
                values[number] = values[inputs[0]]
                continue
            training = self.passes[number]
            training.step = step
            training.seed = int(np.random.SeedSequence([self.seed, step, number]).generate_state(1)[0])
            with named(layer, number):
                given = [values[i] for i in inputs]
                values[number], saved[number] = layer.train(given, self.arrays[number], training)
        return values, saved

    def backward(self, d_scores: np.ndarray, saved: dict[int, Any]) -> Arrays:
        """The gradients of all parameters, named as they are."""
        return self.gradients(d_scores, saved)[0]

    def gradients(self, d_scores: np.ndarray, saved: dict[int, Any]) -> tuple[Arrays, np.ndarray | None]:
        """The gradients of all parameters, and that of the input if it was asked for and depends on it."""
        d_values = {self.output: d_scores}
        gradients: Arrays = {}
        for number in reversed(self.order):
            if not self.learns[number] or number not in d_values:
                continue
            layer, inputs = self.graph.nodes[number]
            d_output = d_values.pop(number)
            if number in self.fused:
                d_values[inputs[0]] = d_output
                continue
            with named(layer, number):
                d_inputs, d_arrays = layer.gradient(d_output, saved[number], self.arrays[number], self.passes[number])
            gradients |= {f"{number + 1}.{name}": array for name, array in d_arrays.items()}
            for source, d_input in zip(inputs, d_inputs, strict=True):
                if self.learns[source] and d_input is not None:
                    d_values[source] = d_values[source] + d_input if source in d_values else d_input
        return gradients, d_values.get(INPUT)


def scores_of(graph: Graph) -> int:
    """The node that gives the logits: the last one, or the one before a final softmax."""
    if graph.output == INPUT:
        return INPUT
    layer, inputs = graph.nodes[graph.output]
    return inputs[0] if layer.gives_probabilities and inputs[0] != INPUT else graph.output
