"""Every layer's forward pass in training and its gradients, against the naive twins, torch, and themselves."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.engine.threads import parallel
from cnntool.steps.training import Training
from tests.cases.gradients import LAYERS, arrays_of, backward, batch_of, configurations, forward
from tests.layers.cases import CASES, Case
from tests.layers.slopes import check_gradients, gradients, trained
from tests.naive.convolution import conv
from tests.naive.gradients import conv_backward
from tests.oracles.registry import installed

TOLERANCE = 1e-4  # of the largest gradient
IMAGES = 3


def training(threads: int = 1, seed: int = 0) -> Training:
    return Training(functools.partial(parallel, threads), seed)


def layer_of(words: str):
    return Pipeline.parse(words).layers[0]


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-3)


def float32(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float32) for name, array in values.items()}


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_those_of_the_twin(layer):
    for row, rng in configurations(layer, 17):
        arrays, x = arrays_of(row, rng), batch_of(row, rng, IMAGES)
        given, single = x.astype(np.float32), float32(arrays)
        before = {name: array.copy() for name, array in single.items()}
        made = layer_of(words_of(row))
        pass_ = training(threads=2)
        output, saved = made.train([given], single, pass_)
        y = forward(row, x, arrays)
        close(output, y)
        d_y = rng.standard_normal(y.shape).astype(np.float32)
        kept = d_y.copy()
        (d_x,), d_arrays = made.gradient(d_y, saved, single, pass_)
        expected, d_expected = backward(row, d_y.astype(np.float64), x, arrays)
        close(d_x, expected)
        assert set(d_arrays) == set(arrays)
        for name, gradient in d_arrays.items():
            close(gradient, d_expected[name])
        np.testing.assert_array_equal(given, x)
        np.testing.assert_array_equal(d_y, kept)
        for name, array in before.items():
            np.testing.assert_array_equal(single[name], array)


def words_of(row) -> str:
    layer = row.layer
    return " ".join([layer.word, *layer.arguments, *(w for option in layer.options.items() for w in option if w)])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_the_slopes_of_the_twin(case: Case):
    check_gradients(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_number_of_threads_gives_the_same_bits(case: Case):
    batch, results = np.stack([case.volume(number) for number in range(19)]), []
    for threads in (1, 2, 5):
        arrays = case.trained_arrays()
        output, passes, saved = trained(case, batch, arrays, threads)
        found = gradients(case, np.cos(output), arrays, passes, saved)
        results.append([output, *(array for node in (*found, *arrays) for array in node.values())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_is_used_again():
    x = np.ones((4, 5, 5, 2), np.float32)
    layer, pass_ = layer_of("relu"), training()
    first, _ = layer.train([x], {}, pass_)
    second, _ = layer.train([2 * x], {}, pass_)
    assert np.shares_memory(first, second)


def test_batch_normalisation_normalises_the_batch_and_keeps_unbiased_running_statistics():
    rng = np.random.default_rng(0)
    layer, arrays = layer_of("batchnorm"), layer_of("batchnorm").initial((4, 5, 3), None, True)
    mean, var, pass_ = np.zeros(3), np.ones(3), training()
    for step in range(13):
        pass_.step, weight = step, max(0.1, 1 / (step + 1))
        x = (100 + 3 * rng.standard_normal((6, 4, 5, 3))).astype(np.float32)
        output, _ = layer.train([x], arrays, pass_)
        np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(output.std(axis=(0, 1, 2)), 1, rtol=1e-3)
        mean = (1 - weight) * mean + weight * x.mean(axis=(0, 1, 2), dtype=np.float64)
        var = (1 - weight) * var + weight * x.var(axis=(0, 1, 2), dtype=np.float64, ddof=1)
    np.testing.assert_allclose(arrays["running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(arrays["running_var"], var, rtol=1e-5)


def test_gamma_of_the_deviation_and_beta_of_the_mean_give_the_batch_back():
    x = np.random.default_rng(0).standard_normal((5, 6, 7, 4)).astype(np.float32)
    axes = (0, 1, 2)
    arrays = {"gamma": np.sqrt(x.var(axis=axes) + 1e-5), "beta": x.mean(axis=axes)}
    output, _ = layer_of("batchnorm").train([x], arrays, training())
    np.testing.assert_allclose(output, x, atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_a_rectifier_taken_into_batch_normalisation_changes_nothing(slope):
    rng = np.random.default_rng(0)
    x, d_y = (rng.standard_normal((4, 5, 6, 3)).astype(np.float32) for _ in range(2))
    arrays = {"gamma": np.float32([1, -2, 0.5]), "beta": np.float32([0, 0.1, -0.3])}
    normalise, rectify = layer_of("batchnorm"), layer_of(f"leaky-relu --slope {slope}")
    together = Training(functools.partial(parallel, 1), slope=slope)
    y, saved = normalise.train([x], dict(arrays), together)
    (d_x,), d_arrays = normalise.gradient(d_y, saved, arrays, together)
    z, saved_z = normalise.train([x], dict(arrays), training())
    apart, saved_y = rectify.train([z], {}, training())
    (d_z,), _ = rectify.gradient(d_y, saved_y, {}, training())
    (expected,), d_expected = normalise.gradient(d_z, saved_z, arrays, training())
    close(y, apart, 1e-6)
    close(d_x, expected, 1e-6)
    for name in d_arrays:
        close(d_arrays[name], d_expected[name], 1e-6)


def test_dropout_drops_its_share_scales_the_rest_and_passes_the_same_gradient():
    x = np.ones((50, 10, 10, 4), np.float32)
    layer = layer_of("dropout 0.3")
    output, saved = layer.train([x], {}, training(seed=5))
    (d_x,), _ = layer.gradient(x, saved, {}, training(seed=5))
    np.testing.assert_array_equal(d_x, output)
    assert set(np.unique(output)) == {0.0, np.float32(1 / 0.7)}
    share, deviation = (output == 0).mean(), math.sqrt(0.3 * 0.7 / x.size)
    assert abs(share - 0.3) < 5 * deviation
    other, _ = layer.train([x], {}, training(seed=6))
    both = ((output == 0) & (other == 0)).mean()
    assert abs(both - 0.09) < 5 * math.sqrt(0.09 * 0.91 / x.size)


def test_statistics_of_each_image_count_as_constants():
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 3)).astype(np.float32)
    layer = layer_of("standardize")
    _, saved = layer.train([x], {}, training())
    (d_x,), _ = layer.gradient(np.ones_like(x), saved, {}, training())
    np.testing.assert_allclose(d_x[1, 0, 0], 1 / x[1].std(axis=(0, 1)), rtol=1e-5)


def test_branches_share_and_split_the_gradient():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((2, 3, 3, 4))
    a, b = a.astype(np.float32), b.astype(np.float32)
    add, concat = (Pipeline.parse(f"mark m {word} m").layers[1] for word in ("add", "concat"))
    output, saved = add.train([a, b], {}, training())
    np.testing.assert_array_equal(output, a + b)
    assert [d is output for d in add.gradient(output, saved, {}, training())[0]] == [True, True]
    output, saved = concat.train([a, b], {}, training())
    np.testing.assert_array_equal(output, np.concatenate([a, b], axis=3))
    d_a, d_b = concat.gradient(output, saved, {}, training())[0]
    np.testing.assert_array_equal(d_a, a)
    np.testing.assert_array_equal(d_b, b)


@pytest.mark.skipif("torch" not in installed(), reason="torch is not installed")
@pytest.mark.parametrize(
    "layer", ["conv", "conv depthwise", "batchnorm", "lrn", "prelu --per-channel", "softmax", "fc 7"]
)
def test_gradients_are_those_of_torch(layer):
    import torch
    from torch.nn import functional as F

    for row, rng in list(configurations(layer, 12))[:20]:
        arrays, x = float32(arrays_of(row, rng)), batch_of(row, rng, IMAGES).astype(np.float32)
        orders = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # from ours to torch's: out, in, kh, kw
        tensors = {
            name: torch.tensor(array.astype(np.float64).transpose(orders[array.ndim]).copy(), requires_grad=True)
            for name, array in arrays.items()
        }
        given = torch.tensor(x.astype(np.float64), requires_grad=True)
        image, options = given.permute(0, 3, 1, 2), dict(row.options)
        if row.operation == "conv":
            top, left, bottom, right = options.pop("padding")
            padded = F.pad(image, (left, right, top, bottom))
            y = F.conv2d(padded, tensors["weight"], tensors.get("bias"), padding=0, **options)
        elif row.operation == "batchnorm":
            y = F.batch_norm(image, None, None, tensors["gamma"], tensors["beta"], training=True)
        elif row.operation == "fc":
            y = F.linear(given.flatten(1), tensors["weight"], tensors["bias"])[:, :, None, None]
        elif row.operation == "prelu":
            y = F.prelu(image, tensors["alpha"])
        else:
            y = F.softmax(image, 1) if row.operation == "softmax" else F.local_response_norm(image, 5)
        made, pass_ = layer_of(words_of(row)), training(2)
        output, saved = made.train([x], arrays, pass_)
        close(output, y.permute(0, 2, 3, 1).detach().numpy())
        d_y = rng.standard_normal(output.shape).astype(np.float32)
        y.backward(torch.tensor(d_y.astype(np.float64)).permute(0, 3, 1, 2))
        (d_x,), d_arrays = made.gradient(d_y, saved, arrays, pass_)
        close(d_x, given.grad.numpy())
        for name, gradient in d_arrays.items():
            order = orders[gradient.ndim]
            close(gradient, tensors[name].grad.numpy().transpose(np.argsort(order)))


def conv_gradients(d_y: np.ndarray, x: np.ndarray, weight: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a batch: of the input, and of the weight."""
    found = [conv_backward(d, image, weight, padding=(padding,) * 4) for d, image in zip(d_y, x, strict=True)]
    return np.stack([d_x for d_x, _ in found]), sum(d_arrays["weight"] for _, d_arrays in found)


def within(found: np.ndarray, expected: np.ndarray, sizes: np.ndarray) -> None:
    """1e-4 of the sums of magnitudes, where these are finite."""
    finite = np.isfinite(sizes)
    assert (np.abs(found[finite] - expected[finite]) <= 1e-4 * sizes[finite]).all()
    assert not np.isfinite(found[~finite]).any()


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("value", [255, -9999, 1e10, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (5, 6), (8, 1), (12, 13)])
def test_an_outlier_spoils_nothing_that_does_not_see_it_in_training(place, value, padding):
    """Of many channels, whose tiles mix pixels: outputs, and both gradients, of one image among others."""
    rng = np.random.default_rng(3)
    layer, window = layer_of(f"conv 20 3 --padding {padding}"), ((1, 1), (padding,) * 4)
    weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 3, 17, 20), (20,)))
    x = np.abs(rng.standard_normal((4, 13, 14, 17))).astype(np.float32)
    d_y = np.abs(rng.standard_normal((4, *np.add(x.shape[1:3], 2 * padding - 2), 20))).astype(np.float32)
    x[(2, *place, 3)] = value
    pass_ = training(threads=2)
    y, saved = layer.train([x], {"weight": weight, "bias": bias}, pass_)
    (d_x,), d_arrays = layer.gradient(d_y, saved, {"weight": weight, "bias": bias}, pass_)
    y, d_weight = y.copy(), d_arrays["weight"]

    largest = np.broadcast_to(np.abs(weight).max(axis=(0, 1)), weight.shape)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        for found, image in zip(y, x, strict=True):
            within(found, conv(image, weight, bias, *window), conv(np.abs(image), largest, np.abs(bias), *window))
        expected, d_expected = conv_gradients(d_y, x, weight, padding)
        _, sizes = conv_gradients(np.abs(d_y), np.abs(x), weight, padding)
    close(d_x, expected)
    within(d_weight, d_expected, sizes)


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (5, 6), (10, 11)])
def test_an_outlier_of_a_gradient_spoils_nothing_that_does_not_see_it(place):
    rng = np.random.default_rng(4)
    layer = layer_of("conv 20 3 --no-bias")
    weight = rng.standard_normal((3, 3, 17, 20)).astype(np.float32)
    x = np.abs(rng.standard_normal((4, 13, 14, 17))).astype(np.float32)
    d_y = np.abs(rng.standard_normal((4, 11, 12, 20))).astype(np.float32)
    d_y[(1, *place, 5)] = 1e10
    pass_ = training()
    (d_x,), d_arrays = layer.gradient(d_y, (x, None), {"weight": weight}, pass_)
    largest = np.broadcast_to(np.abs(weight).max(axis=(0, 1)), weight.shape)
    for found, expected, sizes in zip(
        (d_x, d_arrays["weight"]),
        conv_gradients(d_y, x, weight, 0),
        conv_gradients(np.abs(d_y), np.abs(x), largest, 0),
        strict=True,
    ):
        within(found, expected, sizes)
