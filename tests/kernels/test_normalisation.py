from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.kernels import normalisation, normalisation_backward
from tests.kernels.volumes import COLUMN, ROW, assert_near, guarded, noise, written
from tests.naive import twins

F = np.float32


def in_place(name: str, x: np.ndarray, *arguments) -> np.ndarray:
    """The kernel on x, set into guard values."""
    rows, columns, channels = x.shape
    v = guarded(rows, columns, channels)
    v[ROW : ROW + rows, COLUMN : COLUMN + columns] = x
    getattr(normalisation, name)(v, ROW, COLUMN, rows, columns, *arguments)
    return written(v, rows, columns)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 50])
def test_lrn_of_any_size_and_number_of_channels(size):
    for channels in range(1, 41):
        x = 3 * noise(2, 3, channels)
        assert_near(in_place("lrn_forward", x, size, F(0.5), F(0.75), F(2)), twins.lrn(x, size, 0.5, 0.75, 2.0), 1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75, 1.0, -0.3])
def test_lrn_of_any_exponent(beta):
    x = 3 * noise(3, 4, 7)
    assert_near(in_place("lrn_forward", x, 5, F(0.25), F(beta), F(1)), twins.lrn(x, 5, 0.25, F(beta), 1.0), 2e-6)


def test_lrn_spreads_a_nan_to_the_neighbours_that_see_it():
    x = noise(1, 2, 9)
    x[0, 1, 4] = np.nan
    found = in_place("lrn_forward", x, 3, F(0.5), F(0.75), F(1))
    assert np.flatnonzero(np.isnan(found[0, 1])).tolist() == [3, 4, 5]
    assert np.isfinite(found[0, 0]).all()


def test_softmax_of_any_number_of_channels():
    for channels in range(1, 41):
        x = 4 * noise(2, 3, channels)
        found = in_place("softmax_forward", x)
        np.testing.assert_allclose(found, twins.softmax(x), rtol=2e-6)
        np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)


@pytest.mark.parametrize("far", [-1e30, -1e4, 1e4, 1e30])
def test_softmax_does_not_overflow(far):
    x = np.full((1, 1, 3), F(far))
    np.testing.assert_allclose(in_place("softmax_forward", x), np.full((1, 1, 3), 1 / 3), rtol=1e-6)


def test_softmax_of_infinities():
    x = F([[[-np.inf, 0, 0], [np.inf, 0, 1], [np.nan, 0, 1], [0, 1, np.nan]]])
    found = in_place("softmax_forward", x)[0]
    np.testing.assert_array_equal(found[0], [0, 0.5, 0.5])
    assert np.isnan(found[1, 0])
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_lrn_of_large_numbers(size, beta):
    """Their squares overflow float32, their results do not."""
    x = noise(3, 7, 21) - 0.5
    x[1] *= np.float32(1e25)
    x[2, 3, 4] = 3e38
    v = x.copy()
    normalisation.lrn_forward(v, 0, 0, 3, 7, size, np.float32(0.1), np.float32(beta), np.float32(1))
    expected = np.empty(x.shape)
    wide = x.astype(np.float64)
    for c in range(21):
        window = wide[:, :, max(0, c - size // 2) : max(0, c - size // 2 + size)]
        expected[:, :, c] = wide[:, :, c] / (1 + np.float64(np.float32(0.1)) / size * (window**2).sum(axis=2)) ** beta
    assert np.isfinite(v).all()
    np.testing.assert_allclose(v, expected, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize(
    ("words", "scale"),
    [
        ("lrn --size 701", 2e18), ("lrn --alpha 500", 2e18), ("lrn --size 300 --beta 0.5", 2e18),
        ("lrn --k 0", 1e-21), ("lrn --k 0 --alpha 1", 1e-30), ("lrn --k 0 --beta 0.5 --size 3", 1e-22),
        ("lrn --k 1e-30 --alpha 1", 1e-16), ("lrn", 1e30),
    ],
)  # fmt: skip
def test_squares_that_float32_does_not_hold(words, scale):
    x = np.clip(np.abs(noise(3, 4, 720)), 0.1, 1) * np.float32(scale)
    x[0] = 1
    options = dict(zip(words.replace("--", "").split()[1::2], map(float, words.split()[2::2]), strict=True))
    options["size"] = int(options.get("size", 5))
    pipeline = Pipeline.parse(words)
    found = pipeline.run(x, 1)
    np.testing.assert_allclose(found, twins.lrn(x.astype(np.float64), **options), rtol=1e-5)
    for threads in (1, 2):
        for _ in range(3):
            assert pipeline.run(x, threads).tobytes() == found.tobytes()
        assert pipeline.run(np.stack([x, x]), threads)[1].tobytes() == found.tobytes()


@pytest.mark.parametrize(("scale", "k"), [(1.0, 1.0), (1e25, 1.0), (3e37, 2.0), (1e-25, 0.0), (1e-30, 1e-30)])
def test_the_gradient_of_lrn_where_float32_does_not_hold_squares(scale, k):
    size, alpha, beta = 5, np.float32(0.1), 0.75
    x = (noise(4, 3, 21).reshape(12, 21) - 0.5) * F(scale)
    d = noise(12, 21)
    found = np.empty_like(x)
    normalisation_backward.lrn_backward(x, d, found, size, alpha, F(beta), F(k))
    wide, share = x.astype(np.float64), np.float64(alpha) / size
    near = np.array([[int(c - size // 2 <= i < c - size // 2 + size) for i in range(21)] for c in range(21)])
    base = np.float64(F(k)) + share * wide**2 @ near.T
    expected = d * base**-beta - 2 * share * beta * wide * ((d * wide * base ** (-beta - 1)) @ near)
    with np.errstate(over="ignore"):
        held = expected.astype(F)  # some of these gradients are infinite, or zero
    np.testing.assert_allclose(found, held, rtol=1e-4, atol=max(1e-4 * np.abs(held[np.isfinite(held)]).max(), 1e-44))
