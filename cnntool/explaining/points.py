"""Layers whose output at a place depends on the channels of that place: activations, normalisations, joins."""

from __future__ import annotations

import math

import numpy as np

from cnntool.explaining.data import Account, Equation, Grid, Step, Sum, Unit, largest
from cnntool.explaining.functions import FUNCTIONS, constants_of, formula_of


def activation(unit: Unit) -> Account:
    """A function of one number, and its slope there."""
    y, x, c = unit.at
    number, function = float(unit.inputs[0][y, x, c]), FUNCTIONS[unit.layer.word]
    alpha = None
    if "alpha" in unit.arrays:
        alpha = float(unit.arrays["alpha"][c if len(unit.arrays["alpha"]) > 1 else 0])
    constants = constants_of(unit.layer, alpha)
    value = math.nan if math.isnan(number) else function.value(number, **constants)
    slope = math.nan if math.isnan(number) else function.derivative(number, **constants)
    numbers = {"x": number, **constants}
    steps = [
        Step("activation.value", {}, (), Equation(formula_of(unit.layer, constants), numbers, value)),
        Step("activation.slope", {"formula": function.derivative_formula, "slope": slope}),
    ]
    if slope == 0:
        steps.append(Step("activation.dead", {}))
    elif abs(slope) < 0.01:
        steps.append(Step("activation.flat", {}))
    return Account(value, max(abs(number), abs(value)), [unit.at], steps)


def triangle(unit: Unit) -> Account:
    """What a channel lies below the mean of all."""
    pixel, c = unit.pixel, unit.at[2]
    mean = float(pixel.mean())
    value = max(0.0, mean - float(pixel[c]))
    equation = Equation("max(0, mean - x)", {"mean": mean, "x": float(pixel[c])}, value)
    steps = [Step("triangle.value", {"channels": len(pixel)}, (), equation)]
    return Account(value, float(np.abs(pixel).max()), [unit.at], steps)


def batch_normalisation(unit: Unit) -> Account:
    """By the saved statistics, or by those of this one image."""
    layer, (y, x, c) = unit.layer, unit.at
    plane, eps = unit.inputs[0][:, :, c].astype(np.float64), float(layer.eps)  # type: ignore[attr-defined]
    saved = "running_mean" in unit.arrays
    mean = float(unit.arrays["running_mean"][c]) if saved else float(plane.mean())
    variance = float(unit.arrays["running_var"][c]) if saved else float(plane.var())
    gamma, beta, number = float(unit.arrays["gamma"][c]), float(unit.arrays["beta"][c]), float(plane[y, x])
    hat = (number - mean) / math.sqrt(variance + eps) if variance + eps else math.nan
    value = gamma * hat + beta
    moments = {"mean": mean, "variance": variance, "c": c, "count": plane.size}
    first = Equation("(x - mean) / sqrt(var + eps)", {"x": number, "mean": mean, "var": variance, "eps": eps}, hat)
    second = Equation("gamma x + beta", {"gamma": gamma, "x": hat, "beta": beta}, value)
    steps = [
        Step("batchnorm.saved" if saved else "batchnorm.batch", moments),
        Step("batchnorm.normalise", {}, (), first),
        Step("batchnorm.scale", {"c": c}, (), second),
        Step("batchnorm.identity", {"gamma": math.sqrt(variance + eps), "beta": mean}),
        Step("batchnorm.bias", {}),
    ]
    size = abs(gamma) * (abs(number) + abs(mean)) / math.sqrt(variance + eps) if variance + eps else 0.0
    return Account(value, size + abs(beta), [unit.at], steps)


def response_normalisation(unit: Unit) -> Account:
    """The squares of the neighbouring channels damp each number."""
    layer, c, pixel = unit.layer, unit.at[2], unit.pixel
    size, alpha, beta, k = layer.size, layer.alpha, layer.beta, layer.k  # type: ignore[attr-defined]
    first, last = max(0, c - size // 2), min(len(pixel), c - size // 2 + size)
    squares = np.square(pixel[first:last])
    total, number = float(squares.sum()), float(pixel[c])
    value = number / (k + alpha / size * total) ** beta
    numbers = {"x": number, "k": k, "alpha": alpha, "size": size, "sum": total, "beta": beta}
    steps = [
        Step("lrn.squares", {"first": first, "last": last - 1}, (), Sum(squares.tolist(), total)),
        Step("lrn.value", {}, (), Equation("x / (k + alpha / size sum)^beta", numbers, value)),
    ]
    return Account(value, abs(number), [unit.at], steps)


def dropout(unit: Unit) -> Account:
    """Only training drops anything."""
    y, x, c = unit.at
    number, p = float(unit.inputs[0][y, x, c]), unit.layer.p  # type: ignore[attr-defined]
    numbers = {"x": number}
    steps = [Step("dropout.here", {}, (), Equation("x", numbers, number)),
             Step("dropout.training", {"percent": round(100 * p, 4), "factor": 1 / (1 - p)})]  # fmt: skip
    return Account(number, abs(number), [unit.at], steps)


def softmax(unit: Unit) -> Account:
    """The exponential's share of the sum over all channels."""
    pixel, c = unit.pixel, unit.at[2]
    top = float(pixel.max())
    exponentials = np.exp(pixel - top)
    total = float(exponentials.sum())
    value = float(exponentials[c]) / total
    best = int(np.argmax(pixel))
    steps = [
        Step("softmax.shift", {"largest": top}, (), Sum(exponentials.tolist(), total)),
        Step("softmax.value", {"c": c}, (),
             Equation("exp(x - m) / sum", {"x": float(pixel[c]), "m": top, "sum": total}, value)),
        Step("softmax.best", {"best": best, "share": float(exponentials[best]) / total}),
    ]  # fmt: skip
    return Account(value, 1.0, [unit.at], steps)


def flatten(unit: Unit) -> Account:
    """Which number of the volume a place of the vector is."""
    height, width, channels = unit.shape
    place = unit.at[2]
    y, x, c = (int(i) for i in np.unravel_index(place, unit.shape))
    number = float(unit.inputs[0][y, x, c])
    numbers = {"y": y, "x": x, "c": c, "width": width, "channels": channels}
    steps = [
        Step("flatten.order", {"height": height, "width": width, "channels": channels, "count": unit.inputs[0].size}),
        Step("flatten.place", {"y": y, "x": x, "c": c}, (),
             Equation("(y width + x) channels + c", {name: float(value) for name, value in numbers.items()}, place)),
        Step("flatten.value", {"value": number}),
    ]  # fmt: skip
    return Account(number, abs(number), [(y, x, c)], steps)


def addition(unit: Unit) -> Account:
    """The same place of both volumes."""
    here, there = (float(volume[unit.at]) for volume in unit.inputs)
    equation = Equation("x + marked", {"x": here, "marked": there}, here + there)
    steps = [Step("add.value", {"name": unit.layer.joins}, (), equation)]
    return Account(here + there, abs(here) + abs(there), [unit.at, unit.at], steps)


def concatenation(unit: Unit) -> Account:
    """From which volume a channel comes."""
    y, x, c = unit.at
    first, second = (volume.shape[2] for volume in unit.inputs)
    own = c < first
    place = (y, x, c if own else c - first)
    value = float(unit.inputs[0 if own else 1][place])
    values = {"c": c, "first": first, "second": second, "name": unit.layer.joins, "channel": place[2], "value": value}
    steps = [Step("concat.first" if own else "concat.second", values)]
    return Account(value, abs(value), [(y, x, min(c, first - 1)), (y, x, place[2] if not own else 0)], steps)


def gram(unit: Unit) -> Account:
    """The mean product of two maps."""
    channels = unit.shape[2]
    a, b = (int(i[unit.at[2]]) for i in np.triu_indices(channels))
    first, second = (unit.inputs[0][:, :, k].astype(np.float64) for k in (a, b))
    products = first * second
    total, count = float(products.sum()), products.size
    value = total / count
    steps = [
        Step("gram.pair", {"a": a, "b": b}, (Grid("gram.products", products),), Sum(products.ravel().tolist(), total)),
        Step("gram.mean", {}, (), Equation("sum / count", {"sum": total, "count": float(count)}, value)),
    ]
    y, x = largest(products)
    return Account(value, float(np.abs(products).sum()) / count, [(y, x, a)], steps)
