"""The algorithms of convolution: what each can do, what it costs, and the choice among them.

An algorithm makes itself the kernel of a `Convolution` step. The choice is by the time that each would take, estimated
from its arithmetic and the share of the peak that it was measured to reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnntool import kernels
from cnntool.errors import CnntoolError
from cnntool.layers.step import Convolution

FOURIER_SIZES = (32, 64, 128)  # larger tiles leave the second cache
SMALLEST_FOR_WINOGRAD = 16  # channels on either side; with fewer the transforms cost more than they save


class Algorithm(NamedTuple):
    """`fits`: whether it can compute the step; `cost`: multiply-adds at the peak that take as long; `prepare`."""

    fits: Callable[[Convolution], bool]
    cost: Callable[[Convolution], float]
    prepare: Callable[[Convolution], None]


def choose(step: Convolution, forced: str = "auto") -> None:
    """Gives the step its kernel: the fastest algorithm, or the forced one where it can compute the step."""
    if step.algorithm:
        return
    known = {name: algorithm for name, algorithm in ALGORITHMS.items() if algorithm.fits(step)}
    if forced in known:
        name = forced
    else:
        name = min(known, key=lambda name: known[name].cost(step)) if forced == "auto" else "direct"
    known[name].prepare(step)
    step.algorithm = name


def check_name(name: str) -> str:
    if name not in ("auto", *ALGORITHMS):
        raise CnntoolError(f"algorithm {name!r}: expected auto, {', '.join(ALGORITHMS)}")
    return name


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


def prepare_direct(step: Convolution) -> None:
    (kh, kw), (sy, sx), (dy, dx), _ = step.window
    groups, out_channels = step.groups, step.output_shape[2]
    convolution = kernels.convolution
    packed = convolution.pack_filters(step.weight, groups)
    offset = convolution.pack_bias(step.bias, out_channels, groups)
    forward = convolution.conv_direct_forward
    flat = step.window.is_point  # rows without border are one long row, with one tail of a tile instead of many

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        if flat and x.shape[1] == out.shape[1] == columns:
            x = x[x_row : x_row + rows].reshape(1, rows * columns, -1)
            out = out[out_row : out_row + rows].reshape(1, rows * columns, -1)
            x_row = out_row = 0
            rows, columns = 1, rows * columns
        forward(
            x, x_row, packed, offset, out, out_row, out_column, rows, columns,
            kh, kw, sy, sx, dy, dx, groups, out_channels,
        )  # fmt: skip

    step.kernel = kernel
    step.overread = max(0, kernels.vectors.PIXELS - step.output_shape[1]) * sx * step.input_shape[2]


def depthwise_cost(step: Convolution) -> float:
    """Bound by reading the input from the first cache, two reads for a multiply-add."""
    channels, lanes = step.output_shape[2], kernels.vectors.LANES
    return macs(step) * -(-channels // lanes) * lanes / channels / 0.4


def prepare_depthwise(step: Convolution) -> None:
    (kh, kw), (sy, sx), (dy, dx), _ = step.window
    channels = step.output_shape[2]
    packed = np.ascontiguousarray(step.weight.reshape(kh, kw, channels), np.float32)
    offset = float_bias(step)
    forward = kernels.convolution.conv_depthwise_forward

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        forward(x, x_row, packed, offset, out, out_row, out_column, rows, columns, kh, kw, sy, sx, dy, dx)

    step.kernel = kernel
    step.overread = max(0, kernels.convolution.CHANNEL_PIXELS - step.output_shape[1]) * sx * channels


def winograd_fits(step: Convolution) -> bool:
    kernel_size, stride, dilation, _ = step.window
    return (kernel_size, stride, dilation, step.groups) == ((3, 3), (1, 1), (1, 1), 1)


def winograd_cost(step: Convolution) -> float:
    """36 products a tile of 16 outputs, and the transforms, which are bound by the second cache."""
    height, width, out_channels = step.output_shape
    in_channels = step.input_shape[2]
    if min(in_channels, out_channels) < SMALLEST_FOR_WINOGRAD:
        return math.inf
    tiles = -(-height // 4) * -(-width // 4)
    lanes = kernels.vectors.LANES
    products = 36 * tiles * in_channels * -(-out_channels // lanes) * lanes
    return products / 0.9 + 500 * tiles * (in_channels + out_channels)


def prepare_winograd(step: Convolution) -> None:
    winograd = kernels.winograd
    _, width, out_channels = step.output_shape
    in_channels = step.input_shape[2]
    filters = winograd.transform_filters(step.weight)
    bias = float_bias(step)
    tiles = -(-width // winograd.TILE)
    together = tiles * max(1, -(-winograd.TILES_AT_ONCE // tiles))
    forward = winograd.conv_winograd_forward
    top, left, bottom, right = step.window.padding
    spare: list[tuple[np.ndarray, ...]] = []  # scratch of threads that are done with it
    direct = Convolution(step.input_shape, step.window, step.weight, step.bias)
    prepare_direct(direct)

    def scratch() -> tuple[np.ndarray, ...]:
        room = winograd.PLACES * together * in_channels
        v = np.empty(room + kernels.vectors.PIXELS * in_channels, np.float32)[:room]
        return (
            v.reshape(winograd.PLACES, together, in_channels),
            np.empty((winograd.PLACES, together, out_channels), np.float32),
            np.empty((winograd.PATCH, winograd.PATCH, max(in_channels, out_channels)), np.float32),
        )

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        v, m, half = arrays = spare.pop() if spare else scratch()
        lines = -(-rows // winograd.TILE)
        flags = np.zeros(lines, np.uint8)
        forward(x, x_row, filters, bias, out, out_row, out_column, rows, columns, v, m, half, flags)
        spare.append(arrays)
        if flags.any():  # a value that is not finite would spread over its tile
            for line in np.flatnonzero(flags):
                row = int(line) * winograd.TILE
                count = min(winograd.TILE, rows - row)
                direct.kernel(x, x_row + row, 0, out, out_row + row, out_column, first + row, count, columns)

    step.kernel = kernel
    step.row_multiple = winograd.TILE
    step.window = step.window._replace(padding=(top, left, bottom, right + tiles * winograd.TILE - width))
    step.overread = direct.overread


def fourier_fits(step: Convolution) -> bool:
    _, stride, dilation, _ = step.window
    return stride == (1, 1) and dilation == (1, 1) and max(step.window.kernel_size) < max(FOURIER_SIZES)


def fourier_cost_of(step: Convolution, size: int) -> float:
    """5 n log n operations for a transform of n; the spectra of the filters are read from the third cache."""
    (kh, kw), (height, width, out_channels) = step.window.kernel_size, step.output_shape
    rows, columns = size - kh + 1, size - kw + 1
    if rows < 1 or columns < 1:
        return math.inf
    lanes, in_channels = kernels.vectors.LANES, step.input_shape[2]
    blocks = step.groups * -(-out_channels // step.groups // lanes)
    half, log = size // 2 + 1, math.log2(size)
    products = 8 * half * size * in_channels // step.groups
    inverse = 5 * half * size * log + min(rows, height) * (2.5 * size * (log - 1) + 5 * size)
    forward = 60 * size * size * log * in_channels
    spectra_bytes = 8 * half * size * lanes * blocks * in_channels // step.groups
    tiles = -(-height // rows) * -(-width // columns)
    return tiles * (1.15 * blocks * lanes * (products + inverse) + forward + 2.5 * spectra_bytes)


def fourier_size(step: Convolution) -> int:
    return min(FOURIER_SIZES, key=lambda size: fourier_cost_of(step, size))


def fourier_cost(step: Convolution) -> float:
    return fourier_cost_of(step, fourier_size(step))


def prepare_fourier(step: Convolution) -> None:
    fourier, size = kernels.fourier, fourier_size(step)
    (kh, kw), (_, width, out_channels) = step.window.kernel_size, step.output_shape
    tall, wide = size - kh + 1, size - kw + 1  # outputs of a tile
    groups, per_group, in_group = step.groups, out_channels // step.groups, step.weight.shape[2]
    lanes = kernels.vectors.LANES
    blocks = -(-per_group // lanes)
    spectra = [
        fourier.transform_filters(step.weight[..., group * per_group : (group + 1) * per_group], size)
        for group in range(groups)
    ]
    bias = np.zeros((groups, blocks * lanes), np.float32)
    bias[:, :per_group] = float_bias(step).reshape(groups, per_group)
    table = fourier.twiddles(size)
    forward = fourier.conv_fourier_forward
    direct = Convolution(step.input_shape, step.window, step.weight, step.bias, groups)
    prepare_direct(direct)
    spare: list[tuple[np.ndarray, ...]] = []  # scratch of threads that are done with it

    def scratch() -> tuple[np.ndarray, ...]:
        shapes = (size, 2, lanes), (size, 2, lanes), (tall, size // 2 + 1, 2, lanes)
        return tuple(np.empty(shape, np.float32) for shape in shapes)

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        a, b, lines = arrays = spare.pop() if spare else scratch()
        for y in range(0, rows, tall):
            line = x[x_row + y : x_row + y + size]
            count = min(tall, rows - y)
            if not np.isfinite(line).all():  # it would spread over whole tiles
                direct.kernel(x, x_row + y, 0, out, out_row + y, out_column, first + y, count, columns)
                continue
            for left in range(0, columns, wide):
                spectrum = fourier.transform_image(line[:, left : left + size])
                for group in range(groups):
                    part = spectrum[group * in_group : (group + 1) * in_group]
                    for block in range(blocks):
                        channel = group * per_group + block * lanes
                        forward(
                            part, spectra[group], block, bias[group], out, out_row + y, out_column + left, channel,
                            min(lanes, per_group - block * lanes), count, min(wide, columns - left), table, a, b, lines,
                        )  # fmt: skip
        spare.append(arrays)

    step.kernel = kernel
    step.row_multiple = tall
    top, left, bottom, right = step.window.padding
    step.window = step.window._replace(padding=(top, left, bottom, right + -width % wide))
    step.overread = direct.overread


def float_bias(step: Convolution) -> np.ndarray:
    bias = np.zeros(step.output_shape[2]) if step.bias is None else step.bias
    return np.ascontiguousarray(bias, np.float32)


ALGORITHMS = {
    "direct": Algorithm(lambda step: True, direct_cost, prepare_direct),
    "depthwise": Algorithm(is_depthwise, depthwise_cost, prepare_depthwise),
    "fft": Algorithm(fourier_fits, fourier_cost, prepare_fourier),
    "winograd": Algorithm(winograd_fits, winograd_cost, prepare_winograd),
}
