from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool.banks.texture import LeungMalik, MaximumResponse, RootFilterSet, Schmid


def normalised(plane):
    plane = plane - plane.sum() / plane.size
    return plane / abs(plane).sum()


def bell(q, sigma, order):
    g = math.exp(-q * q / (2 * sigma**2)) / math.sqrt(2 * math.pi * sigma**2)
    return (g, -g * q / sigma**2, g * (q * q - sigma**2) / sigma**4)[order]


def oriented_pixel_by_pixel(side, sigma, order, o):
    plane = np.zeros((side, side))
    t, half = math.pi * o / 6, side // 2
    for row in range(side):
        for column in range(side):
            x, y = column - half, half - row
            u, v = x * math.cos(t) - y * math.sin(t), x * math.sin(t) + y * math.cos(t)
            plane[row, column] = bell(u, 3 * sigma, 0) * bell(v, sigma, order)
    return normalised(plane)


def spot_pixel_by_pixel(side, sigma):
    span = range(-(side // 2), side // 2 + 1)
    return normalised(np.array([[bell(math.hypot(x, y), sigma, 0) for x in span] for y in span]))


def log_pixel_by_pixel(side, sigma):
    half = side // 2
    r2 = np.array([[(c - half) ** 2 + (r - half) ** 2 for c in range(side)] for r in range(side)])
    weights = np.exp(-r2 / (2 * sigma**2))
    return normalised(weights / weights.sum() * (r2 - 2 * sigma**2) / sigma**4)


def test_rfs_is_the_published_formula():
    side = 29
    expected = [
        oriented_pixel_by_pixel(side, sigma, order, o) for order in (1, 2) for sigma in (1, 2, 4) for o in range(6)
    ]
    expected += [spot_pixel_by_pixel(side, 10), log_pixel_by_pixel(side, 10)]
    np.testing.assert_allclose(RootFilterSet(size=(side, side)).filters(), np.stack(expected, axis=-1), atol=1e-7)


def test_leung_malik_is_the_published_formula():
    side = 33
    expected = [
        oriented_pixel_by_pixel(side, 2 ** (power / 2), order, o)
        for order in (1, 2)
        for power in (1, 2, 3)
        for o in range(6)
    ]
    for power in (1, 2, 3, 4):
        sigma = 2 ** (power / 2)
        expected += [
            spot_pixel_by_pixel(side, sigma),
            log_pixel_by_pixel(side, sigma),
            log_pixel_by_pixel(side, 3 * sigma),
        ]
    np.testing.assert_allclose(LeungMalik(size=(side, side)).filters(), np.stack(expected, axis=-1), atol=1e-7)


def test_schmid_is_the_published_formula():
    pairs = [(2, 1), (4, 1), (4, 2), (6, 1), (6, 2), (6, 3), (8, 1), (8, 2), (8, 3), (10, 1), (10, 2), (10, 3), (10, 4)]
    r = np.array([[math.hypot(column - 24, row - 24) for column in range(49)] for row in range(49)])
    expected = [normalised(np.cos(np.pi * tau * r / sigma) * np.exp(-(r**2) / (2 * sigma**2))) for sigma, tau in pairs]
    np.testing.assert_allclose(Schmid().filters(), np.stack(expected, axis=-1), atol=1e-7)
    assert Schmid().names() == [f"schmid {sigma},{tau}" for sigma, tau in pairs]


@pytest.mark.parametrize(
    "bank", [LeungMalik(), RootFilterSet(), Schmid(), LeungMalik(size=(20, 35)), Schmid(size=(3, 3))]
)
def test_sum_zero_and_absolute_sum_one(bank):
    filters = bank.filters().astype(np.float64)
    np.testing.assert_allclose(filters.sum(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1)), 1, rtol=1e-6)


def test_round_filters_look_the_same_from_all_sides():
    for filters in (Schmid().filters(), LeungMalik().filters()[..., 36:], RootFilterSet().filters()[..., 36:]):
        np.testing.assert_allclose(np.rot90(filters), filters, atol=1e-8)
        np.testing.assert_allclose(filters[::-1], filters, atol=1e-8)


def test_a_quarter_turn_is_three_orientations():
    filters = RootFilterSet().filters()
    for first in range(0, 36, 6):
        for o in range(3):
            turned = np.rot90(filters[..., first + o], -1)
            np.testing.assert_allclose(turned, filters[..., first + o + 3], atol=1e-8)


def test_the_names_tell_the_order():
    names = LeungMalik().names()
    assert names[0] == "lm edge 1.41 o0"
    assert names[18] == "lm bar 1.41 o0"
    assert names[36:39] == ["lm spot 1.41", "lm log 1.41", "lm log 4.24"]
    assert RootFilterSet().names()[35:] == ["rfs bar 4 o5", "rfs spot 10", "rfs log 10"]


def test_mr8_takes_the_maximum_over_the_orientations_of_each_scale():
    bank = MaximumResponse()
    assert bank.reduce.groups == (
        (0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11), (12, 13, 14, 15, 16, 17),
        (18, 19, 20, 21, 22, 23), (24, 25, 26, 27, 28, 29), (30, 31, 32, 33, 34, 35),
        (36,), (37,),
    )  # fmt: skip
    assert bank.reduce.how == ("absmax",) * 3 + ("max",) * 5
    assert bank.filters().tobytes() == RootFilterSet().filters().tobytes()
    assert bank.names()[0] == "mr8 edge 1 o0"
    assert RootFilterSet().reduce is None
