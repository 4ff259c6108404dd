from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.kernels import pooling, pooling_backward
from cnntool.kernels.arguments import Corner, Size, Window
from cnntool.kernels.vectors import LANES
from tests.kernels.volumes import COLUMN, ROW, assert_near, guarded, noise, roomy, written
from tests.naive import twins
from tests.naive.pooling import l2pool

F = np.float32
POOLS = {"maxpool": twins.maxpool, "avgpool": twins.avgpool, "l2pool": twins.l2pool}


def pool(word, x, kernel_size, stride=(1, 1), dilation=(1, 1), x_row=0, rows=None):
    """The pool's kernel on a padded volume; `rows` output rows from input row `x_row` on, all when None."""
    expected = POOLS[word](x[x_row:], kernel_size, stride, dilation=dilation)
    rows, columns, channels = rows or expected.shape[0], *expected.shape[1:]
    out = guarded(rows, columns, channels)
    counted = [np.full(n, size, np.float32) for n, size in zip((rows, columns), kernel_size, strict=True)]
    getattr(pooling, f"{word}_forward")(
        Corner(roomy(x, 4 * stride[1] * channels), x_row, 0), Corner(out, ROW, COLUMN), Size(rows, columns),
        Window(kernel_size, stride, dilation), *(counted if word == "avgpool" else ()),
    )  # fmt: skip
    return written(out, rows, columns), expected[:rows]


@pytest.mark.parametrize("word", POOLS)
def test_any_number_of_channels(word):
    for channels in [*range(1, 41), 2 * LANES, 2 * LANES + 1, 4 * LANES]:
        assert_near(*pool(word, noise(5, 7, channels), (2, 3)), hint=f"{channels} channels")


@pytest.mark.parametrize("channels", [1, 3, 2 * LANES, 2 * LANES + 5])
@pytest.mark.parametrize("word", POOLS)
def test_any_width(word, channels):
    for width in range(1, 31):
        assert_near(*pool(word, noise(4, width + 1, channels), (3, 2)), hint=f"width {width}")


@pytest.mark.parametrize("word", POOLS)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (2, 3)])
def test_strides_and_dilations(word, stride, dilation):
    assert_near(*pool(word, noise(11, 17, 5), (3, 2), stride, dilation))


@pytest.mark.parametrize("word", POOLS)
@pytest.mark.parametrize("x_row", [0, 3])
@pytest.mark.parametrize("rows", [1, 2])
def test_rows_from_the_middle(word, x_row, rows):
    assert_near(*pool(word, noise(9, 8, 3), (2, 2), (2, 2), x_row=x_row, rows=rows))


def test_the_largest_of_negative_values_is_negative():
    found, expected = pool("maxpool", -1 - np.abs(noise(6, 8, 3)), (2, 2), (2, 2))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert found.max() < 0


@pytest.mark.parametrize("word", POOLS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(2, 3), (3, 4)])  # first and last of windows: a NaN must neither be lost nor passed
def test_a_value_that_is_no_number_goes_through(word, bad, place):
    x = noise(6, 8, 3)
    x[*place, 1] = bad
    found, expected = pool(word, x, (2, 2))
    assert_near(found, expected)
    if np.isnan(bad):
        assert np.isnan(found).sum() == 4


def test_an_average_divides_by_the_counted_sizes_of_its_window():
    x, out = noise(4, 6, 2), guarded(2, 3, 2)
    heights, widths = np.array([2, 1], np.float32), np.array([1, 2, 0.5], np.float32)
    pooling.avgpool_forward(
        Corner(roomy(x, 64), 0, 0), Corner(out, ROW, COLUMN), Size(2, 3), Window((2, 2), (2, 2)), heights, widths
    )  # fmt: skip
    sums = x.astype(np.float64).reshape(2, 2, 3, 2, 2).sum(axis=(1, 3))
    assert_near(written(out, 2, 3), sums / (heights[:, None, None] * widths[:, None]))


GLOBAL = {
    "globalmax_forward": (np.float32, lambda x, start: np.maximum(start, x.max(axis=(0, 1)))),
    "globalsum_forward": (np.float64, lambda x, start: start + x.sum(axis=(0, 1), dtype=np.float64)),
    "globalsquares_forward": (np.float64, lambda x, start: start + (x.astype(np.float64) ** 2).sum(axis=(0, 1))),
}


@pytest.mark.parametrize("name", GLOBAL)
def test_global_pools_join_the_asked_rows_to_what_is_there(name):
    dtype, expected = GLOBAL[name]
    for channels in (1, 2, 3, 17, 40):
        x, start = noise(7, 5, channels), noise(channels).astype(dtype)
        out = start.copy()
        getattr(pooling, name)(x, 2, 6, out)
        assert_near(out, expected(x[2:6], start), 1e-6)
        getattr(pooling, name)(x, 3, 3, out)
        assert_near(out, expected(x[2:6], start), 1e-6)


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_nan_is_the_largest_of_all_wherever_it_stands(place):
    x, out = noise(7, 1, 2), np.full(2, -np.inf, np.float32)
    x[place, 0, 0] = np.nan
    pooling.globalmax_forward(x, 0, 7, out)
    assert np.isnan(out[0])
    assert out[1] == x[:, 0, 1].max()


LARGE = [
    ("avgpool 2", 2e38), ("avgpool 3 --stride 1 --padding 1", 2e38), ("l2pool 2", 1e25), ("l2pool 3 --stride 2", 1e30),
    ("globalpool avg", 2e38), ("globalpool l2", 1e25),
]  # fmt: skip


@pytest.mark.parametrize(("words", "scale"), LARGE)
@pytest.mark.parametrize("shape", [(6, 8, 5), (70, 60, 3), (2, 2, 40)])
def test_sums_that_overflow_where_the_result_does_not(words, scale, shape):
    if min(shape[:2]) < 3 and " 3" in words:
        pytest.skip("smaller than the window")
    x = np.clip(noise(*shape), 0.1, 1) * np.float32(scale)
    small = Pipeline.parse(words).run(x / np.float32(scale))
    large = Pipeline.parse(words).run(x)
    assert np.isfinite(large).all()
    np.testing.assert_allclose(large / np.float32(scale), small, rtol=3e-6)
    x[0, 0, 0] = np.inf
    assert np.isinf(Pipeline.parse(words).run(x)[0, 0, 0])
    x[0, 0, 0] = np.nan
    assert np.isnan(Pipeline.parse(words).run(x)[0, 0, 0])


@pytest.mark.parametrize("scale", [1e-18, 1e-22, 1e-30, 1e-42])
@pytest.mark.parametrize("words", ["l2pool 2", "l2pool 3 --stride 2", "globalpool l2"])
@pytest.mark.parametrize("shape", [(6, 8, 5), (70, 60, 3), (4, 4, 70)])
def test_squares_that_underflow_where_the_root_does_not(words, scale, shape):
    x = np.clip(noise(*shape), 0.1, 1) * np.float32(scale)
    x[:, :, 1], x[-1] = 0, 1
    pipeline = Pipeline.parse(words)
    found = pipeline.run(x, 1)
    expected = roots(words, x)
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-45)
    for threads in (1, 2):
        for _ in range(3):
            assert pipeline.run(x, threads).tobytes() == found.tobytes()
        for image in pipeline.run(np.stack([np.ones_like(x), x]), threads)[1:]:
            assert image.tobytes() == found.tobytes()


def roots(words: str, x: np.ndarray) -> np.ndarray:
    """In float64."""
    x = x.astype(np.float64)
    if words.startswith("globalpool"):
        return np.sqrt(np.square(x).sum(axis=(0, 1), keepdims=True))
    size, stride = (2, 2) if words == "l2pool 2" else (3, 2)
    return l2pool(x, (size, size), (stride, stride))


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1.0, 1e30])
def test_the_gradient_of_l2pool_holds_whatever_the_scale(scale):
    """d x / length, of which neither 1 / length nor d x needs to be a float32."""
    x = (np.abs(noise(1, 6, 8, 5)) + F(0.5)) * F(scale)
    wide = x.reshape(1, 3, 2, 4, 2, 5).astype(np.float64)
    length = np.sqrt((wide**2).sum(axis=(2, 4)))
    d = noise(1, 3, 4, 5) * F(1e20)
    found = np.empty_like(x)
    pooling_backward.l2pool_backward(d, x, length.astype(F), 0, 1, found, Window((2, 2), (2, 2)))
    expected = (d[:, :, None, :, None] * wide / length[:, :, None, :, None]).reshape(x.shape)
    np.testing.assert_allclose(found, expected, rtol=2e-3 if scale < 1e-40 else 1e-6)


def test_the_largest_of_2x2_in_training_is_the_first_of_equal_ones_and_nan_comes_before_all():
    x = np.random.default_rng(0).integers(0, 3, (2, 6, 8, 21)).astype(np.float32)
    x[0, 1, 2, :7] = x[1, 4, 5, 3] = np.nan
    out, index = np.empty((2, 3, 4, 21), np.float32), np.empty((2, 3, 4, 21), np.int32)
    pooling_backward.maxpool_index_forward(x, 0, 2, out, index, Window((2, 2), (2, 2)))
    taps = x.reshape(2, 3, 2, 4, 2, 21).transpose(0, 1, 3, 5, 2, 4).reshape(2, 3, 4, 21, 4)
    np.testing.assert_array_equal(out, taps.max(-1))
    finite = np.isfinite(out)
    np.testing.assert_array_equal(index[finite], taps.argmax(-1)[finite])
