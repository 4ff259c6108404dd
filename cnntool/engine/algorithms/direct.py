"""Direct convolution by the register tile, and its form for channels that do not mix."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.steps.step import WHOLE, Call, Convolution, Part, Rectifier

CACHE = 512 * 1024  # bytes of filters that stay in the second cache
FAIR_PIXELS = 200  # of a band, if the filters do not stay there
WAY = 4096  # bytes of one way of the first cache
Other = tuple[np.ndarray, int] | None
"""A volume that a convolution adds, and the row of it that the first row of the output is added to."""


def macs(step: Convolution) -> float:
    height, width, _ = step.output_shape
    return float(height * width * step.weight.size)


def is_depthwise(step: Convolution) -> bool:
    return step.groups == step.input_shape[2] == step.output_shape[2] and step.groups > 1


def direct_cost(step: Convolution) -> float:
    """The register tile: whole blocks of channels, and of pixels at the end of a row."""
    vectors, per_group = kernels.vectors, step.output_shape[2] // step.groups
    lanes = -(-per_group // vectors.LANES) * vectors.LANES
    return macs(step) * lanes / per_group / 0.9 + reading_cost(4 * step.weight.size)


def reading_cost(filter_bytes: float, times: float = 1) -> float:
    """Of filters that do not stay in the second cache: at first from memory, where those of a network lie, then from
    the third."""
    return (3 + 0.5 * (times - 1)) * filter_bytes if filter_bytes > CACHE else 0


def least(step: Convolution, *, adds: bool = False) -> np.float32:
    """What a kernel raises its results to; `adds`: it adds another volume by itself."""
    return np.float32(0 if step.rectified and (adds or not step.adds) else -np.inf)


def finish(
    step: Convolution, out: np.ndarray, out_row: int, out_column: int, rows: int, other: Other, *, clamps: bool = False
) -> list[Call]:
    """What is left to do behind a kernel that does not add; `clamps`: but raises its results to `least`."""
    calls: list[Call] = []
    if other is not None:
        calls.append((kernels.pointwise.add_forward, (out, out_row, out_column, *other, rows, step.output_shape[1])))
    if step.rectified and not (clamps and other is None):
        rectifier = Rectifier(step.output_shape, kernels.activations.relu_forward)
        calls += rectifier.calls(out, out_row, out_column, out, out_row, out_column, rows)
    return calls


def prepare_direct(step: Convolution) -> None:
    """Packs the filters for the register tile, and gives the step the calls that use them."""
    (kh, kw), (sy, sx), (dy, dx), padding = step.window
    groups, in_channels, out_channels = step.groups, step.weight.shape[2], step.output_shape[2]
    convolution = kernels.convolution
    packed = convolution.pack_filters(step.weight, groups)
    offset = convolution.pack_bias(step.bias, out_channels, groups)
    forward, low = convolution.conv_direct_forward, least(step, adds=True)
    point = (kh, kw) == (1, 1) and not any(padding)
    # pixels that lie a multiple of a way apart push each other out of the first cache: 14x14x1024 -> 256 took 1.22 ms,
    # and 0.93 when they are gathered a line farther apart
    gathers = point and groups == 1 and ((sy, sx) != (1, 1) or 4 * in_channels % WAY == 0)

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, part=WHOLE, other=None):
        columns, strides, before = step.output_shape[1], (sy, sx), []
        added, added_row = (out, convolution.NONE) if other is None else other
        if gathers:
            apart = in_channels + kernels.vectors.LANES
            pixels = scratch.array(rows, columns, apart, spare=kernels.vectors.PIXELS * apart)
            before = [(kernels.pointwise.gather_forward, (pixels, x, x_row, rows, columns, sy, sx))]
            x, x_row, strides = pixels, 0, (1, 1)
        if point and strides == (1, 1) and x.shape[1] == out.shape[1] == columns:
            # rows without border are one long row, with one tail of a tile instead of many
            x, out = (v[row : row + rows].reshape(1, rows * columns, -1) for v, row in ((x, x_row), (out, out_row)))
            x_row = out_row = 0
            if other is None:
                added = out
            else:
                added, added_row = added[added_row : added_row + rows].reshape(1, rows * columns, -1), 0
            rows, columns = 1, rows * columns
        places = x, x_row, packed, offset, out, out_row, out_column, rows, columns
        channels = groups, in_channels, out_channels
        last = low, *blocks_of(step, part), added, added_row
        return [*before, (forward, (*places, kh, kw, *strides, dy, dx, *channels, *last))]

    step.calls = calls
    step.overread = spare_pixels(step)
    step.filter_bytes = packed.nbytes
    if packed.nbytes > CACHE:  # each band reads all filters from farther away
        step.fair_rows = -(-FAIR_PIXELS // step.output_shape[1])


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

        def calls_3x3(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, other=None):
            places = x, x_row, x_column, packed, offset, out, out_row, out_column, rows, step.output_shape[1], sy
            return [(forward_3x3, places), *finish(step, out, out_row, out_column, rows, other)]

        step.calls, step.crosses_border = calls_3x3, True
        return
    forward = kernels.convolution.conv_depthwise_forward

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, other=None):
        places = x, x_row, packed, offset, out, out_row, out_column, rows, step.output_shape[1]
        return [
            (forward, (*places, kh, kw, sy, sx, dy, dx)),
            *finish(step, out, out_row, out_column, rows, other),
        ]

    step.calls = calls
    step.overread = max(0, kernels.convolution.CHANNEL_PIXELS - step.output_shape[1]) * sx * channels


def float_bias(step: Convolution) -> np.ndarray:
    bias = np.zeros(step.output_shape[2]) if step.bias is None else step.bias
    return np.ascontiguousarray(bias, np.float32)
