"""The lanes of this processor's vector registers, and the resulting shapes of register tiles."""

from __future__ import annotations

from cnntool.kernels.processors import target_features

# lanes: (pixels, vectors of channels, pixels of the narrow tile). AVX-512 has 32 registers: 14 x 2 accumulators, 2
# filters, 1 input. AVX2 has 16: 6 x 2 + 2 + 1. NEON has 32 short ones.
TILES = {16: (14, 2, 7), 8: (6, 2, 3), 4: (6, 4, 3)}


def host_lanes() -> int:
    """How many float32 one vector register holds: 16 with AVX-512, 8 with AVX and FMA, 4 elsewhere."""
    features = target_features()
    return 16 if "avx512f" in features else 8 if {"avx", "fma"} <= features else 4


LANES = host_lanes()
PIXELS, VECTORS, NARROW_PIXELS = TILES[LANES]
