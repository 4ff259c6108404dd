"""The transforms of Winograd's minimal filtering, of one tile after the other.

F(4x4, 3x3), and the inputs of F(2x2, 5x5), which sees the same patch; the rest is in `winograd_small_tiles`.

    y = A^T [(G g G^T) * (B^T d B)] A      A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016

A tile is seen through a patch of 6x6 or 4x4 inputs; `v` holds the transformed patches and `m` their products with the
filters: elements of a patch x tiles x channels.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import copy_floats, load, load_first, splat, store, store_first, where_less
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.sources.winograd_outliers import are_plain, state_of
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd import PATCH, TILE

F = np.float32
BYTES = 4 * LANES
ZERO, TWO, FOUR, FIVE, EIGHT = F(0), F(2), F(4), F(5), F(8)


@inlined
def _input_line(d0, d1, d2, d3, d4, d5):
    two, four, five = splat(TWO), splat(FOUR), splat(FIVE)
    low, high = d4 - four * d2, d3 - four * d1
    near, far = d4 - d2, two * (d3 - d1)
    return four * d0 - five * d2 + d4, low + high, low - high, near + far, near - far, four * d1 - five * d3 + d5


@inlined
def _output_line(m0, m1, m2, m3, m4, m5):
    two, four, eight = splat(TWO), splat(FOUR), splat(EIGHT)
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + two * d, a + four * c, b + eight * d + m5


@inlined
def load_six(at, step, count):
    """Six vectors from `at` on, `step` bytes apart, of which the first `count` lanes are there."""
    if count == LANES:
        return (
            load(at), load(at + step), load(at + 2 * step), load(at + 3 * step), load(at + 4 * step),
            load(at + 5 * step),
        )  # fmt: skip
    return (
        load_first(at, count), load_first(at + step, count), load_first(at + 2 * step, count),
        load_first(at + 3 * step, count), load_first(at + 4 * step, count), load_first(at + 5 * step, count),
    )  # fmt: skip


@inlined
def store_one(at, value, count):
    if count == LANES:
        store(at, value)
    else:
        store_first(at, value, count)


@inlined
def load_one(at, count):
    return load(at) if count == LANES else load_first(at, count)


@inlined
def at_least(bound, value):
    return where_less(value, bound, bound, value)


@inlined
def patch_at(x, y0, x0, patch, edge):
    """The address of the patch of x at (y0, x0), and the bytes from row to row.

    One that reaches out of x is put together in `edge`, zeros where x is not.
    """
    height, width, channels = x.shape
    pixel = 4 * channels
    at, line = address_of(x) + (y0 * width + x0) * pixel, width * pixel
    if y0 < 0 or x0 < 0 or y0 + patch > height or x0 + patch > width:
        from_at, from_line = at, line
        at, line = address_of(edge), patch * pixel
        for i in range(patch):
            for j in range(patch):
                to = at + i * line + j * pixel
                if 0 <= y0 + i < height and 0 <= x0 + j < width:
                    copy_floats(to, from_at + i * from_line + j * pixel, channels)
                else:
                    for c in range(0, channels, LANES):  # past the pixel's end, where the next one will be
                        store(to + 4 * c, splat(ZERO))
    return at, line


@kernel
def winograd_input_forward(x, y0, x0, tile, tiles, v, first, half, edge, states, rows, columns):
    """v[a, b, first + t, c] = (B^T d B)[a, b] of the 6x6 patch of x at (y0, x0 + tile t), which may reach out of x.

    Where `tile` is TILE, states[first + t] becomes what `winograd_outliers` says of the tile, for `rows` x `columns`
    outputs in all; returns whether any needs mending. Scratch: `half`: 36, LANES; `edge`: a patch and LANES more.
    """
    channels = x.shape[2]
    pixel, element = 4 * channels, 4 * v.shape[1] * channels
    half_at, row = address_of(half), PATCH * BYTES
    rows, found = min(TILE, rows), False
    for t in range(tiles):
        patch_from, line = patch_at(x, y0, x0 + tile * t, PATCH, edge)
        a = b = splat(ZERO)
        for c in range(0, channels, LANES):
            count = min(LANES, channels - c)
            x_at = patch_from + 4 * c
            v_at = address_of(v) + (first + t) * pixel + 4 * c
            for j in range(PATCH):
                d0, d1, d2, d3, d4, d5 = load_six(x_at + j * pixel, line, count)
                a = a + d0 * d0 + d1 * d1 + d2 * d2
                b = b + d3 * d3 + d4 * d4 + d5 * d5
                h0, h1, h2, h3, h4, h5 = _input_line(d0, d1, d2, d3, d4, d5)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
                store(at + 4 * row, h4)
                store(at + 5 * row, h5)
            for i in range(PATCH):
                d0, d1, d2, d3, d4, d5 = load_six(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3, h4, h5 = _input_line(d0, d1, d2, d3, d4, d5)
                at = v_at + i * PATCH * element
                store_one(at, h0, count)
                store_one(at + element, h1, count)
                store_one(at + 2 * element, h2, count)
                store_one(at + 3 * element, h3, count)
                store_one(at + 4 * element, h4, count)
                store_one(at + 5 * element, h5, count)
        if tile == TILE:
            wide, state = min(TILE, columns - TILE * t), 0
            if not are_plain(a + b, patch_from, line, channels, rows, wide):
                state = state_of(patch_from, line, channels, PATCH, rows, wide, half)
            states[first + t] = state
            found |= state != 0
    return found


@kernel
def winograd_output_forward(m, first, tiles, bias, target, size, span, half, low):
    """target = max(low, A^T m A + bias), cut off at `size`; returns not zero if a result is not finite.

    The channels of m are those in `span` of `target` and `bias`.
    """
    (out, out_row, out_column), (rows, columns), (channel, last) = target, size, span
    channels, pixel = m.shape[2], 4 * out.shape[2]
    line, element = out.shape[1] * pixel, 4 * m.shape[1] * channels
    half_at, row = address_of(half), PATCH * BYTES
    trouble, bound = splat(ZERO), splat(low)
    for t in range(tiles):
        wide = min(TILE, columns - TILE * t)
        for o in range(0, last - channel, LANES):
            count = min(LANES, last - channel - o)
            m_at = address_of(m) + 4 * ((first + t) * channels + o)
            y_at = address_of(out) + out_row * line + (out_column + TILE * t) * pixel + 4 * (channel + o)
            for j in range(PATCH):
                d0, d1, d2, d3, d4, d5 = load_six(m_at + j * element, PATCH * element, count)
                h0, h1, h2, h3 = _output_line(d0, d1, d2, d3, d4, d5)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
            offset = load_one(address_of(bias) + 4 * (channel + o), count)
            for i in range(min(TILE, rows)):
                d0, d1, d2, d3, d4, d5 = load_six(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3 = _output_line(d0, d1, d2, d3, d4, d5)
                trouble = trouble + ((h0 + h1) + (h2 + h3)) * splat(ZERO)
                at = y_at + i * line
                store_one(at, at_least(bound, h0 + offset), count)
                if wide > 1:
                    store_one(at + pixel, at_least(bound, h1 + offset), count)
                if wide > 2:
                    store_one(at + 2 * pixel, at_least(bound, h2 + offset), count)
                if wide > 3:
                    store_one(at + 3 * pixel, at_least(bound, h3 + offset), count)
    store(half_at, trouble)
    total = ZERO
    for lane in range(LANES):
        total += half[0, lane]
    return total
