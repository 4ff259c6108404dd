"""Steps of the learned banks."""

from __future__ import annotations

import math

from cnntool import kernels
from cnntool.banks.learned import KMeans, Learned
from cnntool.kernels.arguments import Corner, Size, Window
from cnntool.late import np
from cnntool.layers.base import Arrays
from cnntool.steps.geometry import Shape, output_size
from cnntool.steps.step import Band, Call, Convolution, Step, Windowed


def learned_steps(bank: Learned, shape: Shape, window: Window, arrays: Arrays) -> list[Step]:
    """Distances for `kmeans`; the others are convolutions."""
    if isinstance(bank, KMeans):
        return [distances_step(bank, shape, window, arrays)]
    return [learned_convolution(shape, window, arrays)]


def learned_convolution(shape: Shape, window: Window, arrays: Arrays) -> Convolution:
    return Convolution(shape, window, arrays["weight"], arrays.get("bias"))


def distances_step(bank: KMeans, shape: Shape, window: Window, arrays: Arrays) -> Windowed:
    """z_k = |w - c_k| for the normalised and whitened patch w = (p - mean) W of each position.

    As |w|^2 - 2 w.c_k + |c_k|^2, so that nearly all of the work is two matrix products by the register tile: the
    patches of a band times W, and the result times all centroids.
    """
    from cnntool.algorithms.direct import Product

    length = math.prod(window.kernel_size) * shape[2]
    output_shape = (*output_size(window, shape[:2]), bank.number)
    whitening = np.asarray(arrays["whitening"], np.float64)
    centroids = np.ascontiguousarray(np.reshape(arrays["weight"], (length, -1)).T, np.float32)
    squares = np.square(centroids, dtype=np.float64).sum(axis=1)
    whiten = Product(whitening, -np.asarray(arrays["mean"], np.float64) @ whitening)
    correlate = Product(-2 * centroids.T, squares)
    eps = np.float32(bank.eps_contrast)
    clusters, spare = kernels.clusters, kernels.vectors.PIXELS

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        rows, columns = band.rows, output_shape[1]
        patches, whitened = (band.scratch.array(rows * columns, length, spare=spare * length) for _ in range(2))
        positions = whitened.reshape(rows, columns, length)
        flat = source._replace(array=source.array.reshape(len(source.array), -1))
        return [
            (clusters.patches_normalised_forward, (flat, shape[2], patches, Size(rows, columns), window, eps)),
            whiten.call(patches[None], Corner(whitened[None], 0, 0), 1, rows * columns),
            correlate.call(positions, target, rows, columns),
            (clusters.distances_forward, (whitened, centroids, *target, rows, columns)),
        ]

    return Windowed(shape, output_shape, window, calls, heavy=True)
