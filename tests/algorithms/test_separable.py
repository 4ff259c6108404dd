from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms import choose
from cnntool.algorithms.separable import (
    LARGEST_EXACT,
    factors_of,
    separable_cost,
    separable_fits,
    terms_of,
    worth_looking,
)
from cnntool.kernels.arguments import Corner, Window
from cnntool.kernels.separable import ROWS
from cnntool.steps.memory import Scratch
from cnntool.steps.step import Band, Convolution, run_calls
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins


def step_of(weight: np.ndarray, shape=(40, 50), stride=(1, 1)) -> Convolution:
    window = Window(weight.shape[:2], stride, (1, 1), (0, 0, 0, 0))
    return Convolution((*shape, 1), window, weight.astype(np.float32), None)


def bank(words: str) -> np.ndarray:
    return Pipeline.parse(f"bank {words}").weights((64, 64, 1))[0]["weight"]


def computed(step: Convolution, x: np.ndarray) -> np.ndarray:
    chosen = choose(step, "separable")
    assert chosen.algorithm == "separable"
    out = np.empty(step.output_shape, np.float32)
    run_calls(chosen.calls(Corner(x, 0, 0), Corner(out, 0, 0), Band(0, len(out), Scratch())))
    return out


@pytest.mark.parametrize(
    ("words", "rows", "maps"),
    [
        # of the eight directions those along an axis have one term, those between two, shared with their mirror images
        ("gabor --gamma 1 --keep-mean --scales 1 --size 31", 8, 8),
        ("gabor --gamma 1 --keep-mean --scales 2 --size 31", 16, 16),
        ("gabor --gamma 1 --keep-mean --scales 1 --size 30 --phase 20", 8, 8),
    ],
)
def test_filters_share_what_they_have_in_common(words, rows, maps):
    factors = factors_of(step_of(bank(words)))
    assert (factors.blocks[:, 4].sum(), len(factors.first_term) - 1) == (rows, maps)


def test_derivatives_of_a_round_gaussian_share_all():
    y, x = np.mgrid[-6:7, -6:7] / 2.0
    gaussian = np.exp(-(x**2 + y**2) / 2)
    filters = [(np.cos(a) * x + np.sin(a) * y) * gaussian for a in np.arange(0, np.pi, 0.3)]
    factors = factors_of(step_of(np.stack(filters, -1)[:, :, None]))
    assert (factors.blocks[:, 4].sum(), len(factors.first_term) - 1) == (2, 2)


def test_a_product_without_symmetry_stays_one_term():
    factors = factors_of(step_of(np.outer(noise(9), noise(11)).reshape(9, 11, 1, 1)))
    assert len(factors.terms) == 1
    assert factors.blocks.tolist() == [[0, 11, 0, 0, 1]]


@pytest.mark.parametrize(
    "weight",
    [
        bank("gabor --gamma 1 --size 21"), bank("gabor --size 15 --phase 30"), bank("schmid --size 15"),
        noise(7, 9, 1, 3), np.zeros((6, 6, 1, 2)), noise(6, 6, 1, 2) * [0, 1],
        np.outer(noise(9), noise(12)).reshape(9, 12, 1, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stride", [(1, 1), (1, 3)])
def test_any_bank_is_the_sum_of_its_factors(weight, stride):
    x = noise(40, 50, 1)
    assert_near(computed(step_of(weight, stride=stride), x), twins.conv(x, weight, None, stride))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rectified", [False, True])
def test_a_value_that_is_no_number_comes_through_as_in_direct_convolution(bad, rectified):
    x, weight = noise(40, 50, 1), bank("gabor --gamma 1 --size 9")
    x[20, 30] = bad
    step = step_of(weight)
    step.rectified = rectified
    with np.errstate(invalid="ignore"):
        expected = twins.conv(x, weight, None)
    assert_near(computed(step, x), np.where(expected < 0, 0, expected) if rectified else expected)


def test_what_it_can_compute():
    assert separable_fits(step_of(noise(9, 9, 1, 2)))
    assert not separable_fits(step_of(noise(ROWS - 1, 31, 1, 2)))
    assert not separable_fits(step_of(noise(9, 9, 1, 2), stride=(4, 1)))
    assert not separable_fits(step_of(noise(9, 9, 1, 2) * np.nan))


@pytest.mark.parametrize(
    ("words", "algorithm"),
    [
        ("gabor --gamma 1 --keep-mean --size 31", "separable"),
        ("gaussian-derivatives", "separable"),
        ("gabor --gamma 0.5 --size 31", "fft"),
        ("random --count 40 --size 31", "fft"),
        ("random --count 40 --size 5", "direct"),
    ],
)
def test_it_is_chosen_where_it_is_fastest(words, algorithm):
    assert choose(step_of(bank(words), (256, 256))).algorithm == algorithm


def test_the_cost_grows_with_the_number_of_terms():
    round_ones, long_ones = (separable_cost(step_of(bank(f"gabor --gamma {g} --size 31"))) for g in (1, 0.5))
    assert long_ones > 2 * round_ones


@pytest.mark.parametrize(
    "words",
    [
        "gabor --size 201 --scales 1 --orientations 3",  # small, within zeros
        "gabor --size 221x161 --scales 1 --orientations 3 --wavelength 30 --phase 20",  # as large as its window
    ],
)
def test_large_filters_are_taken_apart_by_their_largest_terms(words):
    weight = bank(words)
    for plane in weight[:, :, 0].transpose(2, 0, 1).astype(np.float64):
        tolerance = 1e-6 * float(np.linalg.norm(plane))
        terms = terms_of(plane, tolerance)
        assert len(terms) == (np.sqrt(np.cumsum(np.linalg.svd(plane)[1][::-1] ** 2)) > tolerance).sum()
        assert np.linalg.norm(plane - sum(np.outer(column, row) for column, row in terms)) <= 1.01 * tolerance


def test_large_filters_of_full_rank_are_left_to_other_algorithms():
    assert factors_of(step_of(noise(LARGEST_EXACT + 40, 200, 1, 1), (300, 300))) is None
    assert not separable_fits(step_of(noise(LARGEST_EXACT + 40, 200, 1, 1), (300, 300)))
    assert factors_of(step_of(noise(LARGEST_EXACT, 200, 1, 1), (300, 300))) is not None


@pytest.mark.parametrize(
    ("kernel", "filters", "image", "worth"),
    [
        ((5, 5), 65536, (6, 6), False),
        ((1023, 1023), 40, (1030, 1030), False),
        ((1023, 1023), 40, (1400, 1400), True),
        ((49, 49), 48, (50, 50), True),
    ],
)
def test_terms_are_not_looked_for_longer_than_the_work_takes(kernel, filters, image, worth):
    weight = np.broadcast_to(np.float32(1), (*kernel, 1, filters))
    window = Window(kernel, (1, 1), (1, 1), (0, 0, 0, 0))
    assert worth_looking(Convolution((*image, 1), window, weight, None)) is worth
    if not worth:
        assert not separable_fits(Convolution((*image, 1), window, weight, None))
