"""How the learned banks compute their maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool import kernels
from cnntool.banks.learned import KMeans, Learned
from cnntool.layers.base import Arrays
from cnntool.steps.geometry import Shape, Window, output_size
from cnntool.steps.step import Call, Convolution, Step, Windowed

if TYPE_CHECKING:
    import numpy as np


def learned_steps(bank: Learned, shape: Shape, window: Window, arrays: Arrays) -> list[Step]:
    """Distances for `kmeans`; the others are convolutions."""
    if isinstance(bank, KMeans):
        return [distances_step(bank, shape, window, arrays)]
    return [Convolution(shape, window, arrays["weight"], arrays.get("bias"))]


def distances_step(bank: KMeans, shape: Shape, window: Window, arrays: Arrays) -> Windowed:
    """z_k = |w - c_k| for the normalised and whitened patch w = (p - mean) W of each position.

    As |w|^2 - 2 w.c_k + |c_k|^2, so that nearly all of the work is two products of matrices, by the register tile: the
    patches of a band, one a row, with W, and the result with all centroids.
    """
    import numpy as np

    (kh, kw), (sy, sx), *_ = window
    length = kh * kw * shape[2]
    output_shape = (*output_size(window, shape[:2]), bank.number)
    whitening = np.asarray(arrays["whitening"], np.float64)
    centroids = np.ascontiguousarray(np.reshape(arrays["weight"], (length, -1)).T, np.float32)
    squares = np.square(centroids, dtype=np.float64).sum(axis=1)
    whiten = Product(whitening, -np.asarray(arrays["mean"], np.float64) @ whitening)
    correlate = Product(-2 * centroids.T, squares)
    eps = np.float32(bank.eps_contrast)
    clusters, spare = kernels.clusters, kernels.vectors.PIXELS

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch):
        columns = output_shape[1]
        patches, whitened = (scratch.array(rows * columns, length, spare=spare * length) for _ in range(2))
        positions = whitened.reshape(rows, columns, length)
        return [
            (clusters.patches_normalised_forward, (x, x_row, patches, rows, columns, kh, kw, sy, sx, eps)),
            whiten.call(patches[None], whitened[None], 0, 0, 1, rows * columns),
            correlate.call(positions, out, out_row, out_column, rows, columns),
            (clusters.distances_forward, (whitened, centroids, out, out_row, out_column, rows, columns)),
        ]

    step = Windowed(shape, output_shape, window, calls)
    step.heavy = True
    return step


class Product:
    """Rows times a matrix (in, out), plus a bias, by the register tile."""

    def __init__(self, matrix: np.ndarray, bias: np.ndarray) -> None:
        import numpy as np

        self.inputs, self.outputs = matrix.shape
        self.weight = kernels.convolution.pack_filters(np.asarray(matrix, np.float32)[None, None], 1)
        self.bias = kernels.convolution.pack_bias(np.asarray(bias, np.float32), self.outputs, 1)

    def call(self, x: Any, out: Any, out_row: int, out_column: int, rows: int, columns: int) -> Call:
        convolution = kernels.convolution
        return convolution.conv_direct_forward, (
            x, 0, self.weight, self.bias, out, out_row, out_column, rows, columns,
            1, 1, 1, 1, 1, 1, 1, self.inputs, self.outputs, convolution.NO_LIMIT, 0, convolution.ALL,
            out, convolution.NONE,
        )  # fmt: skip
