"""Filters of low rank as sums of products of a column and a row: first along rows, then along columns.

The singular value decomposition finds the fewest terms. A Gaussian has one; a Gabor filter whose envelope is round has
two; one with gamma 0.5 about ten, and an oriented one of full rank gains nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnntool import kernels
from cnntool.layers.step import Convolution
from cnntool.network.algorithms.direct import float_bias, rectify

RESIDUE = 1e-6  # of a filter's norm that the terms may leave out
SMALLEST_KERNEL = 25  # elements; the two passes cost more than they save on less
STRIP_BYTES = 512 * 1024  # of the rows' pass, which should stay in the second cache


class Terms(NamedTuple):
    """Filter k is the sum over r of columns[:, r, k] times rows[:, r, k]."""

    columns: np.ndarray  # kh, R, K
    rows: np.ndarray  # kw, R, K


def terms_of(weight: np.ndarray) -> Terms:
    """The decomposition of filters (kh, kw, 1, K), with as many terms as the filter that needs most."""
    u, s, vt = np.linalg.svd(weight[:, :, 0].transpose(2, 0, 1).astype(np.float64), full_matrices=False)
    left_out = np.sqrt(np.cumsum(np.square(s)[:, ::-1], axis=1))[:, ::-1]  # norm without the terms from r on
    norm = np.maximum(left_out[:, :1], np.finfo(float).tiny)
    rank = max(1, int((left_out > RESIDUE * norm).sum(axis=1).max()))
    root = np.sqrt(s[:, :rank])
    columns, rows = u[:, :, :rank] * root[:, None], vt[:, :rank].transpose(0, 2, 1) * root[:, None]
    return Terms(*(np.ascontiguousarray(part.transpose(1, 2, 0), np.float32) for part in (columns, rows)))


def separable_fits(step: Convolution) -> bool:
    (kh, kw), _, dilation, _ = step.window
    one_channel = step.groups == 1 and step.input_shape[2] == 1
    return one_channel and dilation == (1, 1) and min(kh, kw) > 1 and kh * kw >= SMALLEST_KERNEL


def separable_cost(step: Convolution) -> float:
    """The rows' pass by the register tile; the columns' is bound by reading, five vectors for four multiply-adds."""
    (kh, kw), (sy, _), _, _ = step.window
    height, width, filters = step.output_shape
    rank = terms_of(step.weight).rows.shape[1]
    lanes = kernels.vectors.LANES
    along_rows = height * sy * width * kw * -(-rank * filters // lanes) * lanes / 0.85
    along_columns = height * width * kh * rank * -(-filters // lanes) * lanes / 0.5
    return 1.25 * along_rows + along_columns  # neighbouring bands share rows of the first pass


def prepare_separable(step: Convolution) -> None:
    """Packs the filters' factors, and gives the step the kernel that goes along rows, then along columns."""
    (kh, kw), (sy, sx), _, _ = step.window
    terms = terms_of(step.weight)
    rank, filters = terms.rows.shape[1:]
    channels = rank * filters
    convolution = kernels.convolution
    packed = convolution.pack_filters(terms.rows.reshape(1, kw, 1, channels), 1)
    none = convolution.pack_bias(None, channels, 1)
    bias = float_bias(step)
    along_rows, along_columns = convolution.conv_direct_forward, convolution.conv_columns_forward

    def compute(x, x_row, out, out_row, out_column, rows, columns):
        tall = sy * (rows - 1) + kh
        strip = max(convolution.PIXELS, STRIP_BYTES // (4 * tall * channels) // convolution.PIXELS * convolution.PIXELS)
        for left in range(0, columns, strip):
            wide = min(strip, columns - left)
            piece = np.zeros((tall + 1, sx * (wide - 1) + kw, 1), np.float32)  # a row more, for a tile to read into
            piece[:tall] = x[x_row : x_row + tall, sx * left : sx * left + piece.shape[1]]
            lines = np.empty((tall, wide, channels), np.float32)
            along_rows(
                piece,
                0,
                packed,
                none,
                lines,
                0,
                0,
                tall,
                wide,
                1,
                kw,
                1,
                sx,
                1,
                1,
                1,
                channels,
                convolution.NO_LIMIT,
                0,
                convolution.ALL,
            )
            along_columns(lines, terms.columns, bias, out, out_row, out_column + left, rows, wide, sy)

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch):
        places = x, x_row, out, out_row, out_column, rows, step.output_shape[1]
        return [(compute, places), *rectify(step, out, out_row, out_column, rows)]

    step.calls = calls
    step.is_native = False
