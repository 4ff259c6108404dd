"""Layers that multiply by a matrix: centring, standardising, whitening, decorrelation, full connection."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.explaining.data import Account, Equation, Grid, Place, Step, Sum, Unit, largest
from cnntool.layers.affine import Decorrelate, FromData, Standardize, Whiten
from cnntool.layers.dense import FullyConnected

SHOWN = 8  # of the products of a full connection: the largest


class PlainMoments:
    """`layers.affine.AnyMoments` of one volume, by numpy in float64."""

    def __init__(self, volume: np.ndarray) -> None:
        self.rows = volume.reshape(-1, volume.shape[2]).astype(np.float64)
        self.count, self.mean = len(self.rows), self.rows.mean(axis=0)

    def variance(self) -> np.ndarray:
        return np.square(self.rows - self.mean).mean(axis=0)

    def covariance(self) -> np.ndarray:
        centred = self.rows - self.mean
        return centred.T @ centred / self.count


def from_data(unit: Unit) -> Account:
    """(x - mean) times a scale or a column of a matrix, saved or taken from this image."""
    layer, c = unit.layer, unit.at[2]
    assert isinstance(layer, FromData)
    pixel, arrays = unit.pixel, dict(unit.arrays)
    wanted = layer.buffer_shapes(unit.shape)
    own = not all(name in arrays for name in wanted)
    if own:
        arrays = {name: np.asarray(array) for name, array in layer.learn(PlainMoments(unit.inputs[0])).items()}
    steps = [Step("affine.own" if own else "affine.saved", {"count": unit.shape[0] * unit.shape[1]})] if wanted else []
    if isinstance(layer, Decorrelate) and unit.shape[2] == 2:
        return pair(unit, steps)
    mean = np.asarray(arrays["mean"], np.float64)
    if layer.word == "center":
        value = float(pixel[c] - mean[c])
        equation = Equation("x - mean", {"x": float(pixel[c]), "mean": float(mean[c])}, value)
        return Account(
            value, abs(pixel[c]) + abs(mean[c]), [unit.at], [*steps, Step("affine.center", {"c": c}, (), equation)]
        )
    if isinstance(layer, Standardize):
        return scaled(unit, float(mean[c]), float(arrays["scale"][c]), steps)
    matrix = np.asarray(arrays["matrix"], np.float64)
    if isinstance(layer, Whiten) and layer.how == "std":
        return scaled(unit, float(mean[c]), float(matrix[c, c]), steps)
    return multiplied(unit, mean, matrix, steps)


def scaled(unit: Unit, mean: float, scale: float, steps: list[Step]) -> Account:
    """One channel by itself."""
    number = float(unit.pixel[unit.at[2]])
    value = (number - mean) * scale
    if scale:
        equation = Equation("(x - mean) / deviation", {"x": number, "mean": mean, "deviation": 1 / scale}, value)
        steps = [*steps, Step("affine.standardize", {"c": unit.at[2]}, (), equation)]
    else:
        steps = [*steps, Step("affine.constant", {"c": unit.at[2]})]
    return Account(value, (abs(number) + abs(mean)) * abs(scale), [unit.at], steps)


def multiplied(unit: Unit, mean: np.ndarray, matrix: np.ndarray, steps: list[Step]) -> Account:
    """All channels: the centred pixel times a column of the matrix."""
    c, centred = unit.at[2], unit.pixel - mean
    products = centred * matrix[:, c]
    value = float(products.sum())
    grids = (Grid("affine.pixel", unit.pixel[None]), Grid("affine.mean", mean[None]),
             Grid("affine.centred", centred[None]), Grid("affine.column", matrix[:, c][None]))  # fmt: skip
    steps = [*steps, Step("affine.matrix", {"c": c, "channels": len(mean)}, grids, Sum(products.tolist(), value)),
             Step("affine.form", {})]  # fmt: skip
    scale = float((np.abs(matrix[:, c]) * (np.abs(unit.pixel) + np.abs(mean))).sum())
    return Account(value, scale, [(*unit.at[:2], largest(products)[0])], steps)


def pair(unit: Unit, steps: list[Step]) -> Account:
    """The lecture's decorrelation of two channels A and B."""
    a, b = (float(number) for number in unit.pixel)
    formula, value = ("(A + B) / 2", (a + b) / 2) if unit.at[2] == 0 else ("A - B", a - b)
    key = "affine.pair_mean" if unit.at[2] == 0 else "affine.pair_difference"
    steps = [*steps, Step(key, {}, (), Equation(formula, {"A": a, "B": b}, value))]
    return Account(value, abs(a) + abs(b), [unit.at], steps)


def full_connection(unit: Unit) -> Account:
    """One weight for each number of the volume."""
    layer, k = unit.layer, unit.at[2]
    assert isinstance(layer, FullyConnected)
    flat, weight = unit.inputs[0].ravel().astype(np.float64), unit.arrays["weight"][:, k].astype(np.float64)
    bias = float(unit.arrays["bias"][k]) if "bias" in unit.arrays else 0.0
    products = flat * weight
    value = float(products.sum()) + bias
    height, width, channels = unit.shape
    facts: dict[str, Any] = {
        "count": flat.size, "outputs": layer.out_features, "k": k, "height": height, "width": width,
        "channels": channels, "parameters": weight.size * layer.out_features,
    }  # fmt: skip
    order = np.argsort(-np.abs(np.nan_to_num(products)), kind="stable")[:SHOWN]
    places = [place_in(unit, int(index)) for index in order]
    steps = [Step("fc.what", facts)]
    for place, index in zip(places, order, strict=True):
        numbers = {"y": place[0], "x": place[1], "c": place[2], "index": int(index)}
        equation = Equation("x w", {"x": flat[index], "w": weight[index]}, float(products[index]))
        steps.append(Step("fc.product", numbers, (), equation))
    shown = float(products[order].sum())
    rest = flat.size - len(order)
    terms = [shown, *([float(products.sum()) - shown] if rest else []), *([bias] if layer.bias else [])]
    steps += [Step("fc.total", {"shown": len(order), "rest": rest, "bias": bias}, (), Sum(terms, value)),
              Step("fc.conv", facts)]  # fmt: skip
    return Account(value, float(np.abs(products).sum()) + abs(bias), [places[0]], steps)


def place_in(unit: Unit, index: int) -> Place:
    """Row, column and channel of a number of the flattened volume."""
    y, x, c = (int(i) for i in np.unravel_index(index, unit.shape))
    return y, x, c
