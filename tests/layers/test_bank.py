from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.banks.base import Reduction
from cnntool.errors import CnntoolError
from tests.banks.cases import CASES
from tests.banks.cases import Case as BankCase
from tests.kernels.volumes import assert_near, noise
from tests.layers.cases import Case
from tests.layers.cases import bank as slow_bank
from tests.layers.slopes import check_gradients


def filters_of(words: str) -> np.ndarray:
    """The filters, (height, width, count)."""
    return Pipeline.parse(f"bank {words}").weights((40, 40, 1))[0]["weight"][:, :, 0]


def reduced(responses: np.ndarray, reduction: Reduction | None) -> np.ndarray:
    """The maps that groups of responses are joined into."""
    if reduction is None:
        return responses
    join = {"max": np.max, "absmax": lambda r, axis: np.abs(r).max(axis), "modulus": np.linalg.norm}
    maps = [join[how](responses[..., list(group)], axis=-1) for group, how in zip(*astuple(reduction), strict=True)]
    return np.stack(maps, axis=-1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_maps_of_every_bank_and_their_gradients(case: BankCase):
    layers = Case("bank", str(case), (13, 14, 2), lambda x, arrays: reduced(slow_bank(x, arrays), case.bank().reduce))
    x = layers.volume()
    assert_near(layers.pipeline().run(x), layers.expected(x))
    check_gradients(layers, directions=1)


@pytest.mark.parametrize("case", [case for case in CASES if case.bank().reduce is None and not case.options], ids=str)
def test_a_bank_is_a_correlation_with_the_image_reflected(case: BankCase):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, filters = noise(17, 19, 1), case.bank().filters().astype(np.float64)
    # ndimage's middle of an even side is its upper one, `same` has the lower
    origin = [size % 2 - 1 for size in filters.shape[:2]]
    maps = [
        ndimage.correlate(x[..., 0].astype(np.float64), filter, mode="reflect", origin=origin)
        for filter in np.moveaxis(filters, 2, 0)
    ]
    assert_near(Pipeline.parse(str(case)).run(x), np.stack(maps, axis=2))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_answers_in_a_white_picture_but_filters_with_a_mean(case: BankCase, channels):
    white, bank = np.ones((23, 30, channels), np.float32), case.bank()
    sums = bank.filters().astype(np.float64).sum(axis=(0, 1))
    found = Pipeline.parse(str(case)).run(white)
    expected = reduced(np.broadcast_to(sums, (23, 30, len(sums))), bank.reduce)
    assert np.abs(found - expected).max() < 1e-5
    if np.abs(sums).max() < 1e-6:
        assert np.abs(found).max() < 1e-6
    around = Pipeline.parse(f"{case} --border zero").run(white)
    assert np.abs(around - expected).max() > 0.01


@pytest.mark.parametrize("words", ["sobel", "laws", "gabor --scales 1 --orientations 3 --size 7"])
def test_valid_padding_against_signal(words):
    signal = pytest.importorskip("scipy.signal")
    x, filters = noise(17, 19, 1), filters_of(words).astype(np.float64)
    maps = [signal.correlate2d(x[..., 0], filter, mode="valid") for filter in np.moveaxis(filters, 2, 0)]
    assert_near(Pipeline.parse(f"bank {words} --padding valid").run(x), np.stack(maps, axis=2))


def test_channels_are_averaged_first():
    x = noise(9, 10, 4)
    found = Pipeline.parse("bank scharr").run(x)
    assert found.shape == (9, 10, filters_of("scharr").shape[2])
    assert_near(found, Pipeline.parse("bank scharr").run(x.mean(axis=2)))


@pytest.mark.parametrize("words", ["sobel", "gabor --scales 1 --orientations 2 --size 5", "mr8 --size 9"])
def test_each_channel_goes_through_the_whole_bank_the_first_s_maps_first(words):
    x = noise(11, 10, 3)
    found = Pipeline.parse(f"bank {words} --per-channel").run(x)
    single = Pipeline.parse(f"bank {words}")
    assert_near(found, np.concatenate([single.run(x[..., c]) for c in range(3)], axis=2))


def test_one_channel_is_the_same_per_channel():
    x = noise(9, 10, 1)
    np.testing.assert_array_equal(Pipeline.parse("bank laws --per-channel").run(x), Pipeline.parse("bank laws").run(x))


@pytest.mark.parametrize("stride", [(2, 2), (1, 3), (4, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_stride_takes_some_of_the_positions(stride, channels):
    x = noise(13, 14, channels)
    words = f"bank random --count 4 --size 3 --padding 1 --stride {stride[0]}x{stride[1]}"
    dense = Pipeline.parse("bank random --count 4 --size 3 --padding 1").run(x)
    assert_near(Pipeline.parse(words).run(x), dense[:: stride[0], :: stride[1]], 1e-6)


def test_maximum_response_takes_edges_by_size_and_bars_by_value():
    x = noise(20, 21, 1)
    responses = slow_bank(x.astype(np.float64), {"weight": filters_of("rfs --size 13")[:, :, None]})
    found = Pipeline.parse("bank mr8 --size 13").run(x)
    assert found.shape == (20, 21, 8)
    for scale in range(3):
        edges, bars = (responses[..., first + 6 * scale : first + 6 * scale + 6] for first in (0, 18))
        assert_near(found[..., scale], np.abs(edges).max(axis=2))
        assert_near(found[..., 3 + scale], bars.max(axis=2))
    assert_near(found[..., 6:], responses[..., 36:])


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 2, 1), (1, 6, 3)])
def test_filters_of_a_file(tmp_path, shape):
    filters = noise(*shape)
    np.save(tmp_path / "mine.npy", filters)
    x = noise(9, 8, 2)
    found = Pipeline.parse(["bank", str(tmp_path / "mine.npy")]).run(x)
    assert found.shape == (9, 8, shape[2])
    assert_near(found, slow_bank(x.astype(np.float64), {"weight": filters[:, :, None]}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CnntoolError, match=r"bank .*none\.npy"):
        Pipeline.parse(["bank", str(tmp_path / "none.npy")]).shape((8, 8, 1))


def test_filters_are_buffers_and_cost_is_that_of_the_dense_responses():
    row = Pipeline.parse("bank mr8 --size 9 --per-channel").shape((10, 11, 3))["layers"][0]
    assert row["parameters"] == 0
    assert row["buffers"] == 9 * 9 * 38
    assert row["output_shape"] == [10, 11, 24]
    assert row["macs"] == 10 * 11 * 81 * 38 * 3
    assert row["receptive_field"] == [9, 9]
