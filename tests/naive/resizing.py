"""Bilinear resizing as Pillow does it, columns first, number by number."""

from __future__ import annotations

import math

import numpy as np

BITS = 22


def resize(pixels: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    """uint8 H x W x C of the size `wanted`."""
    middle = one_way(pixels.transpose(1, 0, 2), wanted[1]).transpose(1, 0, 2)
    return one_way(middle, wanted[0])


def one_way(pixels: np.ndarray, wanted: int) -> np.ndarray:
    """The first axis resized; each number is rounded to a whole one."""
    scale = len(pixels) / wanted
    support = max(scale, 1.0)
    out = np.empty((wanted, *pixels.shape[1:]), np.uint8)
    for place in range(wanted):
        center = (place + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), len(pixels))
        raw = [max(1 - abs((i - center + 0.5) * (1 / support)), 0.0) for i in range(first, last)]
        total = 0.0
        for weight in raw:
            total += weight
        whole = [math.floor(weight / total * 2**BITS + 0.5) for weight in raw]
        taken = pixels[first:last].astype(np.int64)
        out[place] = (np.tensordot(whole, taken, 1) + 2 ** (BITS - 1)) >> BITS
    return out
