"""What layers use in training: reused memory, and work divided into blocks of images.

A layer's `train` takes batches N x H x W x C and returns its output with whatever its `gradient` needs. Blocks of
images do not depend on the number of threads, and sums over blocks are added in order, so a seed gives bit-identical
results with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cnntool.late import np
from cnntool.steps.memory import Scratch, aligned
from cnntool.steps.step import Parallel

BLOCKS = 16
FLAT = 2**15  # numbers of a piece of elementwise work
PARTIAL = 2**19  # numbers in the partial sums of all blocks together


class Training:
    """One layer's context in training, kept from step to step so that memory is reused.

    `seed`: of the random numbers of this layer and step. `needs_input`: whether the gradient of the layer's input is
    needed. `slope`: of a fused leaky ReLU; 1 for none. `halved`: the maximum of each 2x2 pixels is fused, after that.
    `step`: the number of steps before this one.
    """

    def __init__(
        self, parallel: Parallel, seed: int = 0, *, needs_input: bool = True, slope: float = 1.0, halved: bool = False
    ) -> None:
        self.parallel, self.seed, self.needs_input = parallel, seed, needs_input
        self.slope, self.halved = slope, halved
        self.step = 0
        self.scratches: list[Scratch] = []  # that are free
        self._kept: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = "float32") -> np.ndarray:
        """An uninitialised array. The same name gets the same memory in the next step."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.get(name)
        if kept is None or kept.nbytes < size:
            kept = self._kept[name] = aligned(-(-size // 4)).view(np.uint8)
        return kept[:size].view(dtype).reshape(shape)

    def over_images(self, images: int, work: Callable[[int, int], Any]) -> list[Any]:
        """`work(first, last)` for each block of images."""
        return self.parallel(lambda block: work(*block), blocks(images))

    def over_numbers(self, work: Callable[..., Any], *arrays: np.ndarray) -> None:
        """`work(*pieces)` for flat pieces of arrays of equal size."""
        flat = [array.reshape(-1) for array in arrays]
        size = flat[0].size
        pieces = [(first, min(first + FLAT, size)) for first in range(0, size, FLAT)]
        self.parallel(lambda piece: work(*(array[piece[0] : piece[1]] for array in flat)), pieces)

    def over_pixels(self, work: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
        """`work(*pieces)` for pieces (P, C) of arrays (..., C); returns the results in order."""
        pixels = [array.reshape(-1, array.shape[-1]) for array in arrays]
        rows = max(1, FLAT // pixels[0].shape[1])
        starts = range(0, len(pixels[0]), rows)
        return self.parallel(lambda first: work(*(array[first : first + rows] for array in pixels)), starts)

    def summed(self, images: int, shape: tuple[int, ...], work: Callable[[int, int, np.ndarray], Any],
               dtype: Any = "float32") -> np.ndarray:  # fmt: skip
        """float32 of `shape`: the sum of all blocks' totals, to which `work(first, last, total)` adds."""
        count = max(4, min(BLOCKS, PARTIAL // math.prod(shape)))
        parts = self.array("parts", (count, *shape), dtype)

        def block(task: tuple[int, tuple[int, int]]) -> None:
            number, (first, last) = task
            parts[number] = 0
            work(first, last, parts[number])

        pieces = list(enumerate(blocks(images, count)))
        self.parallel(block, pieces)
        return parts[: len(pieces)].sum(axis=0).astype(np.float32)


def blocks(images: int, count: int = BLOCKS) -> list[tuple[int, int]]:
    """At most `count` ranges of images."""
    size = max(1, -(-images // count))
    return [(first, min(first + size, images)) for first in range(0, images, size)]
