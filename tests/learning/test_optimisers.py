from __future__ import annotations

import numpy as np
import pytest

from cnntool.learning.optimisers import SCHEDULES, Adam, Optimiser, Sgd
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
    ours: Optimiser = Adam(0.01) if kind == "adam" else Sgd(momentum, 0.01)
    theirs = torch.optim.Adam(groups, 0.1) if kind == "adam" else torch.optim.SGD(groups, 0.1, momentum=momentum)
    for _ in range(5):
        gradients = values(rng)
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradients[name].astype(np.float64))
        theirs.step()
        ours.step(parameters, gradients, 0.1)
    for name, array in parameters.items():
        np.testing.assert_allclose(array, tensors[name].numpy(), rtol=1e-5, atol=1e-6)


def test_regularisation_draws_weights_alone_to_zero():
    for optimiser in (Sgd(0.0, weight_decay=0.5), Sgd(0.0, l1=0.5)):
        parameters = {name: np.full(shape, 2.0, np.float32) for name, shape in SHAPES.items()}
        optimiser.step(parameters, {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}, 1.0)
        assert parameters["1.weight"].max() < 2
        assert parameters["1.bias"].min() == parameters["2.gamma"].min() == 2
    assert parameters["1.weight"].max() == 1.5  # by the sign, whatever the size


def test_gradients_are_not_changed():
    rng = np.random.default_rng(0)
    gradients = values(rng)
    before = {name: array.copy() for name, array in gradients.items()}
    Adam(0.1, 0.1).step(values(rng), gradients, 0.1)
    for name in SHAPES:
        np.testing.assert_array_equal(gradients[name], before[name])


def test_schedules():
    assert [SCHEDULES["constant"](p) for p in (0, 0.9)] == [1, 1]
    steps = [SCHEDULES["step"](p) for p in (0, 0.49, 0.5, 0.74, 0.75, 0.99)]
    np.testing.assert_allclose(steps, [1, 1, 0.1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose([SCHEDULES["cosine"](p) for p in (0, 0.5, 1)], [1, 0.5, 0], atol=1e-12)
