"""Convolution with large filters by Fourier transforms of overlapping tiles, vectorised across filters.

    Y_k(f) = sum over c of X_c(f) * conj(W_ck)(f);  y_k = the part of the inverse transform without wrap-around

A register holds the same frequency of LANES filters, so transforms need no shuffles: each butterfly is a few vector
operations. NumPy computes the forward transforms of the tiles, one for all filters; those of the filters are computed
once. Inverse transforms run along y for each frequency in x, then along x for the kept rows.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.lanes import larger_size, largest_size_of_lanes
from cnntool.kernels.sources.simd import load, load_first, load_splat, splat, store, store_first
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.vectors import LANES

F = np.float32
BYTES = 4 * LANES  # of a vector
ONE = F(1)


@inlined
def _radix4(x_at, y_at, step_in, step_out, w_at, k, turn):
    """A radix-4 butterfly: x at x_at + i step_in, y to y_at + i step_out, multiplied by w^(i k)."""
    ar, ai = load(x_at), load(x_at + BYTES)
    br, bi = load(x_at + step_in), load(x_at + step_in + BYTES)
    cr, ci = load(x_at + 2 * step_in), load(x_at + 2 * step_in + BYTES)
    dr, di = load(x_at + 3 * step_in), load(x_at + 3 * step_in + BYTES)
    acr, aci, amr, ami = ar + cr, ai + ci, ar - cr, ai - ci
    bdr, bdi, bmr, bmi = br + dr, bi + di, br - dr, bi - di
    store(y_at, acr + bdr)
    store(y_at + BYTES, aci + bdi)
    if turn:
        w1, w2, w3 = w_at + 8 * k, w_at + 16 * k, w_at + 24 * k
        pr, pi = amr - bmi, ami + bmr
        c, s = load_splat(w1), load_splat(w1 + 4)
        store(y_at + step_out, pr * c - pi * s)
        store(y_at + step_out + BYTES, pr * s + pi * c)
        pr, pi = acr - bdr, aci - bdi
        c, s = load_splat(w2), load_splat(w2 + 4)
        store(y_at + 2 * step_out, pr * c - pi * s)
        store(y_at + 2 * step_out + BYTES, pr * s + pi * c)
        pr, pi = amr + bmi, ami - bmr
        c, s = load_splat(w3), load_splat(w3 + 4)
        store(y_at + 3 * step_out, pr * c - pi * s)
        store(y_at + 3 * step_out + BYTES, pr * s + pi * c)
    else:
        store(y_at + step_out, amr - bmi)
        store(y_at + step_out + BYTES, ami + bmr)
        store(y_at + 2 * step_out, acr - bdr)
        store(y_at + 2 * step_out + BYTES, aci - bdi)
        store(y_at + 3 * step_out, amr + bmi)
        store(y_at + 3 * step_out + BYTES, ami - bmr)


@inlined
def _inverse(x_at, y_at, size, table, table_size):
    """The inverse Stockham transform of `size` complex vectors, ping-pong between two buffers.

    Returns the address of the buffer that holds the result. `table`: `twiddles(table_size)`, size divides table_size.
    """
    n, s = size, 1
    while n >= 4:
        m = n // 4
        for p in range(m):
            k = p * (table_size // n)
            for q in range(s):
                from_at = x_at + 2 * BYTES * (q + s * p)
                to_at = y_at + 2 * BYTES * (q + s * 4 * p)
                _radix4(from_at, to_at, 2 * BYTES * s * m, 2 * BYTES * s, table, k, p > 0)
        x_at, y_at = y_at, x_at
        n, s = m, 4 * s
    if n == 2:
        for q in range(s):
            a_at, b_at = x_at + 2 * BYTES * q, x_at + 2 * BYTES * (q + s)
            ar, ai, br, bi = load(a_at), load(a_at + BYTES), load(b_at), load(b_at + BYTES)
            store(y_at + 2 * BYTES * q, ar + br)
            store(y_at + 2 * BYTES * q + BYTES, ai + bi)
            store(y_at + 2 * BYTES * (q + s), ar - br)
            store(y_at + 2 * BYTES * (q + s) + BYTES, ai - bi)
        x_at, y_at = y_at, x_at
    return x_at


@inlined
def _product(spectrum, spectra, block, kx, size, channels, half, to_at):
    """The sum over channels of image times filters along y at one frequency kx. spectrum: C, half, size, 2."""
    for ky in range(size):
        re, im = splat(F(0)), splat(F(0))
        for c in range(channels):
            x_at = address_of(spectrum) + 8 * ((c * half + kx) * size + ky)
            w_at = address_of(spectra) + 2 * BYTES * (((block * channels + c) * half + kx) * size + ky)
            xr, xi = load_splat(x_at), load_splat(x_at + 4)
            wr, wi = load(w_at), load(w_at + BYTES)
            re = re + (xr * wr - xi * wi)
            im = im + (xr * wi + xi * wr)
        store(to_at + 2 * BYTES * ky, re)
        store(to_at + 2 * BYTES * ky + BYTES, im)


@kernel
def conv_fourier_forward(spectrum, spectra, block, bias, target, number, span, table, scratch):
    """One tile and one block: spectrum: C, size // 2 + 1 (x), size (y), 2 of the image; spectra: `transform_filters`.

    Writes a span of at most LANES output channels. bias: blocks, LANES. scratch: two of size, 2, LANES, and rows,
    size // 2 + 1, 2, LANES.
    """
    (out, out_row, out_column), (rows, columns), (a, b, lines) = target, number, scratch
    channel, count = span.first, span.last - span.first
    channels, half, size = spectrum.shape[0], spectrum.shape[1], spectrum.shape[2]
    a_at, b_at, table_at, lines_at = address_of(a), address_of(b), address_of(table), address_of(lines)
    for kx in range(half):
        _product(spectrum, spectra, block, kx, size, channels, half, a_at)
        done = _inverse(a_at, b_at, size, table_at, size)
        for y in range(rows):
            to_at = lines_at + 2 * BYTES * (y * half + kx)
            store(to_at, load(done + 2 * BYTES * y))
            store(to_at + BYTES, load(done + 2 * BYTES * y + BYTES))
    filters = out.shape[2]
    offset = load(address_of(bias) + BYTES * block)
    n = size // 2
    for y in range(rows):
        # a real line of `size` numbers as n complex ones: even elements in the real, odd in the imaginary part
        line = lines_at + 2 * BYTES * y * half
        for k in range(n):
            low, high = line + 2 * BYTES * k, line + 2 * BYTES * (n - k)
            xr, xi, zr, zi = load(low), load(low + BYTES), load(high), load(high + BYTES)
            c, s = load_splat(table_at + 8 * k), load_splat(table_at + 8 * k + 4)
            sr, si, dr, di = xr + zr, xi - zi, xr - zr, xi + zi
            tr, ti = dr * c - di * s, dr * s + di * c
            store(a_at + 2 * BYTES * k, sr - ti)
            store(a_at + 2 * BYTES * k + BYTES, si + tr)
        done = _inverse(a_at, b_at, n, table_at, size)
        y_at = address_of(out) + 4 * (((out_row + y) * out.shape[1] + out_column) * filters + channel)
        for x in range(columns):
            value = load(done + BYTES * x) + offset
            if count == LANES:
                store(y_at + 4 * filters * x, value)
            else:
                store_first(y_at + 4 * filters * x, value, count)


@kernel
def largest_of_channels(x, first, channels, out):
    """out[y, x] = max of |x[y, x, c]| for c in first to first + channels - 1; NaN where one of them is"""
    for y in range(x.shape[0]):
        for i in range(x.shape[1]):
            largest = F(0)
            for c in range(first, first + channels):
                value = abs(x[y, i, c])
                largest = value if value > largest or value != value else largest
            out[y, i] = largest


@inlined
def _largest_of_pixels(x, y, left, right, first, channels):
    """Of |x[y, i, c]| for left <= i < right and `channels` channels from `first` on; NaN where one is"""
    sizes, together = splat(F(0)), channels == x.shape[2]
    for i in range(left, left + 1 if together else right):
        at = address_of(x) + 4 * ((y * x.shape[1] + i) * x.shape[2] + first)
        length = (right - left) * channels if together else channels
        for c in range(0, length, LANES):
            sizes = larger_size(sizes, load_first(at + 4 * c, min(LANES, length - c)))
    return largest_size_of_lanes(sizes)


@kernel
def largest_of_blocks(x, first, channels, height, width, out):
    """out[i, j] = max of |x| in the block of `height` x `width` pixels at (i height, j width); NaN where one is"""
    for y in range(x.shape[0]):
        for j in range(out.shape[1]):
            value = _largest_of_pixels(x, y, j * width, min(x.shape[1], (j + 1) * width), first, channels)
            before = out[y // height, j] if y % height else F(0)
            out[y // height, j] = value if value > before or value != value else before
