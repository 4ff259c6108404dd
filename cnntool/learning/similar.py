"""The nearest rows of a table, and its groups of near-duplicates: blocks of a product of matrices, never N x N."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnntool.errors import CnntoolError

METRICS = ("cosine", "l2")
BLOCK = 2**23  # numbers of a block of products; 32 MiB
# A difference of squares cancels: candidates are chosen by products in float32, and measured again in float64.
SPARE = 16


class Rows:
    """Rows (N, D) made ready to be compared.

    `cosine`: 1 is the same direction, less is farther; `l2`: the distance, 0 is equal. `whiten`: rows are first centred
    and brought to unit variance along their principal axes, those with less than 1e-6 of the largest variance left out.
    """

    def __init__(self, features: np.ndarray, metric: str = "cosine", whiten: bool = False) -> None:
        if metric not in METRICS:
            raise CnntoolError(f"--metric {metric}: expected {' or '.join(METRICS)}")
        self.metric = metric
        self._whitening = whitening_of(features) if whiten else None
        self.rows = self.prepared(features)
        self._squares = np.einsum("ij,ij->i", self.rows, self.rows)

    def prepared(self, features: np.ndarray) -> np.ndarray:
        """Rows as they are compared: whitened, and of length 1 for the cosine."""
        if self._whitening is not None:
            mean, matrix = self._whitening
            features = np.concatenate([(block - mean) @ matrix for block in blocks_of(features)])
        rows = np.ascontiguousarray(features, np.float32)
        if self.metric == "cosine":
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            rows = rows / np.maximum(lengths, 1e-30)[:, None].astype(np.float32)
        return rows

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the `count` nearest rows to each of `query` (M, D) as `prepared`, and how near, (M, count).

        Of equally near ones the first rows come first.
        """
        count = min(count, len(self.rows))
        found = np.empty((len(query), count), np.int64)
        values = np.empty((len(query), count))
        step = max(1, BLOCK // len(self.rows))
        for first in range(0, len(query), step):
            part = query[first : first + step]
            keys = self._keys(part)
            spare = min(len(self.rows), count + SPARE)
            candidates = np.argpartition(keys, spare - 1, axis=1)[:, :spare]
            for place, own in enumerate(candidates):
                exact = self.exact(part[place], own)
                order = np.lexsort((own, -exact if self.metric == "cosine" else exact))[:count]
                found[first + place], values[first + place] = own[order], exact[order]
        return found, values

    def _keys(self, query: np.ndarray) -> np.ndarray:
        """(M, N): smaller is nearer."""
        products = query @ self.rows.T
        if self.metric == "cosine":
            return -products
        products *= -2
        products += self._squares
        return products

    def exact(self, query: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The cosine or the distance of a row and some of the table's, in float64."""
        rows, query = self.rows[numbers].astype(np.float64), query.astype(np.float64)
        if self.metric == "cosine":
            return rows @ query
        return np.sqrt(((rows - query) ** 2).sum(axis=1))

    def pairs(self, threshold: float) -> Iterator[tuple[int, int]]:
        """All (i, j), i < j, that are nearer than the threshold: a cosine of at least, or a distance of at most it."""
        slack = 1e-5 if self.metric == "cosine" else 1e-4 * max(threshold**2, float(self._squares.max(initial=0)))
        step = max(1, BLOCK // max(1, len(self.rows)))
        for first in range(0, len(self.rows), step):
            part = self.rows[first : first + step]
            keys = part @ self.rows[first:].T
            if self.metric == "cosine":
                near = keys >= threshold - slack
            else:
                squares = self._squares[first : first + step, None] + self._squares[first:] - 2 * keys
                near = squares <= threshold**2 + slack
            for i, j in np.argwhere(np.triu(near, 1)) + first:
                value = self.exact(self.rows[i], np.array([j]))[0]
                if value >= threshold if self.metric == "cosine" else value <= threshold:
                    yield int(i), int(j)


def groups_of(rows: Rows, threshold: float) -> list[list[int]]:
    """The sets of rows that near pairs connect, by their first rows."""
    parents = list(range(len(rows.rows)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for i, j in rows.pairs(threshold):
        first, second = sorted((root(i), root(j)))
        parents[second] = first
    groups: dict[int, list[int]] = {}
    for number in range(len(parents)):
        groups.setdefault(root(number), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def whitening_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the matrix that brings rows to unit variance along their principal axes; float32."""
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for block in blocks_of(features):
        centred = block - mean
        covariance += centred.T @ centred
    values, axes = np.linalg.eigh(covariance / max(1, len(features)))
    kept = values > 1e-6 * max(values[-1], 1e-300)
    return mean.astype(np.float32), (axes[:, kept] / np.sqrt(values[kept])).astype(np.float32)


def blocks_of(features: np.ndarray) -> Iterator[np.ndarray]:
    """A few rows at a time, so that copies in another type stay small."""
    step = max(1, BLOCK // max(1, features.shape[1]))
    for first in range(0, len(features), step):
        yield features[first : first + step]
