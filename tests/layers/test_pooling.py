from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from tests.kernels.volumes import assert_near, noise


def run(words: str, x: np.ndarray) -> np.ndarray:
    return Pipeline.parse(words).run(np.asarray(x, np.float32))


ONES = np.ones((3, 3, 1))


def test_l2_is_the_root_of_the_sum_and_partial_windows_are_summed_as_they_are():
    np.testing.assert_allclose(
        run("l2pool 2 --ceil", ONES)[..., 0], [[2, 2**0.5], [2**0.5, 1]], rtol=1e-6
    )  # fmt: skip


def test_an_average_does_not_count_padding_unless_asked():
    assert (run("avgpool 3 --stride 1 --padding 1", ONES) == 1).all()
    counted = run("avgpool 3 --stride 1 --padding 1 --count-padding", ONES)[..., 0]
    np.testing.assert_allclose(counted * 9, [[4, 6, 4], [6, 9, 6], [4, 6, 4]], rtol=1e-6)


def test_counted_padding_is_clipped_to_the_padded_volume():
    """6 pixels and a border of 1 under a window of 4 in steps of 3, rounded up: the last one overhangs by 2."""
    x = np.ones((1, 6, 1))
    counted = run("avgpool 1x4 --stride 3 --padding 0,1,0,1 --count-padding --ceil", x)[0, :, 0]
    np.testing.assert_allclose(counted, [3 / 4, 4 / 4, 1 / 2], rtol=1e-6)
    assert (run("avgpool 1x4 --stride 3 --padding 0,1,0,1 --ceil", x) == 1).all()


@pytest.mark.parametrize(
    ("words", "size", "outputs"),
    [
        ("maxpool 4 --stride 4 --padding 2 --ceil", 9, 3),
        ("maxpool 1 --stride 2 --ceil", 32, 16),
        ("maxpool 2 --ceil", 5, 3),
        ("maxpool 2", 5, 2),
        ("maxpool 3 --stride 2", 55, 27),
        ("maxpool 2 --padding same", 5, 3),
        ("maxpool 3 --stride 2 --padding valid", 5, 2),
    ],
)
def test_sizes(words, size, outputs):
    assert run(words, np.zeros((size, size, 1))).shape == (outputs, outputs, 1)


@pytest.mark.parametrize("word", ["maxpool", "avgpool", "l2pool"])
def test_a_last_partial_window_holds_the_pixels_that_are_left(word):
    x = 1 + np.arange(5.0).reshape(1, 5, 1)
    expected = {"maxpool": [2, 4, 5], "avgpool": [1.5, 3.5, 5], "l2pool": [5**0.5, 5.0, 5]}[word]
    np.testing.assert_allclose(run(f"{word} 1x2 --ceil", x)[0, :, 0], expected, rtol=1e-6)


def test_padding_never_wins():
    assert (run("maxpool 3 --stride 1 --padding 1", -ONES) == -1).all()
    assert (run("maxpool 3 --stride 1 --padding same", np.full((4, 4, 2), -np.inf)) == -np.inf).all()


def test_the_step_of_a_pool_is_its_size():
    assert run("maxpool 2x3", np.zeros((8, 9, 1))).shape == (4, 3, 1)


@pytest.mark.parametrize("padding", ["2", "0x2", "0,0,2,0"])
def test_padding_of_more_than_half_the_window_is_refused(padding):
    with pytest.raises(CnntoolError, match="more than half the window of 3x3: expected at most 1x1"):
        Pipeline.parse(f"maxpool 3 --padding {padding}").shape((8, 8, 1))


def test_a_convolution_of_stride_two_can_stand_for_a_mean():
    x = noise(8, 6, 3)
    conv = Pipeline.parse("conv 3 2 --stride 2 --groups 3")
    conv.set_weights([{"weight": np.full((2, 2, 1, 3), 0.25, np.float32)}])
    assert_near(conv.run(x), run("avgpool 2", x), 1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (40, 3, 2), (17, 31, 33)])
@pytest.mark.parametrize("how", ["max", "avg", "l2"])
def test_global_pools_of_any_shape(shape, how):
    x = noise(*shape)
    exact = x.astype(np.float64)
    expected = {"max": x.max((0, 1)), "avg": exact.mean((0, 1)), "l2": np.sqrt((exact**2).sum((0, 1)))}[how]
    found = run(f"globalpool {how}", x)
    assert found.shape == (1, 1, shape[2])
    assert_near(found[0, 0], expected, 1e-6)


def test_the_mean_of_many_equal_pixels_is_their_value():
    x = np.full((600, 600, 1), 0.1, np.float32)
    np.testing.assert_allclose(run("globalpool avg", x), 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "field", "jump", "center"),
    [
        ("maxpool 2", 2, 2, 0.5),
        ("maxpool 3 --stride 2 --padding 1", 3, 2, 0),
        ("maxpool 3 --stride 1 --dilation 2", 5, 1, 2),
        ("avgpool 2 maxpool 2", 4, 4, 1.5),
    ],
)
def test_receptive_fields(words, field, jump, center):
    row = Pipeline.parse(words).shape((16, 16, 1))["layers"][-1]
    assert (row["receptive_field"], row["jump"], row["center"]) == ([field] * 2, [jump] * 2, [center] * 2)


def test_a_global_pool_sees_all_the_volume():
    assert Pipeline.parse("globalpool avg").shape((12, 9, 2))["layers"][0]["receptive_field"] == [12, 9]
