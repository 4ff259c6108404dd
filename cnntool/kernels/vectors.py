"""The one table of processors: for each kind what kernels, and the algorithms that call them, are shaped by.

A new kind is one more entry. Kernels take the numbers of the kind that they are compiled for as constants.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from cnntool.kernels.processors import target_features


class Processor(NamedTuple):
    """A kind of processor. Of caches, how many bytes are to be used, beside all else."""

    features: frozenset[str]  # what such a processor has, in LLVM's words
    registers: int
    lanes: int  # float32 of a register
    # The register tile: pixels, vectors of channels, pixels of the narrow tile. Each pixel of each vector takes a
    # register; the filters of a step and one input take more.
    tile: tuple[int, int, int]
    short_tile: int  # pixels of the short tile, for Winograd's products
    outer_rows: int  # rows of the short tile of outer products
    line_tile: tuple[int, int]  # of separable filters: rows, and vectors of pixels
    few_tiles: int  # Winograd's of few channels at a time, by 6 or 7 accumulators each
    few_share: float  # of the peak that these reach; less where each product needs a broadcast load
    tanh_by_table: bool  # 32 constants in two registers that one instruction picks from

    l1_way: int = 4096  # bytes of a way of the L1 cache: addresses so far apart share a set
    l1_cache: int = 16 * 1024  # filters
    l2_cache: int = 512 * 1024  # filters, or the scratch memory of a band
    l3_cache: int = 4 * 2**20  # a band of rows that are too wide for the L2 cache
    beyond_caches: int = 2**25  # a volume that exceeds all caches
    prefetched: int = 2**14  # float32 of the next block of filters that a tile prefetches into the L2 cache
    winograd_together: int = 28  # tiles whose products stay in the L2 cache
    winograd_channels: int = 16  # fewest on either side; with fewer the transforms cost more than they save
    few_channels: int = 15  # most input channels of Winograd's algorithm for few
    fourier_sizes: tuple[int, ...] = (32, 64, 128)  # sides of tiles that fit into the L2 cache


# The first whose features are all there is taken.
KINDS = {
    "AVX-512": Processor(
        frozenset({"avx512f"}), registers=32, lanes=16, tile=(14, 2, 7), short_tile=8, outer_rows=8,
        line_tile=(5, 4), few_tiles=4, few_share=0.9, tanh_by_table=True,
    ),
    "AVX2": Processor(
        frozenset({"avx", "fma"}), registers=16, lanes=8, tile=(6, 2, 3), short_tile=3, outer_rows=6,
        line_tile=(4, 3), few_tiles=2, few_share=0.5, tanh_by_table=False,
    ),
    "NEON": Processor(
        frozenset({"neon"}), registers=32, lanes=4, tile=(6, 4, 3), short_tile=3, outer_rows=6,
        line_tile=(5, 4), few_tiles=2, few_share=0.5, tanh_by_table=False,
    ),
    "plain": Processor(  # x86 without AVX has 16 registers, and keeps some of the accumulators in memory
        frozenset(), registers=32, lanes=4, tile=(6, 4, 3), short_tile=3, outer_rows=6,
        line_tile=(5, 4), few_tiles=2, few_share=0.5, tanh_by_table=False,
    ),
}  # fmt: skip


def host_kind() -> str:
    """The kind of processor that kernels are compiled for."""
    return kind_with(target_features())


def kind_with(features: Set[str]) -> str:
    """The kind of a processor with these features."""
    return next(name for name, kind in KINDS.items() if kind.features <= features)


HOST = KINDS[host_kind()]
LANES = HOST.lanes
PIXELS, VECTORS, NARROW_PIXELS = HOST.tile
