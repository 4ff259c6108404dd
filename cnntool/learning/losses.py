"""The loss that a classifier is trained by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Loss(NamedTuple):
    """Of a batch: the sum of the losses, how many are right, and the gradient of the mean loss by the scores."""

    total: float
    right: int
    d_scores: np.ndarray


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> Loss:
    """-log softmax(scores)[label] for each row; d_scores = (softmax - one hot) / N.

    scores: N x K float32, any real numbers; labels: N integers. Among equal scores the first class is the answer; a row
    that holds a NaN has none.
    """
    total, d_scores = summed_cross_entropy(scores.astype(np.float64), labels)
    right = int(((scores.argmax(axis=1) == labels) & ~np.isnan(d_scores).any(axis=1)).sum())
    return Loss(total, right, (d_scores / len(labels)).astype(np.float32))


def summed_cross_entropy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum over all rows of -log softmax(scores)[label], and its gradient in the type of the scores."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    total = float((np.log(sums[:, 0]) - shifted[rows, labels]).sum(dtype=np.float64))
    exponentials /= sums
    exponentials[rows, labels] -= 1
    return total, exponentials


def softmax(scores: np.ndarray) -> np.ndarray:
    """N x K positive numbers whose rows sum to 1, float64."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
