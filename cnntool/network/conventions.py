"""The cost of a layer as other tools count it. Ours: multiply-adds of convolutions and full connections, no biases.

Each function gives the number that the tool prints for one image, whatever its name. Checked on ResNet-50 at 224x224:
torch's FlopCounterMode, torchinfo 1.8.0, fvcore 0.1.5, ptflops 0.7.5, thop 0.1.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from cnntool.layers.base import Layer
from cnntool.steps.geometry import Shape

Cost = Callable[[Layer, Shape, Shape], int]

RECTIFIERS = {"relu", "leaky-relu", "prelu", "elu", "gelu"}
POOLS = {"maxpool", "avgpool", "globalpool"}


def cnntool(layer: Layer, shape: Shape, output: Shape) -> int:
    return layer.macs(shape)


def torch(layer: Layer, shape: Shape, output: Shape) -> int:
    """FlopCounterMode: a multiply-add is two operations."""
    return 2 * layer.macs(shape)


def torchinfo(layer: Layer, shape: Shape, output: Shape) -> int:
    """From parameter shapes, bias included: times the positions for a convolution, once for all else."""
    parameters = sum(map(math.prod, layer.parameter_shapes(shape).values()))
    return parameters * (output[0] * output[1] if layer.word == "conv" else 1)


def fvcore(layer: Layer, shape: Shape, output: Shape) -> int:
    """Two a value for batch normalisation, one an input value for global average pooling."""
    if layer.word == "batchnorm":
        return 2 * math.prod(shape)
    if layer.word == "globalpool" and layer.options()["how"] == "avg":
        return math.prod(shape)
    return layer.macs(shape)


def ptflops(layer: Layer, shape: Shape, output: Shape) -> int:
    """Biases, two a value for batch normalisation; rectifiers and pools by input value, and those twice."""
    if layer.word == "batchnorm":
        return 2 * math.prod(shape)
    if layer.word in RECTIFIERS | POOLS:
        return 2 * math.prod(shape)
    biased = "bias" in layer.parameter_shapes(shape)
    return layer.macs(shape) + (math.prod(output) if biased else 0)


def thop(layer: Layer, shape: Shape, output: Shape) -> int:
    """Four a value for batch normalisation, the window's size and one an output for global average pooling."""
    if layer.word == "batchnorm":
        return 4 * math.prod(shape)
    if layer.word == "globalpool" and layer.options()["how"] == "avg":
        return (shape[0] * shape[1] + 1) * math.prod(output)
    return layer.macs(shape)


CONVENTIONS: dict[str, Cost] = {rule.__name__: rule for rule in (cnntool, torch, torchinfo, fvcore, ptflops, thop)}
