"""Which independent implementation can check what, and why it cannot. Their libraries are imported when used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from tests.naive.geometry import covered, output_sizes

ORACLES = ("onnx", "torch", "scipy")

# Relative and absolute; ONNX's attributes, and the constants in its functions, are float32.
TOLERANCE = {"onnx": 1e-6, "torch": 1e-9, "scipy": 1e-9}

POOLS = {"maxpool", "avgpool", "l2pool"}
ACTIVATIONS = {
    *("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu"),
    *("silu", "softplus", "hard_sigmoid", "hard_swish", "abs"),
}
FAMILY = {"conv", "fc", "softmax", "globalpool", "batchnorm", "lrn"} | POOLS | ACTIVATIONS
OPERATIONS = {
    "onnx": FAMILY,
    "torch": FAMILY,
    "scipy": {
        *("conv", "lrn", "softmax", "sigmoid", "gelu", "softplus"),
        *("center", "standardize", "whiten", "decorrelate"),
    }
    | POOLS,
}


def installed() -> tuple[str, ...]:
    return tuple(name for name in ORACLES if importlib.util.find_spec(name))


def load(name: str) -> ModuleType:
    """The oracle's module; the test is skipped where its library is not installed."""
    pytest.importorskip(name)
    return importlib.import_module(f"tests.oracles.{name}_reference")


def refusal(oracle: str, operation: str, shape: tuple[int, int, int], options: Mapping[str, Any]) -> str:
    """Why `oracle` cannot check `operation` with these options on a volume of this shape; empty when it can."""
    if operation not in OPERATIONS[oracle]:
        return f"{oracle} has no {operation}"
    if operation not in POOLS or oracle == "scipy":
        return ""
    return (onnx_pool_refusal if oracle == "onnx" else torch_pool_refusal)(operation, shape, options)


def onnx_pool_refusal(operation: str, shape: tuple[int, int, int], options: Mapping[str, Any]) -> str:
    if operation == "maxpool" and options["ceil"] and options["stride"] == options["dilation"] == (1, 1):
        return "the evaluator takes another way at stride 1, and pads twice when it rounds up"
    overhang = max(overhangs(shape, options))
    if operation == "l2pool" and overhang > 0:
        return "the evaluator rescales an overhanging window"
    if operation == "avgpool" and overhang > 1:
        return "the evaluator puts half of the overhang before the volume"
    return ""


def torch_pool_refusal(operation: str, shape: tuple[int, int, int], options: Mapping[str, Any]) -> str:
    if max(overhangs(shape, options)) <= 0:
        return ""
    if operation == "l2pool":
        return "lp_pool2d rescales an overhanging window"
    if operation == "avgpool" and options["dilation"] != (1, 1):
        return "avg_pool2d has no dilation"
    if not torch_pads_itself(options["kernel_size"], options["padding"]):
        return (
            "torch's own padding is symmetric and at most half the kernel, and padding by hand changes its rounding up"
        )
    return ""


def torch_pads_itself(kernel_size: tuple[int, int], padding: tuple[int, int, int, int]) -> bool:
    """Whether torch's pools take this padding as it is."""
    top, left, bottom, right = padding
    return (top, left) == (bottom, right) and top <= kernel_size[0] // 2 and left <= kernel_size[1] // 2


def overhangs(shape: tuple[int, int, int], options: Mapping[str, Any]) -> tuple[int, int]:
    """By how much the last window ends after the padded volume, down and to the right; negative when before."""
    top, left, bottom, right = options["padding"]
    window = options["kernel_size"], options["stride"], options["dilation"]
    kernel_size, stride, dilation = window
    outputs = output_sizes(shape[:2], kernel_size, stride, options["padding"], dilation, options["ceil"])
    extent = covered(outputs, *window)
    return extent[0] - (shape[0] + top + bottom), extent[1] - (shape[1] + left + right)
