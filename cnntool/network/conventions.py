"""The cost of a layer as other tools count it. Ours: multiply-adds of convolutions and full connections, no biases.

Each rule gives the number that the tool prints for one image, whatever it calls it. Beside each stands the total that
the tool printed for ResNet-50 at 224x224: torch's FlopCounterMode, torchinfo 1.8.0, fvcore 0.1.5, ptflops 0.7.5, thop
0.1.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cnntool.layers.base import Layer
from cnntool.steps.geometry import Shape

Cost = Callable[[Layer, Shape, Shape], int]


class Convention(NamedTuple):
    """How a tool counts a layer of an input and an output shape, and its total for ResNet-50."""

    cost: Cost
    resnet50: int


def torch(layer: Layer, shape: Shape, output: Shape) -> int:
    """FlopCounterMode: a multiply-add is two operations."""
    return 2 * layer.macs(shape)


def torchinfo(layer: Layer, shape: Shape, output: Shape) -> int:
    """From parameter shapes, bias included: times the positions for a convolution, once for all else."""
    parameters = sum(map(math.prod, layer.parameter_shapes(shape).values()))
    return parameters * (output[0] * output[1] if layer.cost_kind == "convolution" else 1)


def fvcore(layer: Layer, shape: Shape, output: Shape) -> int:
    """Two a value for batch normalisation, one an input value for global average pooling."""
    if layer.cost_kind == "batch normalisation":
        return 2 * math.prod(shape)
    return math.prod(shape) if is_global_average(layer) else layer.macs(shape)


def ptflops(layer: Layer, shape: Shape, output: Shape) -> int:
    """Biases, two a value for batch normalisation; rectifiers and pools by input value, and those twice."""
    if layer.cost_kind in ("batch normalisation", "rectifier", "pool", "global pool"):
        return 2 * math.prod(shape)
    biased = "bias" in layer.parameter_shapes(shape)
    return layer.macs(shape) + (math.prod(output) if biased else 0)


def thop(layer: Layer, shape: Shape, output: Shape) -> int:
    """Four a value for batch normalisation, the window's size and one an output for global average pooling."""
    if layer.cost_kind == "batch normalisation":
        return 4 * math.prod(shape)
    return (shape[0] * shape[1] + 1) * math.prod(output) if is_global_average(layer) else layer.macs(shape)


def is_global_average(layer: Layer) -> bool:
    return layer.cost_kind == "global pool" and layer.options()["how"] == "avg"


CONVENTIONS = {
    "cnntool": Convention(lambda layer, shape, output: layer.macs(shape), 4_089_184_256),
    "torch": Convention(torch, 2 * 4_089_184_256),
    "torchinfo": Convention(torchinfo, 4_089_238_376),
    "fvcore": Convention(fvcore, 4_111_512_576),
    "ptflops": Convention(ptflops, 4_132_436_968),
    "thop": Convention(thop, 4_133_742_592),
}
