"""A pipeline in the terms that other libraries share: nodes with their windows, and arrays in their orders."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cnntool import Pipeline
from cnntool.kernels.arguments import Window
from cnntool.layers.affine import FromData, Moments, one_after_another
from cnntool.network.graph import INPUT
from cnntool.steps.geometry import Shape
from tests.benchmarks.cases import Case

IDENTITIES = ("dropout",)


class Node(NamedTuple):
    """One operation. Values are numbered as in the pipeline's graph, the network's input is `network.graph.INPUT`.

    arrays: `weight` out x in x height x width of a convolution and out x in of a full connection, whose inputs are in
    the order channels, height, width; `bias`; of a batch norm `gamma`, `beta`, `mean`, `var`.
    """

    number: int
    word: str  # ours; what is fitted to data is a conv or a batchnorm
    inputs: tuple[int, ...]
    window: Window
    arrays: dict[str, np.ndarray]
    options: dict[str, Any]


class Network:
    """A case made ready for all contenders: our pipeline, its nodes, and the input."""

    def __init__(self, case: Case) -> None:
        words, shape = case.words, case.shape
        file = words.removeprefix("-p ")
        self.case = case
        self.pipeline = Pipeline.parse(words) if file == words else Pipeline.read(file)
        self.pipeline.use_algorithm(case.algorithm)
        rng = np.random.default_rng(0)
        self.input = rng.standard_normal(shape, np.float32)
        self.pipeline.set_weights(with_statistics(self.pipeline, shape, rng, self.input))
        self.shapes = self.pipeline.graph.shapes(shape)
        self.output = self.pipeline.graph.output

    @property
    def macs(self) -> int:
        return self.pipeline.shape(self.case.shape)["totals"]["macs"]

    @cached_property
    def nodes(self) -> list[Node]:
        arrays = self.pipeline.weights(self.case.shape)
        graph = self.pipeline.graph
        return [
            node_of(number, graph.nodes[number].layer, graph.nodes[number].inputs, self.shapes, arrays[number])
            for number in graph.needed()
        ]

    @cached_property
    def uses(self) -> dict[int, int]:
        """How often each value is taken."""
        uses = dict.fromkeys(self.shapes, 0)
        for node in self.nodes:
            for source in node.inputs:
                uses[source] += 1
        uses[self.output] += 1
        return uses


def with_statistics(
    pipeline: Pipeline, shape: Shape, rng: np.random.Generator, image: np.ndarray | None = None
) -> list[dict[str, np.ndarray]]:
    """The pipeline's weights, with running statistics for every batch norm as if it had been trained.

    What whitens or standardizes the input is fitted to `image`.
    """
    arrays = [dict(found) for found in pipeline.weights(shape)]
    shapes = pipeline.graph.shapes(shape)
    for number in pipeline.graph.needed():
        found = arrays[number]
        layer, inputs = pipeline.graph.nodes[number]
        if isinstance(layer, FromData) and image is not None:
            assert inputs == (INPUT,), "the input is what such a layer is fitted to here"
            found |= layer.learn(Moments(image[None], one_after_another))
        elif layer.word == "batchnorm":
            channels = shapes[number][2]
            found["running_mean"] = rng.normal(0, 0.1, channels).astype(np.float32)
            found["running_var"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    return arrays


def node_of(
    number: int, layer: Any, inputs: tuple[int, ...], shapes: dict[int, Shape], found: dict[str, np.ndarray]
) -> Node:
    """A layer of ours as a node; a bank of filters is a convolution."""
    word, shape = layer.word, shapes[inputs[0]]
    arrays, options = dict(found), {}
    if word == "bank":
        assert shape[2] == 1, "a bank over several channels averages them first"
        word = "conv"
    if word == "conv":
        arrays["weight"] = np.ascontiguousarray(found["weight"].transpose(3, 2, 0, 1))
        options["groups"] = getattr(layer, "groups", 1)
    elif word == "whiten":
        word, matrix, options["groups"] = "conv", found["matrix"], 1
        weight, bias = matrix.T[:, :, None, None], -found["mean"] @ matrix
        arrays = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
    elif word == "standardize":
        word, options["eps"] = "batchnorm", 0.0
        mean, scale = (found[name].astype(np.float32) for name in ("mean", "scale"))
        arrays = {"gamma": scale, "beta": np.zeros_like(scale), "mean": mean, "var": np.ones_like(scale)}
    elif word == "fc":
        matrix = found["weight"].reshape(*shape, -1)
        arrays["weight"] = np.ascontiguousarray(matrix.transpose(3, 2, 0, 1)).reshape(matrix.shape[-1], -1)
    elif word == "batchnorm":
        arrays["mean"], arrays["var"] = arrays.pop("running_mean"), arrays.pop("running_var")
        options["eps"] = layer.eps
    elif word.endswith("pool"):
        options = {name: getattr(layer, name) for name in ("how", "ceil", "count_padding") if hasattr(layer, name)}
    elif word == "leaky-relu":
        options["slope"] = layer.slope
    return Node(number, word, inputs, layer.window(shape), arrays, options)


def nchw(volume: np.ndarray) -> np.ndarray:
    """H x W x C -> 1 x C x H x W"""
    return np.ascontiguousarray(volume.transpose(2, 0, 1)[None])


def hwc(batch: np.ndarray) -> np.ndarray:
    """1 x C x H x W or 1 x C -> H x W x C"""
    return batch.reshape(*batch.shape, *[1] * (4 - batch.ndim))[0].transpose(1, 2, 0)
