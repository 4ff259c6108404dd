"""Banks of filters of one input channel as sums of products of a column and a row.

    lines[r, y, x] = sum over kx of rows[r, kx] * image[y, x + kx]
    maps[m, y, x]  = sum over the terms of m and over ky of column[ky] * lines[r of the term, y + ky, x]
    out[y, x, k]   = bias[k] + sum over the mixes of k of factor * maps[m of the mix, y, x]

All three are planes of a narrow strip of pixels, so that a register holds neighbouring pixels whatever the number of
filters. Mirrored pixels in the window of a row are added and subtracted beforehand (folded), once for all rows of
filters, so that an even or odd row takes half the products. The lines under the columns stay in a ring buffer in the L2
cache. Only the last pass transposes planes to channels.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from cnntool.kernels.arguments import Corner, Size
from cnntool.kernels.convolution import EVERY_BLOCK, NO_LIMIT, NONE
from cnntool.kernels.separable import ROWS, STRIP, VECTORS
from cnntool.kernels.sources.convolution import conv_direct_forward
from cnntool.kernels.sources.emitter import INT64, LANE_NUMBERS, VECTOR, Emitter
from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import load, store, store_first, stream
from cnntool.kernels.sources.tile import address_of, dense_tile, keep_alive
from cnntool.kernels.vectors import HOST, LANES

# Bytes of a volume that exceeds all caches. Gabor filters on 1024x1024 -> 40, 168 MB: 64 ms when writing 16 filters of
# a pixel at a time, 58 ms when writing whole pixels in order, 46 ms with non-temporal stores of these.
BEYOND_CACHES = HOST.beyond_caches


@instruction(types.void, literals=2)
def column_tile(b, ring, slots, slot, stride, terms, count, taps, y, y_row, rows, vectors):
    """y[t, c] = sum over the terms, over ky of taps[ky] * ring[row, (slot + first + stride * (t + ky)) % slots, c].

    A term is four integers: its row, `first`, where its taps begin, and their number, at least `rows`. `ring` is
    rows, slots, STRIP; the t are `y_row` apart. Each line is read once for all `rows` t that it is for.
    """
    e = Emitter(b, rows, vectors)
    e.start([ir.Constant(VECTOR, [0.0] * LANES)] * e.vectors)
    table = b.inttoptr(terms, INT64.as_pointer())
    with cgutils.for_range(b, count) as term:
        entry = b.mul(term.index, e.integer(4))
        row, first, taps_at, kernel_height = (b.load(b.gep(table, [b.add(entry, e.integer(i))])) for i in range(4))
        plane = b.add(ring, b.mul(b.mul(row, slots), e.integer(4 * STRIP)))
        end = b.add(plane, b.mul(slots, e.integer(4 * STRIP)))
        forward, back = b.mul(stride, e.integer(4 * STRIP)), b.mul(slots, e.integer(4 * STRIP))
        column = e.at(e.address(taps), taps_at)
        line = cgutils.alloca_once(b, INT64)

        def move(to: ir.Value, back: ir.Value = back, end: ir.Value = end, line: ir.Value = line) -> None:
            b.store(b.select(b.icmp_signed(">=", to, end), b.sub(to, back), to), line)

        def use(ky: ir.Value, those: range, column: ir.Value = column, line: ir.Value = line) -> None:
            """The line that is tap ky - t of each t."""
            here = b.load(line)
            xs = [e.load(e.at(e.address(here), e.integer(LANES * v))) for v in range(e.vectors)]
            for t in those:
                tap = e.load_broadcast(e.at(column, b.sub(ky, e.integer(t))))
                for v in range(e.vectors):
                    e.multiply_add(t, v, xs[v], tap)
            move(b.add(here, forward))

        move(b.add(plane, b.mul(b.add(slot, first), e.integer(4 * STRIP))))
        for early in range(rows - 1):
            use(e.integer(early), range(early + 1))
        with cgutils.for_range(b, b.sub(kernel_height, e.integer(rows - 1))) as middle:
            use(b.add(middle.index, e.integer(rows - 1)), range(rows))
        for late in range(rows - 1):
            use(b.add(kernel_height, e.integer(late)), range(late + 1, rows))
    for t in range(rows):
        for v in range(e.vectors):
            to = e.at(e.address(y), b.mul(y_row, e.integer(t)), e.integer(LANES * v))
            b.store(b.load(e.acc[t][v]), b.bitcast(to, VECTOR.as_pointer())).align = 4


@instruction(types.void)
def mixing_tile(b, maps, first, mix, factor, bias, low, y, y_pixel, count, channels):
    """y[p * y_pixel + c] = bias[c] + sum of factor[i] * maps[mix[i] + p] over first[c] <= i < first[c + 1].

    For p < count and c < channels, both at most LANES; `first` and `bias` go on to LANES. Nothing less than `low`.
    """
    e = Emitter(b, LANES, 1)
    starts, offsets = (b.inttoptr(at, INT64.as_pointer()) for at in (first, mix))
    for i, (acc,) in enumerate(e.acc):
        b.store(e.load_broadcast(e.at(e.address(bias), e.integer(i))), acc)
        begin, end = (b.load(b.gep(starts, [e.integer(i + j)])) for j in range(2))
        with cgutils.for_range_slice(b, begin, end, e.integer(1)) as (j, _):
            plane = e.load(e.at(e.address(maps), b.load(b.gep(offsets, [j]))))
            e.multiply_add(i, 0, plane, e.load_broadcast(e.at(e.address(factor), j)))
    e.clamp(low)
    # Interleaving line i with line i + LANES / 2 rotates the bits of each value's position by one; after
    # log2(LANES) rounds the matrix is transposed.
    half, lines = LANES // 2, [b.load(acc) for (acc,) in e.acc]
    sides = [ir.Constant(LANE_NUMBERS, [side + i // 2 + LANES * (i % 2) for i in range(LANES)]) for side in (0, half)]
    for _ in range(LANES.bit_length() - 1):
        lines = [b.shuffle_vector(lines[i // 2], lines[i // 2 + half], sides[i % 2]) for i in range(LANES)]
    for line, (acc,) in zip(lines, e.acc, strict=True):
        b.store(line, acc)
    e.store_sums(e.address(y), y_pixel, count, channels)


@inlined
def _fold(x, kernel_width, stride_x, phases, folds):
    """Sums, then differences (right - left) of the mirrored pixels of a window, from its middle outwards.

    The middle of an odd window counts as right only. phases: each `stride_x`-th pixel of x, from each start; the
    last strip's end is left as it was. folds: kernel_width, STRIP.
    """
    length, phases_at, folds_at = phases.shape[1], address_of(phases), address_of(folds)
    for phase in range(stride_x):
        for i in range(min(length, (x.size - phase + stride_x - 1) // stride_x)):
            phases[phase, i] = x[stride_x * i + phase]
    odd, evens = kernel_width % 2, (kernel_width + 1) // 2
    for j in range(evens):
        right, left = kernel_width // 2 + j, (kernel_width - 1) // 2 - j
        right_at = phases_at + 4 * (right % stride_x * length + right // stride_x)
        left_at = phases_at + 4 * (left % stride_x * length + left // stride_x)
        for c in range(0, STRIP, LANES):
            a, b = load(right_at + 4 * c), load(left_at + 4 * c)
            if left == right:
                store(folds_at + 4 * (j * STRIP + c), a)
            else:
                store(folds_at + 4 * (j * STRIP + c), a + b)
                store(folds_at + 4 * ((j + evens - odd) * STRIP + c), a - b)


@inlined
def _along_rows(folds, blocks, row_taps, zeros, ring, slot):
    """One line of the ring for each row of filters, and lines that the next block overwrites.

    Masked stores would avoid these, but take longer than a tile where they touch a page for the first time.
    """
    slots = ring.shape[1]
    for i in range(blocks.shape[0]):
        fold, depth, taps, row, _ = blocks[i]
        dense_tile(
            address_of(row_taps) + 4 * taps, address_of(folds) + 4 * STRIP * fold, address_of(zeros),
            address_of(ring) + 4 * STRIP * (row * slots + slot), 1, 1, depth, 0, 0, depth, slots * STRIP,
            ROWS, STRIP, 0, NO_LIMIT, ROWS, VECTORS,
        )  # fmt: skip


@inlined
def _mix(maps, t, first_mix, mix, mix_factor, bias, low, pixels, filters):
    """Row t of the maps as pixels of `filters` channels."""
    for c in range(0, STRIP, LANES):
        for k in range(0, filters, LANES):
            mixing_tile(
                address_of(maps) + 4 * (STRIP * t + c), address_of(first_mix) + 8 * k, address_of(mix),
                address_of(mix_factor), address_of(bias) + 4 * k, low, address_of(pixels) + 4 * (c * filters + k),
                filters, LANES, min(LANES, filters - k),
            )  # fmt: skip


@inlined
def _copy(x_at, y_at, length, past):
    """Copies full registers; `past` the caches, with non-temporal stores, it need not read what it overwrites."""
    head = min(length, -(y_at // 4) % LANES)
    tail = (length - head) % LANES
    store_first(y_at, load(x_at), head)
    if past:
        for i in range(head, length - tail, LANES):
            stream(y_at + 4 * i, load(x_at + 4 * i))
    else:
        for i in range(head, length - tail, LANES):
            store(y_at + 4 * i, load(x_at + 4 * i))
    store_first(y_at + 4 * (length - tail), load(x_at + 4 * (length - tail)), tail)


@kernel
def conv_separable_forward(source, image, whole, factors, target, size, window, low, scratch):
    """source: H, W, 1 padded, `image` the same as H, W; target: `size` results of K filters.

    By the `whole` filters, direct convolution recomputes rows with non-finite inputs: terms may be infinite where their
    sum is not, and negligible taps are left out. `low` is the lower bound of results. scratch: `scratch_shapes`.
    """
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    (kernel_height, kernel_width), (stride_y, stride_x), _, _ = window
    blocks, row_taps, terms, first_term, column_taps, first_mix, mix, mix_factor = factors
    phases, folds, ring, maps, pixels = scratch
    bias = whole.bias
    zeros = np.zeros(STRIP, np.float32)
    slots, filters, map_size = ring.shape[1], out.shape[2], maps.shape[1] * maps.shape[2]
    past = 4 * out.size > BEYOND_CACHES
    for left in range(0, columns, STRIP):
        wide = min(STRIP, columns - left)
        line = 0  # the next line of the ring to compute
        for top in range(0, rows, ROWS):
            together = min(ROWS, rows - top)
            while line < stride_y * (top + together - 1) + kernel_height:
                _fold(image[x_row + line, stride_x * left :], kernel_width, stride_x, phases, folds)
                _along_rows(folds, blocks, row_taps, zeros, ring, line % slots)
                line += 1
            for m in range(maps.shape[0]):
                column_tile(
                    address_of(ring), slots, stride_y * top % slots, stride_y, address_of(terms) + 32 * first_term[m],
                    first_term[m + 1] - first_term[m], address_of(column_taps), address_of(maps) + 4 * m * map_size,
                    STRIP, ROWS, VECTORS,
                )  # fmt: skip
            for t in range(together):
                _mix(maps, t, first_mix, mix, mix_factor, bias, low, pixels, filters)
                y_at = address_of(out) + 4 * filters * ((out_row + top + t) * out.shape[1] + out_column + left)
                _copy(address_of(pixels), y_at, wide * filters, past)
    line, bad = 0, -1  # the next line to check, and the last one that is not finite
    for row in range(rows):
        while line < stride_y * row + kernel_height:
            total = np.float32(0)
            for value in image[x_row + line]:
                total += value * np.float32(0)
            bad = line if total != 0 else bad
            line += 1
        if bad >= stride_y * row:
            conv_direct_forward(
                Corner(x, x_row + stride_y * row, 0), whole, Corner(out, out_row + row, out_column),
                Size(1, columns), window, low, EVERY_BLOCK, Corner(out, NONE, 0),
            )  # fmt: skip
    keep_alive(zeros)
