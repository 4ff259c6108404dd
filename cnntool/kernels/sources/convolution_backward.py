"""Convolution of whole batches and its gradients, by the register tiles.

    d_input[iy, ix, ic] = sum over oy, ox, ky, kx with iy = sy oy + dy ky, of d_output[oy, ox, oc] * w[ky, kx, ic, oc]
    d_weight[ky, kx, ic, oc] = sum over n, oy, ox of x[n, sy oy + dy ky, sx ox + dx kx, ic] * d_output[n, oy, ox, oc]

Each image is first copied to a canvas of zeros. The gradient of the input is the convolution of d_output, its pixels
`stride` apart on the canvas, with the filters rotated by 180 degrees and inputs and outputs exchanged. That multiplies
zeros for strides above 1 (4 times the work at stride 2), which few layers of a network have.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Corner, Size
from cnntool.kernels.convolution import BLOCK, EVERY_BLOCK, NO_LIMIT, NONE
from cnntool.kernels.sources.convolution import conv_depthwise_forward, conv_direct_forward
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.separate import separate
from cnntool.kernels.sources.simd import copy_floats, load, store
from cnntool.kernels.sources.tile import address_of, keep_alive, outer_tile
from cnntool.kernels.vectors import HOST, LANES, PIXELS, VECTORS

SHORT = HOST.outer_rows  # rows of the short tile of outer products
FEW = PIXELS  # inputs under a row of the filter, up to which im2col precedes the outer products


@kernel
def place(image, canvas, row, column, spread_y, spread_x):
    """canvas[row + spread_y i, column + spread_x j] = image[i, j], within the canvas."""
    height, width, channels = image.shape
    for i in range(height):
        r = row + spread_y * i
        if 0 <= r < canvas.shape[0]:
            if spread_x == 1 and column >= 0 and column + width <= canvas.shape[1]:
                to_at = address_of(canvas) + 4 * (r * canvas.shape[1] + column) * channels
                copy_floats(to_at, address_of(image) + 4 * i * width * channels, width * channels)
            else:
                for j in range(width):
                    s = column + spread_x * j
                    if 0 <= s < canvas.shape[1]:
                        for c in range(channels):
                            canvas[r, s, c] = image[i, j, c]


@inlined
def _canvas(height, width, channels, slack):
    """Zeros, behind which lie at least `slack` more. (`reshape` would call a function of Numba's.)"""
    return np.zeros((height + -(-slack // (width * channels)), width, channels), np.float32)[:height]


convolve = separate(conv_direct_forward)


@kernel
def conv_images_forward(x, first, last, filters, out, canvas_of, window):
    """x: N, H, W, C; out: N, h, w, c; for first <= n < last, out[n] = the convolution of x[n] on its canvas"""
    (canvas_height, canvas_width), (row, column), (spread_y, spread_x) = canvas_of
    size, channels, sx = Size(out.shape[1], out.shape[2]), x.shape[3], window.stride[1]
    canvas = _canvas(canvas_height, canvas_width, channels, PIXELS * sx * channels + LANES)
    for n in range(first, last):
        place(x[n], canvas, row, column, spread_y, spread_x)
        convolve(
            Corner(canvas, 0, 0), filters, Corner(out[n], 0, 0), size, window, NO_LIMIT, EVERY_BLOCK,
            Corner(out[n], NONE, 0),
        )  # fmt: skip


@kernel
def conv_depthwise_images_forward(x, first, last, filters, out, canvas_of, window):
    """As `conv_images_forward`, channel by channel."""
    (canvas_height, canvas_width), (row, column), (spread_y, spread_x) = canvas_of
    size, channels, sx = Size(out.shape[1], out.shape[2]), x.shape[3], window.stride[1]
    canvas = _canvas(canvas_height, canvas_width, channels, PIXELS * sx * channels + LANES)
    for n in range(first, last):
        place(x[n], canvas, row, column, spread_y, spread_x)
        conv_depthwise_forward(Corner(canvas, 0, 0), filters.weight, filters.bias, Corner(out[n], 0, 0), size, window)


@kernel
def outer(x_at, w_at, y_at, rows, columns, x_row, x_column, w_row, w_column, inputs, outputs, y_line):
    """y[p, c] += sum of x[.., p] w[.., c] for all p < inputs, c < outputs, tile by tile.

    Uses short tiles where they waste less: 32 inputs are four tiles of 8, but 14 + 14 + 4.
    """
    short = -(-inputs // SHORT) * SHORT * 10 < -(-inputs // PIXELS) * PIXELS * 9
    step = SHORT if short else PIXELS
    for c in range(0, outputs, BLOCK):
        channels = min(BLOCK, outputs - c)
        for p in range(0, inputs, step):
            count = min(step, inputs - p)
            x_from, w_from, y_from = x_at + 4 * p, w_at + 4 * c, y_at + 4 * (p * y_line + c)
            if channels > LANES and short:
                outer_tile(
                    x_from, w_from, y_from, rows, columns, x_row, x_column, w_row, w_column, y_line,
                    count, channels, SHORT, VECTORS,
                )  # fmt: skip
            elif channels > LANES:
                outer_tile(
                    x_from, w_from, y_from, rows, columns, x_row, x_column, w_row, w_column, y_line,
                    count, channels, PIXELS, VECTORS,
                )  # fmt: skip
            elif short:
                outer_tile(
                    x_from, w_from, y_from, rows, columns, x_row, x_column, w_row, w_column, y_line,
                    count, channels, SHORT, 1,
                )  # fmt: skip
            else:
                outer_tile(
                    x_from, w_from, y_from, rows, columns, x_row, x_column, w_row, w_column, y_line,
                    count, channels, PIXELS, 1,
                )  # fmt: skip


@kernel
def conv_weight_backward(x, d_output, first, last, d_weight, canvas_of, window, groups):
    """x: N, H, W, C; d_output: N, h, w, c; d_weight += the sum over first <= n < last"""
    (canvas_height, canvas_width), (top, left), _ = canvas_of
    _, (sy, sx), (dy, dx), _ = window
    kh, kw, depth, out_channels = d_weight.shape
    _, rows, columns, _ = d_output.shape
    channels, per_group = x.shape[3], out_channels // groups
    canvas = _canvas(canvas_height, canvas_width, channels, PIXELS * sx * channels + LANES)
    x_line, d_line = canvas_width * channels, columns * out_channels
    few = groups == 1 and kw * channels <= FEW
    inputs = kh * kw * channels if few else 1
    windows = _canvas(rows, columns, inputs, max(PIXELS, LANES))
    for n in range(first, last):
        place(x[n], canvas, top, left, 1, 1)
        d_at = address_of(d_output) + 4 * n * rows * d_line
        if few:  # one outer product of entire windows fills the tile with any number of channels
            _lay_out_windows(canvas, windows, window)
            outer(
                address_of(windows), d_at, address_of(d_weight), 1, rows * columns, 0, inputs, 0, out_channels,
                inputs, out_channels, out_channels,
            )  # fmt: skip
            continue
        for ky in range(kh):
            if groups == 1 and dx == 1:  # a row of the filter is one contiguous piece
                outer(
                    address_of(canvas) + 4 * dy * ky * x_line, d_at,
                    address_of(d_weight) + 4 * ky * kw * depth * out_channels, rows, columns, sy * x_line,
                    sx * channels, d_line, out_channels, kw * depth, out_channels, out_channels,
                )  # fmt: skip
                continue
            for kx in range(kw):
                for group in range(groups):
                    outer(
                        address_of(canvas) + 4 * (dy * ky * x_line + dx * kx * channels + group * depth),
                        d_at + 4 * group * per_group,
                        address_of(d_weight) + 4 * ((ky * kw + kx) * depth * out_channels + group * per_group),
                        rows, columns, sy * x_line, sx * channels, d_line, out_channels, depth, per_group, out_channels,
                    )  # fmt: skip
    keep_alive(canvas)
    keep_alive(windows)


@kernel
def _lay_out_windows(canvas, windows, window):
    """windows[oy, ox, (ky kw + kx) C + c] = canvas[sy oy + dy ky, sx ox + dx kx, c]

    Whole vectors are copied, the next ones over the surplus of those before: number by number 3x3 windows of one
    channel took two thirds of the gradient.
    """
    (kh, kw), (sy, sx), (dy, dx), _ = window
    channels = canvas.shape[2]
    pieces, piece = (1, kw * channels) if dx == 1 else (kw, channels)
    for oy in range(windows.shape[0]):
        for ox in range(windows.shape[1]):
            to = address_of(windows) + 4 * (oy * windows.shape[1] + ox) * windows.shape[2]
            for ky in range(kh):
                row = address_of(canvas) + 4 * ((sy * oy + dy * ky) * canvas.shape[1] + sx * ox) * channels
                for kx in range(pieces):
                    for c in range(0, piece, LANES):
                        store(to + 4 * ((ky * pieces + kx) * piece + c), load(row + 4 * (dx * kx * channels + c)))


@kernel
def conv_depthwise_weight_backward(x, d_output, first, last, d_weight, canvas_of, window):
    """d_weight[ky, kx, 0, c] += sum over n, oy, ox of x[n, sy oy + dy ky, sx ox + dx kx, c] * d_output[n, oy, ox, c]"""
    (canvas_height, canvas_width), (top, left), _ = canvas_of
    _, (sy, sx), (dy, dx), _ = window
    kh, kw, _, channels = d_weight.shape
    canvas = _canvas(canvas_height, canvas_width, channels, 0)
    for n in range(first, last):
        place(x[n], canvas, top, left, 1, 1)
        for ky in range(kh):
            for kx in range(kw):
                total = d_weight[ky, kx, 0]
                for oy in range(d_output.shape[1]):
                    for ox in range(d_output.shape[2]):
                        pixel, d = canvas[sy * oy + dy * ky, sx * ox + dx * kx], d_output[n, oy, ox]
                        for c in range(channels):
                            total[c] += pixel[c] * d[c]


@kernel
def conv_bias_backward(d_output, first, last, d_bias):
    """d_bias[oc] += sum over n, oy, ox of d_output[n, oy, ox, oc], in float64"""
    _, rows, columns, channels = d_output.shape
    line = np.empty(channels, np.float32)
    for n in range(first, last):
        for oy in range(rows):
            line[:] = np.float32(0)
            for ox in range(columns):
                pixel = d_output[n, oy, ox]
                for c in range(channels):
                    line[c] += pixel[c]
            for c in range(channels):
                d_bias[c] += line[c]


@kernel
def dense_weight_backward(x, d_output, images, first, last, d_weight):
    """x: N, I; d_output: N, O; d_weight: I, O; d_weight[i, o] += sum over n < images of x[n, i] d_output[n, o]

    For first <= i < last. The rows of x are followed by padding for one more tile.
    """
    outputs = d_output.shape[1]
    outer(
        address_of(x) + 4 * first, address_of(d_output), address_of(d_weight) + 4 * first * outputs,
        1, images, 0, x.shape[1], 0, outputs, last - first, outputs, outputs,
    )  # fmt: skip
