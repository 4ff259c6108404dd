"""The loss that a classifier is trained by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Loss(NamedTuple):
    """Of a batch: the sum of the losses, the numbers of right and of all rows, and the gradient of the mean loss.

    With weights of classes, each image counts as its class's weight.
    """

    total: float
    right: float
    rows: float
    d_scores: np.ndarray


def cross_entropy(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Loss:
    """-w[label] log softmax(scores)[label] for each row; d_scores = w[label] (softmax - one hot) / N.

    scores: N x K float32, any real numbers; labels: N integers; weights: K float64, or None for ones. Among equal
    scores the first class is the answer; a row that holds a NaN has none.
    """
    of_rows = np.ones(len(labels)) if weights is None else weights[labels]
    total, d_scores = summed_cross_entropy(scores.astype(np.float64), labels, of_rows)
    right = (scores.argmax(axis=1) == labels) & ~np.isnan(d_scores).any(axis=1)
    return Loss(total, of_rows[right].sum(), of_rows.sum(), (d_scores / len(labels)).astype(np.float32))


def summed_cross_entropy(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | float = 1.0
) -> tuple[float, np.ndarray]:
    """The sum over all rows of -w log softmax(scores)[label], and its gradient in the type of the scores."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    total = float((weights * (np.log(sums[:, 0]) - shifted[rows, labels])).sum(dtype=np.float64))
    exponentials /= sums
    exponentials[rows, labels] -= 1
    if isinstance(weights, np.ndarray):
        exponentials *= weights[:, None]
    return total, exponentials


def softmax(scores: np.ndarray) -> np.ndarray:
    """N x K positive numbers whose rows sum to 1, float64."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
