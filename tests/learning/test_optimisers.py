from __future__ import annotations

import numpy as np
import pytest

from cnntool.declare import help_of
from cnntool.learning.optimisers import OPTIMISERS, SCHEDULES, Adam, Optimiser, Sgd
from tests.oracles.registry import installed

SHAPES = {"1.weight": (3, 4), "1.bias": (4,), "2.gamma": (4,)}


def values(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.mark.skipif("torch" not in installed(), reason="torch is not installed")
@pytest.mark.parametrize("kind", ["sgd", "sgd without momentum", "adam"])
def test_steps_are_those_of_torch(kind):
    import torch

    rng = np.random.default_rng(0)
    parameters = values(rng)
    tensors = {name: torch.tensor(array.astype(np.float64)) for name, array in parameters.items()}
    groups = [
        {"params": [tensors["1.weight"]], "weight_decay": 0.01},
        {"params": [tensors["1.bias"], tensors["2.gamma"]]},
    ]
    momentum = 0.0 if "without" in kind else 0.9
    ours: Optimiser = OPTIMISERS[kind.split()[0]](momentum=momentum, weight_decay=0.01)
    theirs = (
        torch.optim.AdamW(groups, 0.1, weight_decay=0)
        if kind == "adam"
        else torch.optim.SGD(groups, 0.1, momentum=momentum)
    )
    for _ in range(5):
        gradients = values(rng)
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradients[name].astype(np.float64))
        theirs.step()
        ours.step(parameters, gradients, 0.1)
    for name, array in parameters.items():
        np.testing.assert_allclose(array, tensors[name].numpy(), rtol=1e-5, atol=1e-6)


def test_regularisation_draws_weights_alone_to_zero():
    for optimiser in (Adam(weight_decay=0.5), Sgd(momentum=0.0, weight_decay=0.5), Sgd(momentum=0.0, l1=0.5)):
        parameters = {name: np.full(shape, 2.0, np.float32) for name, shape in SHAPES.items()}
        optimiser.step(parameters, {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}, 1.0)
        assert parameters["1.weight"].max() < 2
        assert parameters["1.bias"].min() == parameters["2.gamma"].min() == 2
    assert parameters["1.weight"].max() == 1.5  # by the sign, whatever the size


def test_the_decay_of_adam_is_apart_from_the_gradient():
    """A weight without a gradient is multiplied by 1 - rate x decay at each step, whatever its size."""
    optimiser, parameters = Adam(weight_decay=0.5), {"1.weight": np.array([1e-6, 2.0], np.float32)}
    for _ in range(3):
        optimiser.step(parameters, {"1.weight": np.zeros(2, np.float32)}, 0.1)
    np.testing.assert_allclose(parameters["1.weight"], np.array([1e-6, 2.0]) * 0.95**3, rtol=1e-6)


def sgd(value: np.ndarray, gradients: list[np.ndarray], rate: float) -> np.ndarray:
    velocity = np.zeros_like(value)
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        value = value - rate * velocity
    return value


def adam(value: np.ndarray, gradients: list[np.ndarray], rate: float) -> np.ndarray:
    """The means as weighted sums of all gradients so far."""
    for step in range(1, len(gradients) + 1):
        weights = [np.array([(1 - beta) * beta ** (step - 1 - i) for i in range(step)]) for beta in (0.9, 0.999)]
        past = np.stack(gradients[:step])
        mean, square = (np.tensordot(w, power, 1) / w.sum() for w, power in zip(weights, (past, past**2), strict=True))
        value = value - rate * mean / (np.sqrt(square) + 1e-8)
    return value


TWINS = {"sgd": sgd, "adam": adam}  # value and gradients in float64


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_those_of_the_twin_and_gradients_are_not_changed(name):
    assert name in TWINS, f"the optimiser {name} has no twin"
    rng = np.random.default_rng(0)
    parameters, gradients = values(rng), [values(rng) for _ in range(6)]
    (before,), kept = copies([parameters]), copies(gradients)
    optimiser = OPTIMISERS[name](momentum=0.9)
    for each in gradients:
        optimiser.step(parameters, each, 0.1)
    for key in SHAPES:
        expected = TWINS[name](before[key].astype(np.float64), [each[key].astype(np.float64) for each in kept], 0.1)
        np.testing.assert_allclose(parameters[key], expected, rtol=1e-5, atol=1e-6)
        for found, given in zip(gradients, kept, strict=True):
            np.testing.assert_array_equal(found[key], given[key])


def copies(gradients: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return [{name: array.copy() for name, array in each.items()} for each in gradients]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_goes_on_from_its_state(name):
    rng = np.random.default_rng(0)
    parameters, gradients = values(rng), [values(rng) for _ in range(6)]
    (other,) = copies([parameters])
    whole, first, second = (OPTIMISERS[name](weight_decay=0.1, l1=0.1) for _ in range(3))
    for each in gradients:
        whole.step(parameters, each, 0.1)
    for each in gradients[:3]:
        first.step(other, each, 0.1)
    second.steps, second.state = first.steps, copies([first.state])[0]
    for each in gradients[3:]:
        second.step(other, each, 0.1)
    for key in SHAPES:
        np.testing.assert_array_equal(parameters[key], other[key])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_has_a_rate_to_start_from_and_a_line_of_help(name):
    assert 0 < OPTIMISERS[name].default_rate < 1
    assert 10 < len(help_of(OPTIMISERS[name])) < 150


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_starts_at_the_whole_rate_and_falls(name):
    shares = [SCHEDULES[name](progress) for progress in np.linspace(0, 1, 101)]
    assert shares[0] == 1
    assert min(shares) >= 0
    assert shares == sorted(shares, reverse=True)


def test_schedules():
    assert [SCHEDULES["constant"](p) for p in (0, 0.9)] == [1, 1]
    steps = [SCHEDULES["step"](p) for p in (0, 0.49, 0.5, 0.74, 0.75, 0.99)]
    np.testing.assert_allclose(steps, [1, 1, 0.1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose([SCHEDULES["cosine"](p) for p in (0, 0.5, 1)], [1, 0.5, 0], atol=1e-12)
