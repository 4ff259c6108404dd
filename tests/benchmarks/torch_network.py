"""A network as torch's functions, in any type and layout. In float64 it is the reference of all errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from cnntool.network.graph import INPUT
from tests.benchmarks.graph import IDENTITIES, Network, Node, hwc, nchw

GLOBAL_POOLS = {"avg": F.adaptive_avg_pool2d, "max": F.adaptive_max_pool2d}


def prepare(network: Network, layout: torch.memory_format, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """A call that runs the network on its input, which is prepared here in the layout and type."""
    x = torch.from_numpy(nchw(network.input)).to(dtype).contiguous(memory_format=layout)
    steps = []
    left = dict(network.uses)
    for node in network.nodes:
        own = node.inputs[0] != INPUT and network.uses[node.inputs[0]] == 1
        for source in node.inputs:
            left[source] -= 1
        done = [source for source in set(node.inputs) if not left[source]]
        steps.append((node.number, function_of(node, layout, dtype, own), node.inputs, done))

    def call() -> torch.Tensor:
        values = {INPUT: x}
        with torch.inference_mode():
            for number, function, inputs, done in steps:
                values[number] = function(*(values[source] for source in inputs))
                for source in done:
                    del values[source]
        return values[network.output]

    return call


def volume(output: torch.Tensor) -> np.ndarray:
    return hwc(output.numpy())


def function_of(node: Node, layout: torch.memory_format, dtype: torch.dtype, own: bool) -> Callable:
    """The node's function. `own`: nobody else looks at its input, so that ReLU may work in place, as is usual."""
    arrays = {name: torch.from_numpy(np.ascontiguousarray(array)).to(dtype) for name, array in node.arrays.items()}
    kernel_size, stride, dilation, (top, left, bottom, right) = node.window
    padding = (top, left)
    if padding != (bottom, right):  # a layer of its own in torch
        value = -math.inf if node.word == "maxpool" else 0.0
        even = node._replace(window=node.window._replace(padding=(0, 0, 0, 0)))
        function = function_of(even, layout, dtype, own)
        return lambda x: function(F.pad(x, (left, right, top, bottom), value=value))
    if node.word in IDENTITIES:
        return lambda x: x
    if node.word == "conv":
        weight, bias, groups = arrays["weight"].contiguous(memory_format=layout), arrays.get("bias"), node.options
        return lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, groups["groups"])
    if node.word == "fc":
        weight, bias = arrays["weight"], arrays.get("bias")
        return lambda x: F.linear(x.flatten(1), weight, bias)
    if node.word == "batchnorm":
        statistics = [arrays[name] for name in ("mean", "var", "gamma", "beta")]
        return lambda x: F.batch_norm(x, *statistics, False, 0.0, node.options["eps"])
    return {
        "relu": F.relu_ if own else F.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "abs": torch.abs,
        "leaky-relu": lambda x: F.leaky_relu(x, node.options["slope"]),
        "prelu": lambda x: F.prelu(x, arrays["alpha"].flatten()),
        "maxpool": lambda x: F.max_pool2d(x, kernel_size, stride, padding, dilation, node.options["ceil"]),
        "avgpool": lambda x: F.avg_pool2d(
            x, kernel_size, stride, padding, node.options["ceil"], node.options["count_padding"]
        ),
        "l2pool": lambda x: F.lp_pool2d(x, 2.0, kernel_size, stride, node.options["ceil"]),
        "globalpool": lambda x: GLOBAL_POOLS[node.options["how"]](x, 1),
        "add": torch.add,
        "concat": lambda x, y: torch.cat((x, y), 1),
    }[node.word]
