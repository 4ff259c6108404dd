"""Arrays inside a page: float32 of five figures, packed so that the page stays small."""

from __future__ import annotations

import base64
import zlib

import numpy as np

DROPPED = 7  # bits of the 23 of float32's fraction: what is left is 5 figures, more than a page shows


def rounded(array: np.ndarray) -> np.ndarray:
    """float32 whose last bits are zero, to nearest; NaN and infinity stay."""
    bits = np.ascontiguousarray(array, "<f4").view("<u4")
    half = np.uint32(1 << (DROPPED - 1))
    near = ((bits + half) >> np.uint32(DROPPED)) << np.uint32(DROPPED)
    grown = (near & 0x7F800000) == 0x7F800000  # the rounding of the largest numbers may not make infinities
    return np.where(grown, bits, near).astype("<u4").view("<f4")


def packed(array: np.ndarray) -> str:
    """Base64 of the deflated bytes: first the lowest byte of all numbers, then the next, which deflates better."""
    planes = rounded(array).reshape(-1).view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)).decode()


def unpacked(text: str) -> np.ndarray:
    """What `packed` packed, flat; the page's script does the same."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<f4").reshape(-1)
