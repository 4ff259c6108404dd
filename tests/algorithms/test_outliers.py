"""A large finite value, such as the no-data value of a float image, spoils no output whose window does not see it."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms.fourier import window_peaks
from tests.kernels.volumes import noise

PLACES = {
    "middle": [(75, 60)],
    "border": [(0, 70)],
    "corner": [(149, 139)],
    "several": [(3, 5), (75, 60), (76, 130)],
    "region": [(y, x) for y in range(60, 100) for x in range(20, 50)],
}


def pipeline_of(words: str, algorithm: str) -> Pipeline:
    pipeline = Pipeline.parse(words)
    pipeline.use_algorithm(algorithm)
    return pipeline


def seen(shape: tuple[int, ...], places: list[tuple[int, int]], reach: int) -> np.ndarray:
    """Which outputs of a convolution that keeps the size have one of the places in their window."""
    found = np.zeros(shape[:2], bool)
    for y, x in places:
        found[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    return found


@pytest.mark.parametrize("background", ["noise", "zeros"])
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("value", [1e4, -9999, 1e10, 1e30, -3.4e38])
@pytest.mark.parametrize(
    ("algorithm", "words", "channels", "reach"),
    [
        ("fft", "conv 5 15 --padding same", 1, 7),
        ("fft", "conv 4 31 --padding same --groups 2", 4, 15),
        ("auto", "conv 16 31 --padding same", 1, 15),
        ("winograd", "conv 16 3 --padding same", 1, 1),
        ("winograd", "conv 20 4 --padding same", 3, 2),
    ],
)
def test_outputs_that_do_not_see_it_are_those_of_the_clean_image(
    algorithm, words, channels, reach, value, where, background
):
    clean = np.abs(noise(150, 140, channels))
    if background == "zeros":
        clean[:, :90] = 0
    x = clean.copy()
    for place in PLACES[where]:
        x[(*place, 0)] = value
    pipeline = pipeline_of(words, algorithm)
    with np.errstate(over="ignore", invalid="ignore"):
        found, expected = pipeline.run(x), pipeline.run(clean)
        direct = pipeline_of(words, "direct").run(x)
    tolerance = 5e-5 if algorithm == "winograd" else 1e-5
    inside = seen(x.shape, PLACES[where], reach)
    assert np.abs(found - expected)[~inside].max() <= tolerance * np.abs(expected).max()
    finite = np.isfinite(direct) & inside[..., None]
    largest = np.abs(direct[finite]).max()
    assert np.abs(found[finite] / largest - direct[finite] / largest).max() <= tolerance


@pytest.mark.parametrize("value", [1e4, -3.4e38])
@pytest.mark.parametrize(("algorithm", "size"), [("fft", 15), ("winograd", 3)])
def test_neither_threads_nor_batches_show(algorithm: str, size: int, value: float) -> None:
    x = np.abs(noise(300, 50, 1))
    x[200, 20] = value
    pipeline = pipeline_of(f"conv 5 {size} --padding same maxpool 2", algorithm)
    expected = pipeline.run(x, 1)
    for threads in (1, 2, 3):
        assert pipeline.run(x, threads).tobytes() == expected.tobytes()
        for found in pipeline.run(np.stack([x, x]), threads):
            assert found.tobytes() == expected.tobytes()


def test_8_bit_images_are_left_to_the_transforms() -> None:
    """However dark a region beside a bright one."""
    line = np.full((128, 400, 1), 255, np.float32)
    line[:, 100:200] = 1
    assert window_peaks(line, 0, 1, (31, 31), 128, 370) is not None
    assert window_peaks(line / 255, 0, 1, (31, 31), 128, 370) is not None
    line[60, 90] = 1e6
    assert window_peaks(line, 0, 1, (31, 31), 128, 370) is None
