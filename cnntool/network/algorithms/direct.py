"""Direct convolution by the register tile, and its form for channels that do not mix."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.layers.step import WHOLE, Call, Convolution, Part, Rectifier


def macs(step: Convolution) -> float:
    height, width, _ = step.output_shape
    return float(height * width * step.weight.size)


def is_depthwise(step: Convolution) -> bool:
    return step.groups == step.input_shape[2] == step.output_shape[2] and step.groups > 1


def direct_cost(step: Convolution) -> float:
    """The register tile: whole blocks of channels, and of pixels at the end of a row."""
    vectors, per_group = kernels.vectors, step.output_shape[2] // step.groups
    lanes = -(-per_group // vectors.LANES) * vectors.LANES
    return macs(step) * lanes / per_group / 0.9


def least(step: Convolution) -> np.float32:
    """What the step's results are raised to."""
    return np.float32(0 if step.rectified else -np.inf)


def rectify(step: Convolution, out: np.ndarray, out_row: int, out_column: int, rows: int) -> list[Call]:
    """The rectifier of a step whose kernel has none."""
    if not step.rectified:
        return []
    rectifier = Rectifier(step.output_shape, kernels.activations.relu_forward)
    return rectifier.calls(out, out_row, out_column, out, out_row, out_column, rows)


def prepare_direct(step: Convolution) -> None:
    """Packs the filters for the register tile, and gives the step the kernel that uses them."""
    (kh, kw), (sy, sx), (dy, dx), _ = step.window
    groups, out_channels = step.groups, step.output_shape[2]
    convolution = kernels.convolution
    packed = convolution.pack_filters(step.weight, groups)
    offset = convolution.pack_bias(step.bias, out_channels, groups)
    forward, low = convolution.conv_direct_forward, least(step)
    flat = step.window.is_point  # rows without border are one long row, with one tail of a tile instead of many

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, part=WHOLE):
        columns = step.output_shape[1]
        if flat and x.shape[1] == out.shape[1] == columns:
            x = x[x_row : x_row + rows].reshape(1, rows * columns, -1)
            out = out[out_row : out_row + rows].reshape(1, rows * columns, -1)
            x_row = out_row = 0
            rows, columns = 1, rows * columns
        places = x, x_row, packed, offset, out, out_row, out_column, rows, columns
        return [(forward, (*places, kh, kw, sy, sx, dy, dx, groups, out_channels, low, *blocks_of(step, part)))]

    step.calls = calls
    step.overread = spare_pixels(step)
    step.filter_bytes = packed.nbytes


def blocks_of(step: Convolution, part: Part) -> tuple[int, int]:
    """The blocks of output channels of one part of the filters."""
    blocks = step.groups * -(-step.output_shape[2] // step.groups // kernels.convolution.BLOCK)
    return blocks * part.number // part.of, blocks * (part.number + 1) // part.of


def spare_pixels(step: Convolution) -> int:
    """How many float32 the register tile may read beyond the last window."""
    return max(0, kernels.vectors.PIXELS - step.output_shape[1]) * step.window.stride[1] * step.input_shape[2]


def depthwise_cost(step: Convolution) -> float:
    """Bound by reading the input from the first cache, two reads for a multiply-add."""
    channels, lanes = step.output_shape[2], kernels.vectors.LANES
    return macs(step) * -(-channels // lanes) * lanes / channels / 0.4


def prepare_depthwise(step: Convolution) -> None:
    """Gives the step the kernel for one filter a channel, vectorised over channels."""
    (kh, kw), (sy, sx), (dy, dx), _ = step.window
    channels = step.output_shape[2]
    packed = np.ascontiguousarray(step.weight.reshape(kh, kw, channels), np.float32)
    offset = float_bias(step)
    if (kh, kw) == (3, 3) and (dy, dx) == (1, 1) and (sy, sx) in ((1, 1), (2, 2)):
        forward_3x3 = kernels.convolution.conv_depthwise_3x3_forward

        def calls_3x3(x, x_row, x_column, out, out_row, out_column, first, rows, scratch):
            places = x, x_row, x_column, packed, offset, out, out_row, out_column, rows, step.output_shape[1], sy
            return [(forward_3x3, places), *rectify(step, out, out_row, out_column, rows)]

        step.calls, step.crosses_border = calls_3x3, True
        return
    forward = kernels.convolution.conv_depthwise_forward

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch):
        places = x, x_row, packed, offset, out, out_row, out_column, rows, step.output_shape[1]
        return [
            (forward, (*places, kh, kw, sy, sx, dy, dx)),
            *rectify(step, out, out_row, out_column, rows),
        ]

    step.calls = calls
    step.overread = max(0, kernels.convolution.CHANNEL_PIXELS - step.output_shape[1]) * sx * channels


def float_bias(step: Convolution) -> np.ndarray:
    bias = np.zeros(step.output_shape[2]) if step.bias is None else step.bias
    return np.ascontiguousarray(bias, np.float32)
