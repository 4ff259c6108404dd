"""Linear classifiers on tables that `extract --labels` wrote, saved as the model `standardize fc K`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cnntool import kernels
from cnntool.algorithms.direct import Product
from cnntool.arrays import open_arrays, telling
from cnntool.engine.threads import available_threads, parallel
from cnntool.errors import CnntoolError
from cnntool.kernels.arguments import Corner
from cnntool.learning.curvature import Curvature
from cnntool.learning.losses import summed_cross_entropy
from cnntool.learning.minimise import minimise
from cnntool.limits import memory_limit
from cnntool.steps.blas import one_blas_thread
from cnntool.steps.step import run_calls

ROWS = 256  # of one forward and backward pass, which stay in the cache
PIECES = 8  # of a table, whose gradients are added in order, whatever the number of threads
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""The sum over the rows of scores (N, K) with labels (N,), and its gradient by the scores."""


class FeatureTable(NamedTuple):
    """A table of features: float32 (N, D), N paths, and N labels, empty where there is none."""

    features: np.ndarray
    paths: list[str]
    labels: list[str]


def fit_linear(
    features: np.ndarray, labels: np.ndarray, classes: int, head: str = "l2svm", c: float = 100.0,
    iterations: int = 400, threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """weight (D, K) and bias (K,), float32, for features (N, D) that are centred and scaled, and labels (N,) from 0.

    l2svm: for each class against all others, 0.5 |w|^2 + C mean(max(0, 1 - y (x w + b))^2), y = 1 or -1.
    logistic: 0.5 |w|^2 + C mean(-log softmax(x w + b)[label]).
    |w|^2 counts the bias too, as the weight of one more feature that is 1 (A. Coates, H. Lee, A. Ng 2011).
    """
    count, length = features.shape
    features = np.ascontiguousarray(features, np.float32)
    loss = HEADS[head]
    threads = threads or available_threads()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(length + 1, classes)
        total, gradient = summed(features, labels, theta, loss, threads)
        return 0.5 * float(flat @ flat) + c / count * total, (theta + c / count * gradient).ravel()

    inverse = Curvature(features, threads).inverse(2 * c)

    def precondition(gradient: np.ndarray) -> np.ndarray:
        shaped = gradient.reshape(length + 1, classes)
        return np.vstack([inverse(shaped[:-1]), shaped[-1:] / (1 + 2 * c)]).ravel()

    start = np.zeros((length + 1) * classes)
    with one_blas_thread():
        theta = minimise(objective, start, iterations, precondition=precondition).reshape(length + 1, classes)
    return theta[:-1].astype(np.float32), theta[-1].astype(np.float32)


def summed(
    features: np.ndarray, labels: np.ndarray, theta: np.ndarray, loss: Loss, threads: int
) -> tuple[float, np.ndarray]:
    """The loss of all rows, and its gradient by theta (D + 1, K), whose last row is the bias.

    A few rows at a time go forward and backward through the register tile while they are in the cache: half the time of
    two BLAS products on 8,192 rows of 14,400 features.
    """
    count, length = features.shape
    classes, spare = theta.shape[1], kernels.vectors.PIXELS
    product = Product(theta[:-1], theta[-1])
    end = np.empty((ROWS + spare, length), np.float32)  # the last rows, padded, since tiles read beyond them

    def piece(span: tuple[int, int]) -> tuple[float, np.ndarray]:
        total, gradient = 0.0, np.zeros((length + 1, classes))
        weights = np.zeros((length, classes), np.float32)
        scores = np.empty((1, ROWS, classes), np.float32)
        for first in range(*span, ROWS):
            rows = min(ROWS, span[1] - first)
            x = features[first:]
            if first + rows == count:
                end[:rows] = features[first:]
                x = end
            run_calls([product.call(x[None], Corner(scores, 0, 0), 1, rows)])
            value, d_scores = loss(scores[0, :rows], labels[first : first + rows])
            total += value
            kernels.convolution_backward.dense_weight_backward(x, d_scores, rows, 0, length, weights)
            gradient[-1] += d_scores.sum(axis=0, dtype=np.float64)
        gradient[:-1] = weights
        return total, gradient

    size = -(-count // PIECES)
    found = parallel(threads, piece, [(first, min(first + size, count)) for first in range(0, count, size)])
    return sum(total for total, _ in found), np.sum([gradient for _, gradient in found], axis=0)


def squared_hinge(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum over all rows and classes of max(0, 1 - y s)^2, and its gradient by s."""
    signs = np.full_like(scores, -1)
    signs[np.arange(len(scores)), labels] = 1
    margins = np.maximum(0, 1 - signs * scores)
    return float(np.square(margins, dtype=np.float64).sum()), -2 * signs * margins


HEADS: dict[str, Loss] = {"logistic": summed_cross_entropy, "l2svm": squared_hinge}


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
    seed: int = 0, iterations: int = 400, threads: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Trains a linear classifier on a table with labels and saves it as the model `standardize fc K`.

    A share `validation` of the images, drawn by `seed`, is held out with all their rows. Returns `classes`, `rows`,
    `accuracy` on the training rows, and `validation_accuracy` on the others, or None.
    """
    from cnntool.layers.affine import Standardize
    from cnntool.layers.dense import FullyConnected
    from cnntool.models.saving import Head, save_model

    table = read_table(table_path)
    classes = sorted(set(table.labels))
    if len(classes) < 2 or "" in classes:
        raise CnntoolError(f"{table_path}: expected rows of two or more labels, as `cnntool extract --labels` writes")
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in table.labels])
    held, kept = split(table.paths, validation, seed)
    if len(set(labels[kept])) < len(classes):
        raise CnntoolError("--validation leaves a class without a row to train on: hold less back")
    features = table.features[kept] if len(held) else table.features
    others = table.features[held]
    mean, scale = standardise(features)
    weight, bias = fit_linear(features, labels[kept], len(classes), head, c, iterations, threads)
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


def split(paths: list[str], part: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the held-out rows, and of the others; rows of one image stay together."""
    images, numbers = np.unique(paths, return_inverse=True)
    chosen = np.zeros(len(images), bool)
    chosen[np.random.default_rng(seed).permutation(len(images))[: round(part * len(images))]] = True
    return np.flatnonzero(chosen[numbers]), np.flatnonzero(~chosen[numbers])


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose largest score is that of their label."""
    return float((scores.argmax(axis=1) == labels).mean())


def read_table(path: str) -> FeatureTable:
    """The table of a `.npz` that `extract` wrote; a CnntoolError for anything else. Nothing in it can run code."""
    expected = "expected a table that `cnntool extract` wrote as .npz"
    with telling(path, expected, "not a table that can be read"), open_arrays(path, inflate=memory_limit()) as file:
        header, names = file.header("features"), file.names()
        if len(header.shape) != 2 or header.type_name != "float32":
            raise ValueError(f"`features` are {header.type_name} of {header.shape}")
        rows = header.shape[0]
        for name in {"paths", "labels"} & set(names):
            texts = file.header(name)
            if texts.kind != "U" or texts.shape != (rows,):
                raise ValueError(f"`{name}` are {texts.type_name} of {texts.shape} for {rows} rows")
        paths = file.read("paths").tolist()
        labels = file.read("labels").tolist() if "labels" in names else [""] * rows
        features = file.read("features")
    if not all(np.isfinite(features[first : first + ROWS]).all() for first in range(0, len(features), ROWS)):
        raise CnntoolError(f"{path}: some features are not finite: expected numbers that can be learned from")
    return FeatureTable(features, paths, labels)
