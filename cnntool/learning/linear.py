"""Linear classifiers of features: what `extract --labels` wrote in, a model of `standardize fc K` out."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.learning.minimise import minimise

ROWS = 4096  # features that go through BLAS together, forth and back while they are near
HEADS = ("l2svm", "logistic")


class Table(NamedTuple):
    """A table of features: float32 (N, D), N paths, and N labels, empty where there is none."""

    features: np.ndarray
    paths: list[str]
    labels: list[str]


def fit_linear(
    features: np.ndarray, labels: np.ndarray, classes: int, head: str = "l2svm", c: float = 100.0,
    iterations: int = 400,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """weight (D, K) and bias (K,), float32, for features (N, D) that are centred and scaled, and labels (N,) from 0.

    l2svm: for each class against all others, 0.5 |w|^2 + C mean(max(0, 1 - y (x w + b))^2), y = 1 or -1.
    logistic: 0.5 |w|^2 + C mean(-log softmax(x w + b)[label]).
    |w|^2 counts the bias too, as the weight of one more feature that is 1 (A. Coates, H. Lee, A. Ng 2011).
    """
    count, length = features.shape
    loss = {"l2svm": squared_hinge, "logistic": cross_entropy}[head]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(length + 1, classes)
        weight, bias = theta[:-1].astype(np.float32), theta[-1].astype(np.float32)
        total, gradient = 0.0, np.zeros_like(theta)
        for first in range(0, count, ROWS):
            x = features[first : first + ROWS]
            value, d_scores = loss(x @ weight + bias, labels[first : first + ROWS])
            total += value
            gradient[:-1] += x.T @ d_scores
            gradient[-1] += d_scores.sum(axis=0, dtype=np.float64)
        return 0.5 * float(flat @ flat) + c / count * total, (theta + c / count * gradient).ravel()

    theta = minimise(objective, np.zeros((length + 1) * classes), iterations).reshape(length + 1, classes)
    return theta[:-1].astype(np.float32), theta[-1].astype(np.float32)


def squared_hinge(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum over all rows and classes of max(0, 1 - y s)^2, and its gradient by s."""
    signs = np.full_like(scores, -1)
    signs[np.arange(len(scores)), labels] = 1
    margins = np.maximum(0, 1 - signs * scores)
    return float(np.square(margins, dtype=np.float64).sum()), -2 * signs * margins


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum over all rows of -log softmax(s)[label], and its gradient by s."""
    rows = np.arange(len(scores))
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    probabilities = exponentials / sums
    value = float((np.log(sums[:, 0]) - shifted[rows, labels]).sum(dtype=np.float64))
    probabilities[rows, labels] -= 1
    return value, probabilities


def standardise(features: np.ndarray, eps: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """In place: (x - mean) / sqrt(variance + eps) for each column; returns mean and 1 / sqrt(variance + eps)."""
    mean = features.mean(axis=0, dtype=np.float64)
    variance = np.zeros_like(mean)
    for first in range(0, len(features), ROWS):
        piece = features[first : first + ROWS]
        piece -= mean.astype(np.float32)
        variance += np.einsum("nd,nd->d", piece, piece, dtype=np.float64)
    scale = 1 / np.sqrt(variance / len(features) + eps)
    for first in range(0, len(features), ROWS):
        features[first : first + ROWS] *= scale.astype(np.float32)
    return mean, scale


def train_head(
    table_path: str, model_path: str, *, head: str = "l2svm", c: float = 100.0, validation: float = 0.0,
    seed: int = 0, iterations: int = 400,
) -> dict[str, Any]:  # fmt: skip
    """Trains a linear classifier on a table with labels and saves it as the model `standardize fc K`.

    A part `validation` of the rows, drawn by `seed`, is held back. Returns `classes`, `rows`, `accuracy` on the rows
    it was trained on, and `validation_accuracy` on the others, or None.
    """
    from cnntool.layers.affine import Standardize
    from cnntool.layers.dense import FullyConnected
    from cnntool.network.saving import Head, save_model

    table = read_table(table_path)
    classes = sorted(set(table.labels))
    if len(classes) < 2 or "" in classes:
        raise CnntoolError(f"{table_path}: expected rows of two or more labels, as `cnntool extract --labels` writes")
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in table.labels])
    held = np.random.default_rng(seed).permutation(len(labels))[: round(validation * len(labels))]
    kept = np.setdiff1d(np.arange(len(labels)), held)
    if len(set(labels[kept])) < len(classes):
        raise CnntoolError("--validation leaves a class without a row to train on: hold less back")
    features = table.features[kept] if len(held) else table.features
    others = table.features[held]
    mean, scale = standardise(features)
    weight, bias = fit_linear(features, labels[kept], len(classes), head, c, iterations)
    layers = [Standardize(), FullyConnected(len(classes))]
    words = [word for layer in layers for word in layer.words()]
    arrays = [{"mean": mean, "scale": scale}, {"weight": weight, "bias": bias}]
    save_model(model_path, Head(words, (1, 1, features.shape[1]), classes), arrays)
    return {
        "classes": classes,
        "rows": len(kept),
        "accuracy": accuracy(features @ weight + bias, labels[kept]),
        "validation_accuracy": accuracy((others - mean) * scale @ weight + bias, labels[held]) if len(held) else None,
    }


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """The part of the rows whose largest score is that of their label."""
    return float((scores.argmax(axis=1) == labels).mean())


def read_table(path: str) -> Table:
    """The table of a `.npz` that `extract` wrote; a CnntoolError for anything else. Nothing in it can run code."""
    expected = "expected a table that `cnntool extract` wrote as .npz"
    try:
        with np.load(os.fspath(path), allow_pickle=False) as arrays:
            features, paths = arrays["features"], arrays["paths"].tolist()
            labels = arrays["labels"].tolist() if "labels" in arrays else [""] * len(paths)
    except FileNotFoundError:
        raise CnntoolError(f"{path}: no such file: {expected}") from None
    except Exception as error:  # zip, header and memory errors of a damaged file are of many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CnntoolError(f"{path}: not a table that can be read ({reason}): {expected}") from None
    if features.ndim != 2 or features.dtype != np.float32 or not len(features) == len(paths) == len(labels):
        raise CnntoolError(
            f"{path}: `features` are {features.dtype} of {features.shape} for {len(paths)} paths and {len(labels)} "
            f"labels: {expected}"
        )
    if not np.isfinite(features).all():
        raise CnntoolError(f"{path}: some features are not finite: expected numbers that can be learned from")
    return Table(features, list(map(str, paths)), list(map(str, labels)))
