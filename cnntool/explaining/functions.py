"""The activation functions with their derivatives, each once, in plain float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cnntool.layers.base import Layer


class Function(NamedTuple):
    """`value` and `derivative` of x, with the constants that the layer has; the formulas are for people.

    At a kink the derivative is that of the side which training takes.
    """

    formula: str
    derivative_formula: str
    value: Callable[..., float]
    derivative: Callable[..., float]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), also where exp overflows."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def normal(x: float) -> float:
    """The distribution function of the normal distribution."""
    return math.erfc(-x / math.sqrt(2)) / 2


def density(x: float) -> float:
    """The density of the normal distribution."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def softplus(x: float) -> float:
    """log(1 + exp(x)), also where exp overflows."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def ramp(x: float) -> float:
    """The hard sigmoid."""
    return min(max(x + 3, 0.0), 6.0) / 6


FUNCTIONS = {
    "relu": Function("max(0, x)", "1 (x > 0), 0 (x <= 0)", lambda x: max(0.0, x), lambda x: float(x > 0)),
    "leaky-relu": Function(
        "max(0, x) + slope min(0, x)", "1 (x > 0), slope (x <= 0)",
        lambda x, slope: x if x >= 0 else slope * x, lambda x, slope: 1.0 if x > 0 else slope,
    ),
    "prelu": Function(
        "max(0, x) + alpha min(0, x)", "1 (x > 0), alpha (x <= 0)",
        lambda x, alpha: x if x >= 0 else alpha * x, lambda x, alpha: 1.0 if x > 0 else alpha,
    ),
    "sigmoid": Function("1 / (1 + exp(-x))", "y (1 - y)", sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": Function(
        "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "1 - y^2", math.tanh, lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x)
    ),
    "elu": Function(
        "max(0, x) + alpha (exp(min(0, x)) - 1)", "1 (x >= 0), alpha exp(x) (x < 0)",
        lambda x, alpha: x if x >= 0 else alpha * math.expm1(x),
        lambda x, alpha: 1.0 if x >= 0 else alpha * math.exp(x),
    ),
    "gelu": Function(
        "x / 2 (1 + erf(x / sqrt(2)))", "(1 + erf(x / sqrt(2))) / 2 + x exp(-x^2 / 2) / sqrt(2 pi)",
        lambda x: x * normal(x), lambda x: normal(x) + x * density(x),
    ),
    "silu": Function(
        "x / (1 + exp(-x))", "s + x s (1 - s), s = 1 / (1 + exp(-x))",
        lambda x: x * sigmoid(x), lambda x: sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
    ),
    "softplus": Function("log(1 + exp(x))", "1 / (1 + exp(-x))", softplus, sigmoid),
    "hard-sigmoid": Function(
        "min(max(x + 3, 0), 6) / 6", "1/6 (-3 < x < 3), 0 (|x| >= 3)", ramp, lambda x: 1 / 6 if -3 < x < 3 else 0.0
    ),
    "hard-swish": Function(
        "x min(max(x + 3, 0), 6) / 6", "0 (x <= -3), (2 x + 3) / 6 (-3 < x < 3), 1 (x >= 3)",
        lambda x: x * ramp(x), lambda x: 0.0 if x <= -3 else 1.0 if x >= 3 else (2 * x + 3) / 6,
    ),
    "abs": Function("|x|", "-1 (x < 0), 0 (x = 0), 1 (x > 0)", abs, lambda x: float((x > 0) - (x < 0))),
}  # fmt: skip

CONSTANTS = {"leaky-relu": "slope", "elu": "alpha", "prelu": "alpha"}


def constants_of(layer: Layer, alpha: float | None = None) -> dict[str, float]:
    """The constants of an activation's formula; `alpha` is the trained slope of `prelu`."""
    name = CONSTANTS.get(layer.word)
    if name is None:
        return {}
    return {name: float(getattr(layer, name)) if alpha is None else alpha}


def formula_of(layer: Layer, constants: dict[str, float]) -> str:
    """The function's formula; a leaky rectifier's as the maximum that it is for slopes up to 1."""
    name = CONSTANTS.get(layer.word)
    if layer.word in ("leaky-relu", "prelu") and name and constants[name] <= 1:
        return f"max({name} x, x)"
    return FUNCTIONS[layer.word].formula
