"""Winograd's F(4x4, 3x3) over whole batches in training: forward, and the gradient of the filters.

Forward, y = A^T [(G w G^T) * (B^T d B)] A for each tile. The gradient of w is the same form read the other way:

    d_w = G^T [sum over n and tiles of (A d_y A^T) * (B^T d B)] G

The gradient of the input is a forward pass with the rotated filters. On 128 x 14 x 14 x 32 -> 64, one core, forward
took 5.8 ms and 9.2 directly, the gradient of the input 6.3 and 8.9, of the filters 5.8 and 8.9. Errors are about 1e-5
of the largest result.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Corner, Size, Span
from cnntool.kernels.convolution import BLOCK, NO_LIMIT
from cnntool.kernels.sources.convolution_backward import outer, place
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import load, load_first, splat
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.sources.winograd import products
from cnntool.kernels.sources.winograd_outliers import are_plain, fill_empty, has_outlier, state_of
from cnntool.kernels.sources.winograd_tiles import winograd_input_forward, winograd_output_forward
from cnntool.kernels.vectors import LANES, PIXELS
from cnntool.kernels.winograd import DIRECT, ELEMENTS, PATCH, TILE, TILES_AT_ONCE

F = np.float32


@inlined
def _scratch(elements, tiles, channels):
    """Room for elements of tiles, behind which PIXELS more may be read."""
    apart = tiles | 1  # an odd number of tiles avoids conflicts in the L1 cache
    return np.empty((elements + -(-PIXELS // apart), apart, channels), np.float32)[:elements]


@kernel
def conv_winograd_images_forward(x, first, last, u, bias, out, row, column, spoiled):
    """x: N, H, W, C laid on canvases from (row, column); u: `transform_filters`; out: N, h, w, O, first <= n < last

    spoiled[n] becomes 1 where an outlier or a value that is not finite spoils outputs that do not see it.
    """
    _, rows, columns, out_channels = out.shape
    channels = x.shape[3]
    lines, tiles = -(-rows // TILE), -(-columns // TILE)
    together = max(1, TILES_AT_ONCE // tiles)
    canvas = np.zeros((TILE * lines + 2, TILE * tiles + 2, channels), np.float32)
    v, m = _scratch(ELEMENTS, together * tiles, channels), _scratch(ELEMENTS, together * tiles, BLOCK)
    lanes, zeros = np.empty((ELEMENTS, LANES), np.float32), np.zeros(BLOCK, np.float32)
    states = np.zeros(v.shape[1], np.int64)
    total, present = (last - first) * lines, -1
    for line in range(0, total, together):  # lines of tiles of all images, so that the register tiles are full
        count, mends = min(together, total - line), False
        for i in range(count):
            n = first + (line + i) // lines
            if n != present:
                place(x[n], canvas, row, column, 1, 1)
                present = n
            y, at = TILE * ((line + i) % lines), i * tiles
            if winograd_input_forward(canvas, y, 0, TILE, tiles, v, at, lanes, lanes[0], states, rows - y, columns):
                mends = True
                spoiled[n] |= has_outlier(states, at, tiles)
        for channel in range(0, out_channels, BLOCK):
            block = Span(channel, min(out_channels, channel + BLOCK))
            products(u, v, m, zeros, count * tiles, block.first, block.last)
            for i in range(count):
                n, y = first + (line + i) // lines, TILE * ((line + i) % lines)
                to, size = Corner(out[n], y, 0), Size(min(TILE, rows - y), columns)
                if winograd_output_forward(m, i * tiles, tiles, bias, to, size, block, lanes, NO_LIMIT) != F(0):
                    spoiled[n] = 1
                if mends:
                    fill_empty(states, i * tiles, tiles, bias, to, size, block, NO_LIMIT)


@inlined
def _gradient_line(y0, y1, y2, y3):
    even, odd, far_even, far_odd = y0 + y2, y1 + y3, y0 + F(4) * y2, F(2) * y1 + F(8) * y3
    return y0, even + odd, even - odd, far_even + far_odd, far_even - far_odd, y3


@kernel
def winograd_gradient_forward(d, y0, tiles, m, first, half):
    """m[a, b, first + t, o] = (A d A^T)[a, b] of the 4x4 tile of d at (y0, 4 t)"""
    channels = d.shape[2]
    for t in range(tiles):
        x0, at = TILE * t, first + t
        for j in range(TILE):
            p0, p1, p2, p3 = d[y0, x0 + j], d[y0 + 1, x0 + j], d[y0 + 2, x0 + j], d[y0 + 3, x0 + j]
            h0, h1, h2, h3, h4, h5 = half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j]
            for o in range(channels):
                h0[o], h1[o], h2[o], h3[o], h4[o], h5[o] = _gradient_line(p0[o], p1[o], p2[o], p3[o])
        for i in range(PATCH):
            h0, h1, h2, h3 = half[i, 0], half[i, 1], half[i, 2], half[i, 3]
            m0, m1, m2 = m[PATCH * i, at], m[PATCH * i + 1, at], m[PATCH * i + 2, at]
            m3, m4, m5 = m[PATCH * i + 3, at], m[PATCH * i + 4, at], m[PATCH * i + 5, at]
            for o in range(channels):
                m0[o], m1[o], m2[o], m3[o], m4[o], m5[o] = _gradient_line(h0[o], h1[o], h2[o], h3[o])


@inlined
def _gradient_has_outlier(d, y0, tiles, room):
    """Whether in any 4x4 tile of d at (y0, 4 t) pixels that are not zero are faint beside others."""
    channels, found = d.shape[2], False
    line = 4 * d.shape[1] * channels
    for t in range(tiles):
        tile_at = address_of(d) + y0 * line + 16 * t * channels
        energy = splat(F(0))
        for i in range(TILE):
            for c in range(0, TILE * channels, LANES):
                at = tile_at + i * line + 4 * c
                value = load(at) if c + LANES <= TILE * channels else load_first(at, TILE * channels - c)
                energy = energy + value * value
        if not are_plain(energy, tile_at, line, channels, 2, 2):
            found |= state_of(tile_at, line, channels, TILE, 2, 2, room) == DIRECT
    return found


@kernel
def conv_winograd_weight_backward(x, d_output, first, last, top, left, total, spoiled):
    """total[p, ic, oc] += the products of the transformed tiles of x and d_output, summed over first <= n < last

    spoiled[0] becomes 1 where an outlier in x or d_output, or what is not finite, spoils sums that do not see it.
    """
    _, rows, columns, out_channels = d_output.shape
    channels = x.shape[3]
    lines, tiles = -(-rows // TILE), -(-columns // TILE)
    together = max(1, TILES_AT_ONCE // tiles)
    canvas = np.zeros((TILE * lines + 2, TILE * tiles + 2, channels), np.float32)
    d_canvas = np.zeros((TILE * lines, TILE * tiles, out_channels), np.float32)
    v, m = _scratch(ELEMENTS, together * tiles, channels), _scratch(ELEMENTS, together * tiles, out_channels)
    half = np.empty((PATCH, PATCH, max(channels, out_channels)), np.float32)
    lanes, states = np.empty((ELEMENTS, LANES), np.float32), np.zeros(v.shape[1], np.int64)
    count, present = (last - first) * lines, -1
    for line in range(0, count, together):
        here = min(together, count - line)
        for i in range(here):
            n, y = first + (line + i) // lines, TILE * ((line + i) % lines)
            if n != present:
                place(x[n], canvas, top, left, 1, 1)
                place(d_output[n], d_canvas, 0, 0, 1, 1)
                present = n
            if winograd_input_forward(
                canvas, y, 0, TILE, tiles, v, i * tiles, lanes, lanes[0], states, rows - y, columns
            ):
                spoiled[0] |= has_outlier(states, i * tiles, tiles)
            spoiled[0] |= _gradient_has_outlier(d_canvas, y, tiles, lanes)
            winograd_gradient_forward(d_canvas, y, tiles, m, i * tiles, half)
        for p in range(ELEMENTS):
            outer(
                address_of(v) + 4 * p * v.shape[1] * channels, address_of(m) + 4 * p * m.shape[1] * out_channels,
                address_of(total) + 4 * p * channels * out_channels,
                1, here * tiles, 0, channels, 0, out_channels, channels, out_channels, out_channels,
            )  # fmt: skip
    keep_alive(v)
    keep_alive(m)
    keep_alive(d_canvas)
