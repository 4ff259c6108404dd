from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.kernels.vectors import PIXELS
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins


def conv(words: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, **options) -> np.ndarray:
    pipeline = Pipeline.parse(words)
    pipeline.set_weights([{"weight": weight} if bias is None else {"weight": weight, "bias": bias}])
    return pipeline.run(x, **options)


def test_the_lecture_s_demonstration():
    """A 5x5x3 volume with a border of 1 and stride 2 under two 3x3x3 filters, worked out on paper for one position."""
    x, weight, bias = np.zeros((5, 5, 3)), np.zeros((3, 3, 3, 2)), np.array([1.0, 0.0])
    x[0, 0] = [1, 2, 0]
    x[1, 1] = [0, 1, 2]
    weight[1, 1, :, 0] = [1, -1, 1]
    weight[2, 2, :, 0] = [0, 1, -1]
    weight[..., 1] = 1
    y = conv("conv 2 3 --stride 2 --padding 1", x, weight, bias)
    assert y.shape == (3, 3, 2)
    assert y[0, 0].tolist() == [(1 - 2) + (1 - 2) + 1, 1 + 2 + 1 + 2]
    assert y[2, 2].tolist() == [1, 0]


def test_it_is_a_correlation_and_does_not_turn_the_filter():
    x = np.zeros((3, 3, 1), np.float32)
    x[1, 1] = 1
    weight = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
    np.testing.assert_array_equal(conv("conv 1 3 --padding 1", x, weight)[..., 0], weight[::-1, ::-1, 0, 0])


@pytest.mark.parametrize("size", [2, 4, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_of_an_even_kernel_puts_the_odd_pixel_at_the_bottom_and_right(size, stride):
    x, weight = noise(9, 11, 2), noise(size, size, 2, 3)
    y = conv(f"conv 3 {size} --stride {stride} --padding same --no-bias", x, weight)
    totals = [max(0, (-(-n // stride) - 1) * stride + size - n) for n in x.shape[:2]]
    (top, left), (bottom, right) = ([t // 2 for t in totals], [t - t // 2 for t in totals])
    assert y.shape[:2] == (-(-9 // stride), -(-11 // stride))
    assert_near(y, twins.conv(x, weight, None, (stride, stride), (top, left, bottom, right)))


def test_a_missing_bias_is_zero():
    x, weight = noise(6, 7, 3), noise(3, 3, 3, 4)
    np.testing.assert_array_equal(conv("conv 4 3", x, weight), conv("conv 4 3", x, weight, np.zeros(4)))
    np.testing.assert_array_equal(conv("conv 4 3", x, weight), conv("conv 4 3 --no-bias", x, weight))


def test_one_filter_of_the_whole_size_is_a_full_connection():
    x, weight, bias = noise(5, 6, 3), noise(5, 6, 3, 4), noise(4)
    full = Pipeline.parse("fc 4")
    full.set_weights([{"weight": weight.reshape(-1, 4), "bias": bias}])
    assert_near(conv("conv 4 5x6", x, weight, bias), full.run(x), 1e-6)


@pytest.mark.parametrize("padding", ["5", "0,7,0,0", "9,0,9,0"])
def test_windows_that_see_nothing_but_padding_give_the_bias(padding):
    x, weight, bias = noise(3, 4, 2), noise(2, 2, 2, 3), noise(3)
    y = conv(f"conv 3 2 --padding {padding}", x, weight, bias)
    np.testing.assert_array_equal(y[0, 0], bias)


@pytest.mark.parametrize("width", range(1, 2 * PIXELS + 2))
def test_narrow_volumes_read_nothing_that_is_not_theirs(width):
    """A tile reads past narrow rows: what lies there is NaN, or the next volume of the batch."""
    weight, bias = noise(1, 1, 3, 5), noise(5)
    batch = np.full((3, 2, width, 3), np.nan, np.float32)
    batch[1] = noise(2, width, 3)
    y = conv("conv 5 1", batch, weight, bias)
    assert_near(y[1], twins.conv(batch[1], weight, bias))
    assert np.isnan(y[[0, 2]]).all()


def test_large_and_small_values_keep_their_scale():
    x, weight = noise(6, 7, 3), noise(3, 3, 3, 4)
    for scale in (2.0**-100, 2.0**80):
        found = conv("conv 4 3", x * np.float32(scale), weight)
        np.testing.assert_array_equal(found, conv("conv 4 3", x, weight) * np.float32(scale))


def test_zeros_of_a_volume_that_overflows_are_infinite_and_not_nan():
    x = np.full((3, 3, 1), 3e38, np.float32)
    assert (conv("conv 1 3", x, np.ones((3, 3, 1, 1))) == np.inf).all()


@pytest.mark.parametrize(
    ("words", "shape", "message"),
    [
        ("conv 4 3 --groups 2", (8, 8, 3), "--groups 2 does not divide the 3 input channels"),
        ("conv 3 3 --groups 2", (8, 8, 4), "--groups 2 does not divide the 3 OUT_CHANNELS"),
        ("conv 4 9", (8, 8, 3), "kernel 9x9 does not fit into the input of 8x8"),
        ("relu conv 4 3 --dilation 4", (8, 8, 3), r"conv \(layer 2\): kernel 3x3 with dilation 4x4 spans 9x9"),
    ],
)
def test_what_cannot_be_names_the_layer(words, shape, message):
    with pytest.raises(CnntoolError, match=message):
        Pipeline.parse(words).shape(shape)
    with pytest.raises(CnntoolError, match=message):
        Pipeline.parse(words).run(np.zeros(shape))


@pytest.mark.parametrize(
    ("words", "shape", "parameters", "macs"),
    [
        ("conv 96 11 --stride 4", (227, 227, 3), 34944, 55 * 55 * 96 * 363),
        ("conv 6 3 --groups 3 --no-bias", (5, 5, 3), 54, 9 * 6 * 9),
        ("conv 6 1x4", (5, 5, 2), 54, 10 * 6 * 8),
    ],
)
def test_parameters_and_multiply_adds(words, shape, parameters, macs):
    totals = Pipeline.parse(words).shape(shape)["totals"]
    assert (totals["parameters"], totals["macs"]) == (parameters, macs)
