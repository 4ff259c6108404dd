"""Filters for `winograd_few`, transformed."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.vectors import LANES

PIECE = 4  # channels that lie side by side
SCALES = np.array([1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24])  # of the points
POINTS = np.array([0, 1, -1, 2, -2])  # and infinity
LARGEST_INPUT, LARGEST_OUTPUT = 10, 19  # of one row of B^T and of A^T: the sum of what stands in it


def filter_matrix(taps: int) -> np.ndarray:
    """G: the values of a polynomial with so many coefficients at all points, and its last coefficient."""
    values = SCALES[:, None] * POINTS[:, None] ** np.arange(taps)
    return np.vstack([values, np.eye(taps)[-1:]])


def pieces_of(channels: int) -> tuple[int, int]:
    """Channels as equal pieces: how many, and of how many channels each."""
    pieces = -(-channels // PIECE)
    return pieces, -(-channels // pieces)


def transform_few_filters(weight: np.ndarray, stride: tuple[int, int], tile: int) -> np.ndarray:
    """Filters (kh, kw, C, O) as blocks of O x 6 places x sy x (sx * pieces of C) x channels of one x 6 places x LANES.

    A convolution with a stride is the sum of one for each of the sy * sx phases of the rows and columns.
    """
    (sy, sx), (kh, kw, in_channels, out_channels) = stride, weight.shape
    matrix = filter_matrix(len(POINTS) + 2 - tile)
    taps, blocks, (pieces, depth) = matrix.shape[1], -(-out_channels // LANES), pieces_of(in_channels)
    padded = np.zeros((taps * sy, taps * sx, pieces * depth, blocks * LANES))
    padded[:kh, :kw, :in_channels, :out_channels] = weight
    phases = padded.reshape(taps, sy, taps, sx, pieces, depth, blocks, LANES)
    with np.errstate(invalid="ignore", over="ignore"):
        turned = np.einsum("ay,bx,ypxqiskl->kapqisbl", matrix, matrix, phases, optimize=True).astype(np.float32)
    return np.ascontiguousarray(turned).reshape(blocks, len(matrix), sy, sx * pieces, depth, -1)


def largest_input(filters: np.ndarray) -> np.float32:
    """With inputs less than this nothing on the way can be infinite; 0 if filters are not finite themselves."""
    lanes = np.abs(filters.astype(np.float64)).reshape(len(filters), -1, LANES)
    sums = lanes.sum(axis=1).max()
    limit = np.finfo(np.float32).max / 4 / (LARGEST_INPUT**2 * LARGEST_OUTPUT**2 * max(sums, 1))
    return np.float32(limit if np.isfinite(sums) else 0)
