"""Large kernels by Fourier transforms of tiles."""

from __future__ import annotations

import math

import numpy as np

from cnntool import kernels
from cnntool.algorithms import Algorithm
from cnntool.algorithms.direct import direct_step, epilogue, float_bias
from cnntool.kernels.arguments import Corner, Size, Span
from cnntool.steps.step import Band, Call, Convolution, Windowed, run_calls

LARGEST_BAND = 2**27  # bytes of the outputs of one row of tiles, which a band must hold
FEW_ROWS = 40  # of a tile; shorter ones are not cut to a multiple of 4
SIZES = kernels.vectors.HOST.fourier_sizes  # of a tile's side
# Transforms err by up to 3e-7 of the tile's root mean square, also where a window sees only small values. A tile where
# both of these times the largest value of a window are exceeded is not transformed; 8-bit images stay below the latter.
LARGEST_RMS, LARGEST_PEAK = 8, 256
LARGEST = 2.0**60  # of the transformed values, far from overflow


def fourier_fits(convolution: Convolution) -> bool:
    _, stride, dilation, _ = convolution.window
    return stride == (1, 1) and dilation == (1, 1) and max(convolution.window.kernel_size) < max(SIZES)


def tile_rows(size: int, kernel_height: int) -> int:
    """The output rows of a tile of `size`; a multiple of 4 where that wastes few.

    A band of a pooling layer is whole rows of tiles: 2x2 pools after tiles of 57 rows would make it twice as tall.
    """
    rows = size - kernel_height + 1
    return rows - rows % 4 if rows > FEW_ROWS else rows


def fourier_cost_of(convolution: Convolution, size: int) -> float:
    """5 n log n operations for a transform of n; the spectra of the filters are read from the L3 cache."""
    (kh, kw), (height, width, out_channels) = convolution.window.kernel_size, convolution.output_shape
    rows, columns = tile_rows(size, kh), size - kw + 1
    if rows < 1 or columns < 1 or (4 * min(rows, height) * width * out_channels > LARGEST_BAND and size > min(SIZES)):
        return math.inf
    lanes, in_channels = kernels.vectors.LANES, convolution.input_shape[2]
    blocks = convolution.groups * -(-out_channels // convolution.groups // lanes)
    half, log = size // 2 + 1, math.log2(size)
    products = 8 * half * size * in_channels // convolution.groups
    inverse = 5 * half * size * log + min(rows, height) * (2.5 * size * (log - 1) + 5 * size)
    forward = 60 * size * size * log * in_channels
    spectra_bytes = 8 * half * size * lanes * blocks * in_channels // convolution.groups
    tiles = -(-height // rows) * -(-width // columns)
    return tiles * (1.15 * blocks * lanes * (products + inverse) + forward + 2.5 * spectra_bytes)


def fourier_size(convolution: Convolution) -> int:
    return min(SIZES, key=lambda size: fourier_cost_of(convolution, size))


def fourier_cost(convolution: Convolution) -> float:
    """Counts double for a single row of tiles, which occupies only one thread."""
    size = fourier_size(convolution)
    one_row = convolution.output_shape[0] <= size - convolution.window.kernel_size[0] + 1
    return fourier_cost_of(convolution, size) * (2 if one_row else 1)


def _sliding_maximum(values: np.ndarray, count: int) -> np.ndarray:
    """The maximum of `count` rows at each position, in a logarithmic number of passes."""
    span = 1
    while span < count:
        more = min(span, count - span)
        values = np.maximum(values[:-more], values[more:])
        span += more
    return values


ALL_SEE = np.ones((1, 1), np.float32)
"""Stands for peaks: every window sees a value other than zero."""


def all_windows_see(line: np.ndarray, first: int, channels: int, kernel_size: tuple[int, int], columns: int) -> bool:
    """Whether each window of the first `columns` columns sees a value that is not lost beside the largest of the line.

    Each window holds a whole block of half its size, so the largest values of blocks tell it in one pass. Where they do
    not, it may still be so.
    """
    height, width = ((size + 1) // 2 for size in kernel_size)
    tall, wide = len(line), columns + kernel_size[1] - 1  # behind these lie zeros that no window of interest sees
    peaks = np.empty((-(-tall // height), -(-wide // width)), np.float32)
    kernels.fourier.largest_of_blocks(line, first, channels, height, width, peaks)
    largest = peaks.max()
    return bool(0 < largest < LARGEST and largest <= LARGEST_PEAK * peaks[: tall // height, : wide // width].min())


def window_peaks(
    line: np.ndarray, first: int, channels: int, kernel_size: tuple[int, int], size: int, columns: int
) -> np.ndarray | None:
    """The largest magnitude that each window of a row of tiles sees in `channels` channels from `first` on.

    None if transforms would lose it: a tile mixes all its values, so that an outlier, such as the no-data value of a
    float image, drowns outputs whose windows do not see it.
    """
    if all_windows_see(line, first, channels, kernel_size, columns):
        return ALL_SEE
    magnitude = np.empty(line.shape[:2], np.float32)
    kernels.fourier.largest_of_channels(line, first, channels, magnitude)
    kh, kw = kernel_size
    peaks = _sliding_maximum(_sliding_maximum(magnitude, kh).T, kw).T
    wide = size - kw + 1
    for left in range(0, peaks.shape[1], wide):
        tile = peaks[:, left : left + wide]
        largest, faintest = tile.max(), tile.min()
        if not largest < LARGEST:  # or not a number
            return None
        if faintest == 0:
            faintest = tile[tile > 0].min(initial=np.inf)
        if largest > LARGEST_PEAK * faintest:
            rms = np.sqrt(np.square(magnitude[:, left : left + size]).sum() / size**2)
            if rms > LARGEST_RMS * faintest:
                return None
    return peaks


def fourier_step(convolution: Convolution) -> Windowed:
    """By the product of the spectra of filters and of tiles."""
    fourier, size = kernels.fourier, fourier_size(convolution)
    (kh, kw), (_, width, out_channels) = convolution.window.kernel_size, convolution.output_shape
    tall, wide = tile_rows(size, kh), size - kw + 1  # outputs of a tile
    groups, per_group, in_group = convolution.groups, out_channels // convolution.groups, convolution.weight.shape[2]
    lanes = kernels.vectors.LANES
    blocks = -(-per_group // lanes)
    spectra = [
        fourier.transform_filters(convolution.weight[..., group * per_group : (group + 1) * per_group], size)
        for group in range(groups)
    ]
    bias = np.zeros((groups, blocks * lanes), np.float32)
    bias[:, :per_group] = float_bias(convolution).reshape(groups, per_group)
    table = fourier.twiddles(size)
    forward = fourier.conv_fourier_forward
    shapes = convolution.input_shape, convolution.output_shape
    direct = direct_step(Convolution(shapes[0], convolution.window, convolution.weight, convolution.bias, groups))

    def compute(source: Corner, target: Corner, band: Band) -> None:
        (x, x_row, _), (out, out_row, out_column), scratch = source, target, band.scratch
        scratch_shapes = (size, 2, lanes), (size, 2, lanes), (tall, size // 2 + 1, 2, lanes)
        room = tuple(scratch.array(*shape) for shape in scratch_shapes)
        for y in range(0, band.rows, tall):
            count = min(tall, band.rows - y)
            line = x[x_row + y : x_row + y + count + kh - 1]  # no row more, which a band may hold or not
            peaks = [window_peaks(line, group * in_group, in_group, (kh, kw), size, width) for group in range(groups)]
            if any(group_peaks is None for group_peaks in peaks):
                rows = Band(band.first + y, count, scratch)
                run_calls(direct.calls(Corner(x, x_row + y, 0), Corner(out, out_row + y, out_column), rows))
                continue
            for left in range(0, width, wide):
                spectrum = fourier.transform_image(line[:, left : left + size], size)
                for group in range(groups):
                    part = spectrum[group * in_group : (group + 1) * in_group]
                    for block in range(blocks):
                        first = group * per_group + block * lanes
                        forward(
                            part, spectra[group], block, bias[group], Corner(out, out_row + y, out_column + left),
                            Size(count, min(wide, width - left)),
                            Span(first, min(first + lanes, (group + 1) * per_group)), table, room,
                        )  # fmt: skip
            for group in range(groups):
                fill_empty(peaks[group], group, out[out_row + y : out_row + y + count, out_column:])

    def fill_empty(peaks, group, out):
        """Windows that see nothing but zeros give exactly the bias, not the error of a bright tile."""
        empty = peaks[:, :width] == 0
        if peaks is not ALL_SEE and empty.any():
            channels = slice(group * per_group, (group + 1) * per_group)
            out[:, :width, channels][empty] = bias[group, :per_group]

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        return [(compute, (source, target, band)), *epilogue(convolution, target, band)]

    def likely(source: Corner, target: Corner, band: Band) -> list[Call]:
        x, room = source.array, tuple(np.empty((1, 1, 1, 1)[-axes:], np.float32) for axes in (3, 3, 4))
        calls: list[Call] = [(fourier.largest_of_blocks, (x, 0, in_group, 1, 1, room[0][0]))]
        arguments = room[2], spectra[0], 0, bias[0], target, Size(1, 1), Span(0, 1), table, room
        return [*calls, (forward, arguments), *epilogue(convolution, target, band)]

    top, left, bottom, right = convolution.window.padding
    window = convolution.window._replace(padding=(top, left, bottom, right + -width % wide))
    return Windowed(
        *shapes, window, calls, is_native=False, likely=likely, row_multiple=tall, overread=direct.overread
    )  # fmt: skip


ALGORITHM = Algorithm(fourier_fits, fourier_cost, fourier_step)
