"""ONNX's reference evaluator behind the signatures of the naive twins: volumes H x W x C, float64.

`registry.refusal` tells its limits. It skips NaN in pools, so it is no oracle for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSET = 20


def run(operator: str, *inputs: np.ndarray, **attributes: Any) -> np.ndarray:
    """The first output of one node."""
    names = [f"i{position}" for position in range(len(inputs))]
    arrays = [np.asarray(array) for array in inputs]
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arrays, strict=True)
    ]
    result = helper.make_tensor_value_info("o", TensorProto.DOUBLE, None)
    graph = helper.make_graph([helper.make_node(operator, names, ["o"], **attributes)], "one_node", declared, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    return ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))[0]


def batch(x: np.ndarray) -> np.ndarray:
    """H x W x C -> 1 x C x H x W"""
    return np.asarray(x, dtype=np.float64).transpose(2, 0, 1)[None]


def volume(array: np.ndarray) -> np.ndarray:
    """1 x C x H x W -> H x W x C"""
    return array[0].transpose(1, 2, 0)


def vector(array: np.ndarray | float, length: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(array, dtype=np.float64).reshape(-1), length)


def conv(x, weight, bias=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    weight = np.asarray(weight, dtype=np.float64).transpose(3, 2, 0, 1)
    biases = [] if bias is None else [vector(bias, weight.shape[0])]
    attributes = {"strides": stride, "pads": padding, "dilations": dilation, "group": groups}
    return volume(run("Conv", batch(x), weight, *biases, **attributes))


def pool(operator, x, kernel_size, stride, padding, dilation, ceil, **more):
    attributes = {"kernel_shape": kernel_size, "strides": stride or kernel_size, "pads": padding}
    return volume(run(operator, batch(x), **attributes, dilations=dilation, ceil_mode=int(ceil), **more))


def maxpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    return pool("MaxPool", x, kernel_size, stride, padding, dilation, ceil)


def avgpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False, count_padding=False):
    counting = {"count_include_pad": int(count_padding)}
    return pool("AveragePool", x, kernel_size, stride, padding, dilation, ceil, **counting)


def l2pool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    return pool("LpPool", x, kernel_size, stride, padding, dilation, ceil, p=2)


def globalpool(x, how):
    if how == "l2":
        return volume(run("ReduceL2", batch(x), np.array([2, 3], dtype=np.int64)))
    return volume(run({"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[how], batch(x)))


def relu(x):
    return volume(run("Relu", batch(x)))


def leaky_relu(x, slope=0.01):
    return volume(run("LeakyRelu", batch(x), alpha=slope))


def prelu(x, alpha=0.25):
    return volume(run("PRelu", batch(x), vector(alpha, np.asarray(x).shape[2]).reshape(-1, 1, 1)))


def sigmoid(x):
    return volume(run("Sigmoid", batch(x)))


def tanh(x):
    return volume(run("Tanh", batch(x)))


def elu(x, alpha=1.0):
    return volume(run("Elu", batch(x), alpha=alpha))


def gelu(x):
    return volume(run("Gelu", batch(x)))


def silu(x):
    return volume(run("Mul", batch(x), run("Sigmoid", batch(x))))


def softplus(x):
    return volume(run("Softplus", batch(x)))


def hard_sigmoid(x):
    return volume(run("HardSigmoid", batch(x), alpha=1 / 6, beta=0.5))


def hard_swish(x):
    return volume(run("HardSwish", batch(x)))


def abs(x):
    return volume(run("Abs", batch(x)))


def batchnorm(x, gamma=1.0, beta=0.0, mean=None, var=None, eps=1e-5):
    channels = np.asarray(x).shape[2]
    training = mean is None or var is None
    mean, var = (0.0, 1.0) if training else (mean, var)
    arrays = (vector(array, channels) for array in (gamma, beta, mean, var))
    return volume(run("BatchNormalization", batch(x), *arrays, epsilon=eps, training_mode=int(training)))


def lrn(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    """The evaluator loops over as many channels as there are volumes, hence the copies."""
    copies = np.repeat(batch(x), np.asarray(x).shape[2], axis=0)
    return volume(run("LRN", copies, size=size, alpha=alpha, beta=beta, bias=k))


def fc(x, weight, bias=None):
    flat = np.asarray(x, dtype=np.float64).reshape(1, -1)
    biases = [] if bias is None else [np.asarray(bias, dtype=np.float64)]
    return run("Gemm", flat, np.asarray(weight, dtype=np.float64), *biases)[None]


def softmax(x):
    return volume(run("Softmax", batch(x), axis=1))
