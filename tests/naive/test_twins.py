"""The naive twins against independent implementations, and against values worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.naive import geometry, twins
from tests.oracles import registry

INFINITIES = np.array([-np.inf, np.inf, np.nan, -1.0, 0.0, 1.0]).reshape(1, 6, 1)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def window(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False) -> dict[str, Any]:
    """The options of a pool."""
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation, "ceil": ceil}


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # shape of x, shape of weight, options
    ((7, 9, 3), (1, 1, 3, 5), {}),
    ((7, 9, 3), (3, 3, 3, 4), {"padding": (1, 1, 1, 1)}),
    ((7, 9, 3), (3, 5, 3, 4), {"padding": (0, 2, 1, 3), "stride": (2, 3)}),
    ((5, 14, 2), (5, 1, 2, 3), {"padding": (4, 0, 0, 0), "dilation": (2, 1)}),
    ((9, 9, 6), (3, 3, 2, 9), {"groups": 3, "dilation": (3, 2)}),
    ((6, 8, 5), (4, 4, 1, 5), {"groups": 5, "padding": (1, 1, 2, 2), "stride": (1, 2)}),
    ((6, 8, 5), (2, 3, 1, 15), {"groups": 5, "stride": (3, 1)}),
    ((3, 2, 1), (3, 2, 1, 1), {}),
    ((1, 1, 4), (7, 7, 4, 2), {"padding": (3, 3, 3, 3)}),
    ((3, 3, 1), (1, 1, 1, 2), {"padding": (3, 3, 3, 3), "stride": (4, 4)}),
]

POOLS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((8, 6, 3), window()),
    ((7, 9, 2), window((3, 3), (2, 2))),
    ((7, 9, 2), window((3, 3), (2, 2), ceil=True)),
    ((7, 7, 2), window((2, 2), (2, 2), ceil=True)),
    ((9, 9, 1), window((4, 4), (4, 4), (2, 2, 2, 2), ceil=True)),
    ((32, 5, 1), window((1, 1), (2, 2), ceil=True)),
    ((8, 8, 2), window((3, 2), (1, 2), (1, 1, 1, 1))),
    ((8, 8, 2), window((3, 3), (2, 2), (1, 0, 0, 1))),
    ((9, 7, 2), window((2, 3), (2, 1), (0, 1, 1, 1), (3, 2))),
    ((9, 7, 2), window((3, 3), (3, 3), (1, 1, 1, 1), (2, 2), ceil=True)),
    ((5, 5, 2), window((4, 1), (3, 4), (1, 0, 2, 0))),
    ((6, 5, 1), window((5, 5), (4, 4), (2, 2, 2, 2), ceil=True)),
    ((1, 1, 3), window((2, 2), (2, 2), ceil=True)),
]

SIMPLE: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in sorted(registry.ACTIVATIONS)),
    ("leaky_relu", {"slope": 0.3}),
    ("prelu", {"alpha": np.array([0.1])}),
    ("prelu", {"alpha": np.array([0.1, -0.2, 0.3, 0.4, 0.0, 1.5])}),
    ("elu", {"alpha": 0.5}),
    ("batchnorm", {}),
    ("batchnorm", {"gamma": noise(6), "beta": noise(6), "eps": 1e-3}),
    ("batchnorm", {"gamma": noise(6), "beta": noise(6) + 1, "mean": noise(6) - 1, "var": noise(6) ** 2}),
    ("lrn", {}),
    ("lrn", {"size": 3, "alpha": 0.5, "beta": 0.6, "k": 2.0}),
    ("softmax", {}),
    *(("globalpool", {"how": how}) for how in ("max", "avg", "l2")),
    ("fc", {"weight": noise(5 * 4 * 6, 7)}),
    ("fc", {"weight": noise(5 * 4 * 6, 7), "bias": noise(7)}),
    *((name, {}) for name in ("center", "standardize", "decorrelate")),
    *(("whiten", {"how": how}) for how in ("std", "pca", "zca")),
]


def checkable() -> list[Any]:
    """Every case of the tables with every oracle that can check it."""
    cases: list[tuple[str, tuple[int, ...], dict[str, Any]]] = []
    for shape, weight, options in CONVOLUTIONS:
        cases.append(("conv", shape, {"weight": noise(*weight), **options}))
        cases.append(("conv", shape, {"weight": noise(*weight), "bias": noise(weight[3]), **options}))
    for shape, options in POOLS:
        cases += [(pool, shape, options) for pool in ("maxpool", "avgpool", "l2pool")]
        cases.append(("avgpool", shape, {**options, "count_padding": True}))
    cases += [(operation, (5, 4, 6), options) for operation, options in SIMPLE]
    return [
        pytest.param(oracle, operation, shape, options, id=f"{operation}-{place}-{oracle}")
        for place, (operation, shape, options) in enumerate(cases)
        for oracle in registry.ORACLES
        if not registry.refusal(oracle, operation, shape, options)
    ]


def agree(oracle: str, operation: str, x: np.ndarray, **options: Any) -> None:
    """The twin and the oracle give the same, and neither changes its input."""
    before = x.copy()
    expected = getattr(registry.load(oracle), operation)(x, **options)
    actual = getattr(twins, operation)(x, **options)
    assert actual.dtype == np.float64
    assert actual.shape == expected.shape
    tolerance = registry.TOLERANCE[oracle]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("oracle", "operation", "shape", "options"), checkable())
def test_twin_and_oracle_agree(oracle, operation, shape, options):
    agree(oracle, operation, 3 * noise(*shape), **options)


def test_every_pool_case_has_an_oracle():
    for shape, options in POOLS:
        for pool in ("maxpool", "avgpool", "l2pool"):
            assert not all(registry.refusal(oracle, pool, shape, options) for oracle in registry.ORACLES)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4, 17), (6, 7, 1), (6, 7, 2)])
@pytest.mark.parametrize(
    ("operation", "options"), [("decorrelate", {}), *(("whiten", {"how": how}) for how in ("std", "pca", "zca"))]
)
def test_statistics_of_few_pixels_or_channels(shape, operation, options):
    agree("scipy", operation, noise(*shape), **options)


@pytest.mark.parametrize("activation", sorted(registry.ACTIVATIONS))
def test_infinities_and_nan_through_activations(activation):
    agree("torch", activation, INFINITIES)


def test_infinities_and_nan_through_max_pooling():
    x = noise(6, 6, 2)
    x[0, 0, 0], x[3, 3, 1], x[5, 5, 0], x[2, 4, 1] = np.nan, np.nan, np.inf, -np.inf
    agree("torch", "maxpool", x, **window((3, 3), (1, 1), (1, 1, 1, 1)))
    assert twins.maxpool(np.full((2, 2, 1), -np.inf), (3, 3), (1, 1), (1, 1, 1, 1)).max() == -np.inf


def test_a_nan_reaches_the_convolution_windows_it_lies_in():
    x = noise(5, 5, 1)
    x[0, 0, 0] = np.nan
    y = twins.conv(x, np.ones((3, 3, 1, 1)), padding=(1, 1, 1, 1))
    assert np.isnan(y[:2, :2]).all()
    assert np.isnan(y).sum() == 4


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after", "ceil", "expected"),
    [(9, 4, 4, 2, 2, True, 3), (32, 1, 2, 0, 0, True, 16), (227, 11, 4, 0, 0, False, 55), (2, 3, 1, 0, 0, False, 0)],
)
def test_output_size(size, kernel, stride, before, after, ceil, expected):
    assert geometry.output_size(size, kernel, stride, 1, before, after, ceil) == expected


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", range(1, 12))
def test_same_padding_gives_one_window_a_stride(kernel, stride, dilation):
    for size in range(1, 40):
        before, after = geometry.same_padding(size, kernel, stride, dilation)
        assert before <= after <= before + 1
        assert geometry.output_size(size, kernel, stride, dilation, before, after) == math.ceil(size / stride)


def test_an_overhanging_l2_window_is_summed_as_it_is():
    y = twins.l2pool(np.ones((3, 3, 1)), **window(ceil=True))
    np.testing.assert_allclose(y[:, :, 0], [[2, math.sqrt(2)], [math.sqrt(2), 1]])


def test_batch_normalisation_can_be_the_identity():
    x = noise(6, 5, 3)
    mean, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
    np.testing.assert_allclose(twins.batchnorm(x, np.sqrt(var + 1e-5), mean), x, atol=1e-12)


@pytest.mark.parametrize("how", ["pca", "zca"])
def test_whitened_pixels_have_unit_covariance(how):
    pixels = twins.whiten(noise(9, 9, 4), how).reshape(-1, 4)
    np.testing.assert_allclose(pixels.T @ pixels / 81, np.eye(4), atol=1e-12)


def test_a_constant_channel_becomes_zero():
    x = noise(6, 6, 3)
    x[:, :, 1] = 0.1
    for how in ("std", "zca"):
        assert np.abs(twins.whiten(x, how)[:, :, 1]).max() < 1e-12


def test_two_channels_decorrelate_into_half_sum_and_difference():
    np.testing.assert_array_equal(twins.decorrelate(np.array([[[3.0, 1.0]]])), [[[2.0, 2.0]]])
