"""A large finite value, such as the no-data value of a float image, spoils no output whose window does not see it."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms.fourier import window_peaks
from tests.kernels.volumes import noise
from tests.naive.convolution import conv

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


WINOGRAD = [  # filters and stride, inputs, outputs, height, width
    (3, 1, 16, 16, 21, 30),
    (3, 1, 40, 70, 16, 13),
    (3, 2, 32, 16, 30, 33),
    (5, 1, 20, 33, 19, 25),
    (3, 1, 1, 20, 30, 25),
    (3, 1, 3, 33, 22, 31),
    (7, 2, 3, 16, 40, 42),
    (4, 1, 5, 16, 20, 29),
]
BACKGROUNDS = {
    "noise": lambda x: x,
    "dark": lambda x: x * np.where(np.arange(x.shape[1]) < 12, 1e-6, 1).astype(np.float32)[:, None],
    "empty": lambda x: x * np.where(np.arange(x.shape[1]) < 12, 0, 1).astype(np.float32)[:, None],
    "sparse": lambda x: x * (noise(*x.shape) > 1.5),
    "tiny": lambda x: x * np.float32(1e-30),
    "minute": lambda x: x * np.float32(1e-41),
}
OUTLIERS = {
    "none": [],
    "middle": [(9, 11)],
    "corner": [(0, 0)],
    "last": [(-1, -1), (-1, 5)],
    "several": [(y, x) for y in range(1, 13, 5) for x in range(2, 13, 6)],
    "region": [(y, x) for y in range(5, 12) for x in range(8, 13)],
    "row": [(6, x) for x in range(13)],
}


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("where", OUTLIERS)
@pytest.mark.parametrize(("size", "stride", "channels", "outputs", "height", "width"), WINOGRAD)
def test_an_output_errs_by_a_share_of_what_its_window_sees(
    size, stride, channels, outputs, height, width, where, background
):
    """At most by 1e-4 of the sum of |x| |w| over the window, for w the largest weight of a filter on a channel."""
    weight, bias = noise(size, size, channels, outputs), noise(outputs)
    clean = BACKGROUNDS[background](np.abs(noise(height, width, channels)))
    pipeline = pipeline_of(f"conv {outputs} {size} --stride {stride} --padding {size // 2}", "winograd")
    pipeline.set_weights([{"weight": weight, "bias": bias}])
    window = (stride, stride), (size // 2,) * 4
    for value in (255, -9999, 1e10, 1e30) if OUTLIERS[where] else (0,):
        x = clean.copy()
        for number, place in enumerate(OUTLIERS[where]):
            x[(*place, number % channels)] = value
        expected = conv(x, weight, bias, *window)
        largest = np.broadcast_to(np.abs(weight).max(axis=(0, 1)), weight.shape)
        allowed = 1e-4 * conv(np.abs(x), largest, None, *window) + 1e-5 * np.abs(bias)
        found = pipeline.run(x, 1)
        assert (np.abs(found - expected) <= allowed + 1e-44).all()
        for threads in (1, 2, 3):
            for images in pipeline.run(np.stack([x, clean, x]), threads)[::2]:
                assert images.tobytes() == found.tobytes()
        for _ in range(5):
            assert pipeline.run(x, 2).tobytes() == found.tobytes()


def strip(x: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """x with a faint part."""
    x = x.copy()
    x[rows, columns] *= np.float32(1e-7)
    return x


def impulses(x: np.ndarray, apart: int) -> np.ndarray:
    """Single numbers of x, of changing channels, in zeros."""
    kept = np.zeros_like(x)
    for number, (i, j) in enumerate(np.ndindex(-(-x.shape[0] // apart), -(-x.shape[1] // apart))):
        place = i * apart, j * apart, number % x.shape[2]
        kept[place] = x[place]
    return kept


EVERYWHERE = slice(None)
FAINT = {
    "left": lambda x, size: strip(x, EVERYWHERE, slice(1)),
    "right": lambda x, size: strip(x, EVERYWHERE, slice(-1, None)),
    "top": lambda x, size: strip(x, slice(1), EVERYWHERE),
    "bottom": lambda x, size: strip(x, slice(-1, None), EVERYWHERE),
    "columns": lambda x, size: strip(x, EVERYWHERE, slice(11, 11 + size)),
    "rows": lambda x, size: strip(x, slice(9, 9 + size), EVERYWHERE),
    "impulses": impulses,
    "rarer impulses": lambda x, size: impulses(x, size + 1),
}


@pytest.mark.parametrize("where", FAINT)
@pytest.mark.parametrize(
    ("size", "stride", "padding", "channels"),
    [
        (3, 1, (1, 1), 1), (3, 1, (2, 2), 3), (3, 1, (2, 1), 16), (5, 1, (3, 3), 2), (5, 1, (4, 2), 2),
        (7, 2, (4, 4), 3), (7, 2, (6, 3), 3), (3, 1, (2, 0), 3),
    ],
)  # fmt: skip
def test_windows_that_see_little_beside_bright_ones(
    size: int, stride: int, padding: tuple[int, int], channels: int, where: str
) -> None:
    """With wide padding some windows see a single row or column of the image."""
    weight, bias = noise(size, size, channels, 16), np.zeros(16, np.float32)
    pipeline = pipeline_of(f"conv 16 {size} --stride {stride} --padding {padding[0]}x{padding[1]}", "winograd")
    pipeline.set_weights([{"weight": weight, "bias": bias}])
    window = (stride, stride), padding * 2
    largest = np.broadcast_to(np.abs(weight).max(axis=(0, 1)), weight.shape)
    for width in (35, 36, 37, 38):
        x = FAINT[where](np.abs(noise(29, width, channels)) + np.float32(0.5), size)
        allowed = 1e-4 * conv(np.abs(x), largest, None, *window)
        assert (np.abs(pipeline.run(x) - conv(x, weight, bias, *window)) <= allowed).all()


@pytest.mark.parametrize(("channels", "size", "stride"), [(16, 3, 1), (2, 3, 1), (3, 7, 2)])
@pytest.mark.parametrize("scale", [1, 1e-30])
def test_windows_that_see_nothing_give_the_bias(channels, size, stride, scale) -> None:
    x = noise(30, 40, channels) * np.float32(scale)
    x[:, 17:35] = 0
    bias = noise(40)
    pipeline = pipeline_of(f"conv 40 {size} --stride {stride} relu", "winograd")
    pipeline.set_weights([{"weight": noise(size, size, channels, 40), "bias": bias}, {}])
    first, last = -(-17 // stride), (35 - size) // stride
    assert (pipeline.run(x)[:, first : last + 1] == np.maximum(bias, 0)).all()


@pytest.mark.parametrize("value", [-9999, 1e30])
@pytest.mark.parametrize("channels", [4, 16])
def test_what_is_added_and_the_rectifier_are_not_forgotten(channels: int, value: float) -> None:
    x = np.abs(noise(22, 31, channels))
    x[:, :10], x[7, 20, 1] = 0, value
    weight, bias = noise(3, 3, channels, channels), noise(channels)
    found = {}
    for algorithm in ("winograd", "direct"):
        pipeline = pipeline_of(f"mark a conv {channels} 3 --padding 1 add a relu", algorithm)
        pipeline.set_weights([{"weight": weight, "bias": bias}, {}, {}])
        found[algorithm] = pipeline.run(x)
    seen_by = seen(x.shape, [(7, 20)], 1)
    assert np.abs(found["winograd"] - found["direct"])[~seen_by].max() <= 1e-3
    direct = found["direct"][seen_by]
    assert np.abs(found["winograd"][seen_by] - direct).max() <= 1e-4 * np.abs(direct).max()


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
