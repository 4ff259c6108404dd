"""Winograd convolution of few channels: tile sizes, transforms, and transformed filters."""

from __future__ import annotations

import numpy as np

from cnntool.kernels import kernels_of
from cnntool.kernels.convolution import on_cache_lines
from cnntool.kernels.vectors import HOST, LANES

TILE = 4  # outputs along one axis
TILES_AT_ONCE = HOST.few_tiles
PIECE = 4  # channels stored side by side
# For each patch size the points of polynomial multiplication, without the last one, infinity. Opposite points are
# paired after 0. With 1/2, errors are 1.7 times those of a patch of six; with 4 instead they were 30 times as large.
POINTS = {6: (0, 1, -1, 2, -2), 7: (0, 1, -1, 2, -2, 1 / 2)}


def without(patch: int, *left_out: float) -> np.ndarray:
    """Coefficients of the polynomial with zeros at all other points, the constant one first."""
    return np.poly([point for point in POINTS[patch] if point not in left_out])[::-1]


def input_matrix(patch: int) -> np.ndarray:
    """B^T"""
    rows = [without(patch, point) for point in POINTS[patch]] + [without(patch)]
    return np.array([np.pad(row, (0, patch - len(row))) for row in rows])


def filter_matrix(patch: int) -> np.ndarray:
    """G, for filters with `patch` + 1 - TILE taps"""
    taps = np.arange(patch + 1 - TILE)
    rows = [point**taps / np.polyval(without(patch, point)[::-1], point) for point in POINTS[patch]]
    return np.array([*rows, taps == taps[-1]], float)


def output_matrix(patch: int) -> np.ndarray:
    """A^T"""
    powers = np.arange(TILE)
    return np.array([*(point**powers for point in POINTS[patch]), powers == TILE - 1], float).T


def pieces_of(channels: int) -> tuple[int, int]:
    """Channels in equal pieces: their number, and the channels of each."""
    pieces = -(-channels // PIECE)
    return pieces, -(-channels // pieces)


def transform_few_filters(weight: np.ndarray, stride: tuple[int, int], patch: int) -> np.ndarray:
    """Filters (kh, kw, C, O) as blocks of O x `patch` x sy x (sx * pieces of C) x channels of one x `patch` x LANES.

    A convolution with a stride is the sum of one for each of the sy * sx phases of the rows and columns.
    """
    (sy, sx), (kh, kw, in_channels, out_channels) = stride, weight.shape
    matrix = filter_matrix(patch)
    taps, blocks, (pieces, depth) = matrix.shape[1], -(-out_channels // LANES), pieces_of(in_channels)
    padded = np.zeros((taps * sy, taps * sx, pieces * depth, blocks * LANES))
    padded[:kh, :kw, :in_channels, :out_channels] = weight
    phases = padded.reshape(taps, sy, taps, sx, pieces, depth, blocks, LANES)
    with np.errstate(invalid="ignore", over="ignore"):
        turned = np.einsum("ay,bx,ypxqiskl->kapqisbl", matrix, matrix, phases, optimize=True).astype(np.float32)
    return on_cache_lines(turned.reshape(blocks, len(matrix), sy, sx * pieces, depth, -1))


def largest_input(filters: np.ndarray, patch: int) -> np.float32:
    """Inputs below this cannot overflow any intermediate result; 0 if the filters are not finite."""
    lanes = np.abs(filters.astype(np.float64)).reshape(len(filters), -1, LANES)
    sums = lanes.sum(axis=1).max()
    growth = [np.abs(matrix).sum(axis=1).max() ** 2 for matrix in (input_matrix(patch), output_matrix(patch))]
    limit = np.finfo(np.float32).max / 4 / (np.prod(growth) * max(sums, 1))
    return np.float32(limit if np.isfinite(sums) else 0)


__getattr__ = kernels_of(__name__)
