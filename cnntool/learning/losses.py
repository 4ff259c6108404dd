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
    """-log softmax(scores)[label] for each row; d_scores = (softmax - one hot) / N, softmax and logarithm in one.

    scores: N x K float32, any real numbers; labels: N integers. Of equal scores the first class counts as the answer,
    and a row that holds a NaN has none.
    """
    shifted = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    total = float((np.log(sums[:, 0]) - shifted[rows, labels]).sum())
    d_scores = powers / sums
    d_scores[rows, labels] -= 1
    right = int(((scores.argmax(axis=1) == labels) & ~np.isnan(sums[:, 0])).sum())
    return Loss(total, right, (d_scores / len(labels)).astype(np.float32))


def softmax(scores: np.ndarray) -> np.ndarray:
    """N x K positive numbers whose rows sum to 1, float64."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
