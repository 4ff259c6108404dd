"""The transforms of Winograd's minimal filtering with tiles of 2x2 outputs; see `winograd_tiles`.

F(2x2, 3x3), F(2x2, 5x5), and F(2x2, 3x3) with stride 2: along one axis two outputs are a and c of the filter times
three even inputs, by F(2, 2), and b times two odd ones, 5 products instead of 6.
"""

from __future__ import annotations

from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import load, load_first, splat, store
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.sources.winograd_tiles import (
    BYTES,
    TWO,
    ZERO,
    at_least,
    load_one,
    load_six,
    patch_at,
    store_one,
)  # fmt: skip
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd import PATCH, SMALL_PATCH, SMALL_TILE, STRIDED_PATCH


@inlined
def _small_input_line(d0, d1, d2, d3):
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


@inlined
def _small_output_line(m0, m1, m2, m3):
    return m0 + (m1 + m2), (m1 - m2) - m3


@inlined
def _five_output_line(m0, m1, m2, m3, m4, m5):
    return m0 + ((m1 + m2) + (m3 + m4)), (m1 - m2) + splat(TWO) * (m3 - m4) + m5


@inlined
def _strided_input_line(d0, d1, d2, d3, d4):
    return d0 - d2, d2, d4 - d2, d1, d3


@inlined
def _strided_output_line(m0, m1, m2, m3, m4):
    return (m0 + m1) + m3, (m1 + m2) + m4


@inlined
def _load_four(at, step, count):
    if count == LANES:
        return load(at), load(at + step), load(at + 2 * step), load(at + 3 * step)
    return (
        load_first(at, count), load_first(at + step, count), load_first(at + 2 * step, count),
        load_first(at + 3 * step, count),
    )  # fmt: skip


@inlined
def _load_five(at, step, count):
    d0, d1, d2, d3 = _load_four(at, step, count)
    return d0, d1, d2, d3, load_one(at + 4 * step, count)


@kernel
def winograd_small_input_forward(x, y0, x0, tiles, v, first, half, edge):
    """As `winograd_input_forward`, of 4x4 patches at (y0, x0 + 2 t)."""
    channels = x.shape[2]
    pixel, element = 4 * channels, 4 * v.shape[1] * channels
    half_at, row = address_of(half), SMALL_PATCH * BYTES
    for t in range(tiles):
        patch_from, line = patch_at(x, y0, x0 + SMALL_TILE * t, SMALL_PATCH, edge)
        for c in range(0, channels, LANES):
            count = min(LANES, channels - c)
            x_at = patch_from + 4 * c
            v_at = address_of(v) + (first + t) * pixel + 4 * c
            for j in range(SMALL_PATCH):
                d0, d1, d2, d3 = _load_four(x_at + j * pixel, line, count)
                h0, h1, h2, h3 = _small_input_line(d0, d1, d2, d3)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
            for i in range(SMALL_PATCH):
                d0, d1, d2, d3 = _load_four(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3 = _small_input_line(d0, d1, d2, d3)
                at = v_at + i * SMALL_PATCH * element
                store_one(at, h0, count)
                store_one(at + element, h1, count)
                store_one(at + 2 * element, h2, count)
                store_one(at + 3 * element, h3, count)


@kernel
def winograd_strided_input_forward(x, y0, x0, tiles, v, first, half, edge):
    """As `winograd_input_forward`, of 5x5 patches at (y0, x0 + 4 t) for convolution with stride 2."""
    channels = x.shape[2]
    pixel, element = 4 * channels, 4 * v.shape[1] * channels
    half_at, row = address_of(half), STRIDED_PATCH * BYTES
    for t in range(tiles):
        patch_from, line = patch_at(x, y0, x0 + 2 * SMALL_TILE * t, STRIDED_PATCH, edge)
        for c in range(0, channels, LANES):
            count = min(LANES, channels - c)
            v_at = address_of(v) + (first + t) * pixel + 4 * c
            for j in range(STRIDED_PATCH):
                d0, d1, d2, d3, d4 = _load_five(patch_from + 4 * c + j * pixel, line, count)
                h0, h1, h2, h3, h4 = _strided_input_line(d0, d1, d2, d3, d4)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
                store(at + 4 * row, h4)
            for i in range(STRIDED_PATCH):
                d0, d1, d2, d3, d4 = _load_five(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3, h4 = _strided_input_line(d0, d1, d2, d3, d4)
                at = v_at + i * STRIDED_PATCH * element
                store_one(at, h0, count)
                store_one(at + element, h1, count)
                store_one(at + 2 * element, h2, count)
                store_one(at + 3 * element, h3, count)
                store_one(at + 4 * element, h4, count)


@inlined
def _small_outputs_at(at, step, count):
    d0, d1, d2, d3 = _load_four(at, step, count)
    return _small_output_line(d0, d1, d2, d3)


@inlined
def _strided_outputs_at(at, step, count):
    d0, d1, d2, d3, d4 = _load_five(at, step, count)
    return _strided_output_line(d0, d1, d2, d3, d4)


@inlined
def _five_outputs_at(at, step, count):
    d0, d1, d2, d3, d4, d5 = load_six(at, step, count)
    return _five_output_line(d0, d1, d2, d3, d4, d5)


@inlined
def _outputs(line_at, patch, m, first, tiles, bias, target, size, span, half, low):
    """As `winograd_output_forward`, for tiles of 2x2: `line_at` loads and transforms a line of a patch."""
    (out, out_row, out_column), (rows, columns), (channel, last) = target, size, span
    channels, pixel = m.shape[2], 4 * out.shape[2]
    line, element = out.shape[1] * pixel, 4 * m.shape[1] * channels
    half_at, row = address_of(half), PATCH * BYTES
    trouble, bound = splat(ZERO), splat(low)
    for t in range(tiles):
        wide = min(SMALL_TILE, columns - SMALL_TILE * t)
        for o in range(0, last - channel, LANES):
            count = min(LANES, last - channel - o)
            m_at = address_of(m) + 4 * ((first + t) * channels + o)
            y_at = address_of(out) + out_row * line + (out_column + SMALL_TILE * t) * pixel + 4 * (channel + o)
            for j in range(patch):
                h0, h1 = line_at(m_at + j * element, patch * element, count)
                store(half_at + j * BYTES, h0)
                store(half_at + j * BYTES + row, h1)
            offset = load_one(address_of(bias) + 4 * (channel + o), count)
            for i in range(min(SMALL_TILE, rows)):
                h0, h1 = line_at(half_at + i * row, BYTES, LANES)
                trouble = trouble + (h0 + h1) * splat(ZERO)
                store_one(y_at + i * line, at_least(bound, h0 + offset), count)
                if wide > 1:
                    store_one(y_at + i * line + pixel, at_least(bound, h1 + offset), count)
    store(half_at, trouble)
    total = ZERO
    for lane in range(LANES):
        total += half[0, lane]
    return total


@kernel
def winograd_small_output_forward(m, first, tiles, bias, target, size, span, half, low):
    """Of 3x3 filters."""
    return _outputs(_small_outputs_at, SMALL_PATCH, m, first, tiles, bias, target, size, span, half, low)


@kernel
def winograd_strided_output_forward(m, first, tiles, bias, target, size, span, half, low):
    """Of 3x3 filters with stride 2."""
    return _outputs(_strided_outputs_at, STRIDED_PATCH, m, first, tiles, bias, target, size, span, half, low)


@kernel
def winograd_5x5_output_forward(m, first, tiles, bias, target, size, span, half, low):
    """Of 5x5 filters."""
    return _outputs(_five_outputs_at, PATCH, m, first, tiles, bias, target, size, span, half, low)
