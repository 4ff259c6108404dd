from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool.banks.derivatives import GaussianDerivatives, Laplacian, Prewitt, Scharr, Sobel

GRADIENTS = [(Sobel, "sobel", 8), (Prewitt, "prewitt", 6), (Scharr, "scharr", 32)]


def correlate(plane, bank):
    """The responses at the centre of a plane of the filters' size."""
    return np.einsum("yx,yxk->k", plane, bank.filters().astype(np.float64))


def ramp(side, dx, dy):
    rows, columns = np.mgrid[:side, :side]
    return 5.0 + dx * columns + dy * rows


@pytest.mark.parametrize(("bank", "word", "scale"), GRADIENTS)
def test_a_ramp_gives_its_slope(bank, word, scale):
    np.testing.assert_allclose(correlate(ramp(3, 2.0, -3.0), bank()), (2, -3), atol=1e-6)
    np.testing.assert_allclose(np.abs(bank().filters()).sum(axis=(0, 1)), 1, rtol=1e-6)
    assert bank().names() == [f"{word} x", f"{word} y"]


@pytest.mark.parametrize(("bank", "word", "scale"), GRADIENTS[:2])
def test_scipys_gradients_are_larger_by_a_known_factor(bank, word, scale):
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.random.RandomState(1).rand(3, 3)
    expected = [getattr(ndimage, word)(picture, axis=axis)[1, 1] / scale for axis in (1, 0)]
    np.testing.assert_allclose(correlate(picture, bank()), expected, atol=1e-7)


@pytest.mark.parametrize(("bank", "word", "scale"), GRADIENTS)
def test_scikit_images_gradients_are_twice_as_large(bank, word, scale):
    filters = pytest.importorskip("skimage.filters")
    picture = np.random.RandomState(2).rand(3, 3)
    expected = [getattr(filters, word + ending)(picture)[1, 1] / 2 for ending in ("_v", "_h")]
    np.testing.assert_allclose(correlate(picture, bank()), expected, atol=1e-7)


@pytest.mark.parametrize(("bank", "word", "scale"), GRADIENTS)
def test_whole_numbers_return_at_opencvs_and_scipys_scale(bank, word, scale):
    whole = bank().filters()[..., 0] * scale
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-5)
    side = {"sobel": [-1, -2, -1], "prewitt": [-1, -1, -1], "scharr": [-3, -10, -3]}[word]
    np.testing.assert_allclose(whole[:, 0], side, atol=1e-5)


@pytest.mark.parametrize(("bank", "word", "scale"), GRADIENTS)
def test_magnitude_is_one_modulus(bank, word, scale):
    reduction = bank(magnitude=True).reduce
    assert reduction.groups == ((0, 1),)
    assert reduction.how == ("modulus",)
    assert bank().reduce is None


@pytest.mark.parametrize("neighbours", ["4", "8"])
def test_the_laplacian_is_the_second_derivative(neighbours):
    bank = Laplacian(neighbours)
    rows, columns = np.mgrid[-1:2, -1:2]
    for plane, expected in [(ramp(3, 2.0, -3.0), 0), (columns**2, 2), (rows**2, 2), (3 * columns**2 + rows**2, 8)]:
        np.testing.assert_allclose(correlate(plane, bank), expected, atol=1e-6)


def test_the_laplacian_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.random.RandomState(3).rand(3, 3)
    np.testing.assert_allclose(correlate(picture, Laplacian()), ndimage.laplace(picture)[1, 1], atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gaussian_derivatives_are_scipys_up_to_scale(order):
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.random.RandomState(4).rand(33, 33)
    bank = GaussianDerivatives(sigma=2.5, order=order, orientations=2, size=(33, 33))
    got = correlate(picture, bank)
    options = {"mode": "constant", "radius": 16}
    expected = [
        ndimage.gaussian_filter(picture, 2.5, order=axes, **options)[16, 16] for axes in ((0, order), (order, 0))
    ]
    # scipy gives the true derivative; ours is that over the absolute sum of the sampled formula.
    line = np.arange(-16, 17) / 2.5
    hermite = np.polynomial.hermite_e.hermeval(line, [0] * order + [1]) * np.exp(-(line**2) / 2)
    factor = 2.5**order * np.exp(-(line**2) / 2).sum() / np.abs(hermite).sum()
    np.testing.assert_allclose(got, np.array(expected) * factor, rtol=0.02)


@pytest.mark.parametrize("values", [{}, {"order": 2}, {"order": 4}, {"order": 8}, {"size": (8, 13)}, {"sigma": 0.5}])
def test_sum_zero_and_absolute_sum_one(values):
    filters = GaussianDerivatives(**values).filters().astype(np.float64)
    np.testing.assert_allclose(filters.sum(axis=(0, 1)), 0, atol=1e-7)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1)), 1, rtol=1e-6)


def test_a_rising_ramp_answers_positively_in_its_direction():
    bank = GaussianDerivatives(orientations=8)
    for o in range(8):
        angle = math.pi * o / 8
        responses = correlate(ramp(17, math.cos(angle), math.sin(angle)), bank)
        assert responses.argmax() == o
        assert responses[o] > 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_order_plus_one_orientations_span_every_other(order):
    basis = GaussianDerivatives(order=order, orientations=order + 1).filters().reshape(-1, order + 1)
    others = GaussianDerivatives(order=order, orientations=7).filters().reshape(-1, 7)
    residual = np.linalg.lstsq(basis, others, rcond=None)[1]
    assert residual.max() < 1e-6 * (others**2).sum(axis=0).min()


@pytest.mark.parametrize("values", [{"sigma": 256.0, "size": (3, 3), "order": 8}, {"sigma": 0.3, "size": (1023, 3)}])
def test_the_ends_of_the_ranges_give_finite_filters(values):
    assert np.isfinite(GaussianDerivatives(**values).filters()).all()
