"""What the tests of training share: a chain, and pictures of two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.conftest import save

CHAIN = "conv 4 3 --padding same --no-bias batchnorm prelu maxpool 2 dropout 0.1 fc 2"


WORDS = CHAIN.split()


def pictures(folder: Path | str, count: int = 20, size: tuple[int, int] = (12, 10)) -> Path:
    """Two classes: a bright upper half, or a bright lower half."""
    rng = np.random.default_rng(0)
    for label, rows in (("above", slice(0, size[0] // 2)), ("below", slice(size[0] // 2, None))):
        for number in range(count):
            image = rng.integers(0, 120, size)
            image[rows] += 100
            save(Path(folder, label, f"{number}.png"), image.astype(np.uint8))
    return Path(folder)
