"""Convolution by Fourier transforms against the direct one: tiles, bands, streams, numbers that are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline, kernels
from cnntool.algorithms.fourier import tile_rows
from cnntool.engine.stream import stream
from cnntool.steps.bands import row_group
from tests.kernels.volumes import noise


def both(words: str, x: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """By Fourier transforms, and directly."""
    found = []
    for algorithm in ("fft", "direct"):
        pipeline = Pipeline.parse(words)
        pipeline.use_algorithm(algorithm)
        found.append(pipeline.run(x, threads))
    return found[0], found[1]


@pytest.mark.parametrize("size", [(2, 2), (5, 9), (15, 15), (16, 3), (31, 31), (64, 64), (70, 90)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (150, 40, 3), (40, 260, 1), (129, 131, 5)])
def test_it_is_the_direct_convolution(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    found, expected = both(f"conv 5 {size[0]}x{size[1]} --padding same", noise(*shape))
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()


def test_tiles_are_whole_groups_of_four_rows_where_few_are_lost() -> None:
    for size in (32, 64, 128):
        for kernel in range(1, size + 1):
            rows, all_rows = tile_rows(size, kernel), size - kernel + 1
            assert 0.92 * all_rows < rows <= all_rows
            assert rows % 4 == 0 or all_rows <= 40


def test_a_pooling_layer_behind_makes_bands_no_taller() -> None:
    pipeline = Pipeline.parse("bank gabor --size 15 --scales 1 relu maxpool 4")
    pipeline.use_algorithm("fft")
    plan = pipeline.stream_plan((3000, 3000, 1))
    assert plan is not None
    convolution = next(step for step in plan.runs[0].steps if step.algorithm == "fft")
    assert np.isfinite(convolution.costs["fft"])
    assert 4 * row_group(plan.runs[0].steps) == convolution.row_multiple


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_stays_in_its_windows(threads: int, value: float) -> None:
    x = noise(300, 30, 1)
    x[200, 20] = value
    found, expected = both("conv 3 15 --padding same maxpool 2", x, threads)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    finite = np.isfinite(expected)
    assert np.abs(found[finite] - expected[finite]).max() <= 2e-5 * np.abs(expected[finite]).max()


@pytest.mark.parametrize("height", [7, 112, 300, 451])
def test_a_stream_gives_what_the_plan_gives(height: int) -> None:
    pipeline = Pipeline.parse("conv 3 15 --padding same relu maxpool 4 --padding 1")
    pipeline.use_algorithm("fft")
    x = noise(height, 40, 2)
    plan = pipeline.stream_plan(x.shape)
    assert plan is not None
    for threads in (1, 3):
        parts: list[np.ndarray] = []
        stream(plan, x, parts.append, threads)
        np.testing.assert_array_equal(np.concatenate(parts), plan.run(x[None], threads)[0])


@pytest.mark.parametrize("bad", [0, np.nan, np.inf])
@pytest.mark.parametrize(
    ("height", "width", "channels", "first", "count", "block"),
    [
        (20, 37, 1, 0, 1, (4, 5)),
        (20, 37, 4, 2, 2, (4, 5)),
        (21, 37, 4, 0, 4, (4, 8)),
        (9, 50, 40, 0, 40, (3, 2)),
        (9, 50, 40, 20, 20, (3, 2)),
        (16, 16, 1, 0, 1, (16, 16)),
    ],
)
def test_the_largest_of_blocks(height, width, channels, first, count, block, bad):
    x = noise(height, width, channels)
    x[5, 7, first] = bad
    out = np.empty((-(-height // block[0]), -(-width // block[1])), np.float32)
    kernels.fourier.largest_of_blocks(x, first, count, *block, out)
    for i, j in np.ndindex(out.shape):
        piece = x[i * block[0] : (i + 1) * block[0], j * block[1] : (j + 1) * block[1], first : first + count]
        np.testing.assert_array_equal(out[i, j], np.abs(piece).max())
