"""A network as an ONNX model, for onnxruntime and OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cnntool.network.graph import INPUT
from tests.benchmarks.graph import IDENTITIES, Network, Node

OPSET = 20
SIMPLE = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "abs": "Abs", "add": "Add"}
GLOBAL_POOLS = {"avg": "GlobalAveragePool", "max": "GlobalMaxPool"}
POOLS = {"maxpool": "MaxPool", "avgpool": "AveragePool", "l2pool": "LpPool"}


def model_of(network: Network) -> bytes:
    """The model with one input `x`, 1 x C x H x W, and one output `y`."""
    nodes: list[Any] = []
    initializers: list[Any] = []
    names = {INPUT: "x"}
    for node in network.nodes:
        if node.word in IDENTITIES:
            names[node.number] = names[node.inputs[0]]
        else:
            names[node.number] = f"v{node.number}"
            add_node(node, [names[source] for source in node.inputs], names[node.number], nodes, initializers)
    nodes.append(helper.make_node("Identity", [names[network.output]], ["y"]))
    height, width, channels = network.case.shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, height, width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "network", [x], [y], initializers)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def add_node(node: Node, inputs: list[str], output: str, nodes: list[Any], initializers: list[Any]) -> None:
    """Adds what computes a node: its arrays to the initializers, its operators to the nodes."""

    def operator(kind: str, sources: list[str], arrays: list[str], result: str, **attributes: Any) -> None:
        for name in arrays:
            array = np.ascontiguousarray(node.arrays[name])
            initializers.append(numpy_helper.from_array(array, f"{name}{node.number}"))
        sources = [*sources, *(f"{name}{node.number}" for name in arrays)]
        nodes.append(helper.make_node(kind, sources, [result], **attributes))

    kernel_size, stride, dilation, pads = node.window
    place = {"kernel_shape": kernel_size, "strides": stride, "pads": pads}
    optional_bias = ["bias"] if "bias" in node.arrays else []
    if node.word == "conv":
        more = {"dilations": dilation, "group": node.options["groups"]}
        operator("Conv", inputs, ["weight", *optional_bias], output, **place, **more)
    elif node.word == "fc":
        flat = f"flat{node.number}"
        operator("Flatten", inputs, [], flat)
        operator("Gemm", [flat], ["weight", *optional_bias], output, transB=1)
    elif node.word == "batchnorm":
        arrays = ["gamma", "beta", "mean", "var"]
        operator("BatchNormalization", inputs, arrays, output, epsilon=node.options["eps"])
    elif node.word in POOLS:
        more = {"ceil_mode": int(node.options["ceil"])} if node.word != "l2pool" else {}
        if node.word == "avgpool":
            more["count_include_pad"] = int(node.options["count_padding"])
        operator(POOLS[node.word], inputs, [], output, **place, **more)
    elif node.word == "globalpool":
        operator(GLOBAL_POOLS[node.options["how"]], inputs, [], output)
    elif node.word == "leaky-relu":
        operator("LeakyRelu", inputs, [], output, alpha=node.options["slope"])
    elif node.word == "prelu":
        node.arrays["alpha"] = node.arrays["alpha"].reshape(-1, 1, 1)
        operator("PRelu", inputs, ["alpha"], output)
    elif node.word == "concat":
        operator("Concat", inputs, [], output, axis=1)
    else:
        operator(SIMPLE[node.word], inputs, [], output)
