from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.layers.activations import Tanh
from cnntool.layers.base import Layer
from cnntool.learning.losses import cross_entropy
from cnntool.learning.network import Network

CHAINS = [
    "conv 5 3 --padding 1 --no-bias batchnorm relu maxpool 2 conv 6 3 batchnorm leaky-relu --slope 0.2 fc 3",
    "conv 18 3 --padding 1 prelu conv 18 3 --padding 1 tanh globalpool avg fc 3",
    "mark x conv 4 3 --padding 1 batchnorm relu conv 2 3 --padding 1 batchnorm add x relu fc 3 softmax",
    "conv 4 1 mark a conv 4 3 --padding 1 --groups 2 gelu concat a lrn avgpool 3 --stride 2 fc 3",
    "standardize conv 6 3 --stride 2 batchnorm mark m silu add m l2pool 2 fc 8 relu fc 3",
    "bank sobel conv 4 3 batchnorm batchnorm elu flatten fc 3",
    "conv 3 9x10",
]


def network(words: str, threads: int = 1, seed: int = 0) -> Network:
    pipeline = Pipeline.parse(words, seed=seed)
    shape = (9, 10, 2)
    arrays = [{name: array.copy() for name, array in node.items()} for node in pipeline.weights(shape)]
    return Network(pipeline.graph, shape, arrays, threads, seed)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 9, 10, 2)).astype(np.float32), rng.integers(0, 3, 6)


@pytest.mark.parametrize("words", CHAINS)
def test_gradients_of_whole_networks_are_the_slopes_of_the_loss(words):
    made, (x, labels) = network(words, threads=2), data()
    before = x.copy()
    _, gradients = made.step(x, labels, 0)
    gradients = {name: array.copy() for name, array in gradients.items()}
    np.testing.assert_array_equal(x, before)
    assert set(gradients) == set(made.parameters())
    rng = np.random.default_rng(1)
    for name, array in made.parameters().items():
        direction = rng.standard_normal(array.shape).astype(np.float32)
        direction *= 1e-3 / np.abs(direction).max()
        kept = array.copy()
        losses = []
        for sign in (1, -1):
            array[:] = kept + sign * direction
            values, _ = made.forward(x, 0)
            losses.append(cross_entropy(values[made.output].reshape(6, -1), labels).total / 6)
        array[:] = kept
        expected = (gradients[name].astype(np.float64) * direction).sum()
        size = np.abs(gradients[name] * direction).sum()
        assert abs((losses[0] - losses[1]) / 2 - expected) < 0.05 * size + 1e-6, name


def test_a_rectifier_behind_batch_normalisation_is_taken_in_unless_another_needs_what_is_before_it():
    assert network(CHAINS[0]).rectifiers == {2: 1, 6: 5}
    assert network(CHAINS[4]).rectifiers == {}
    assert network("conv 4 3 batchnorm mark m relu concat m fc 3").rectifiers == {}


def test_the_softmax_at_the_end_is_left_to_the_loss():
    x, labels = data()
    plain, ended = (network(words).step(x, labels, 0) for words in ("fc 3", "fc 3 softmax"))
    assert plain[0].total == ended[0].total
    np.testing.assert_array_equal(plain[1]["1.weight"], ended[1]["1.weight"])


def test_what_is_random_follows_from_seed_and_step():
    x, labels = data()
    losses = [network("dropout 0.5 fc 3", seed=seed).step(x, labels, step)[0].total for seed, step in ((1, 2), (1, 2))]
    assert losses[0] == losses[1]
    made = network("dropout 0.5 fc 3")
    assert made.step(x, labels, 0)[0].total != made.step(x, labels, 1)[0].total


def test_nothing_to_train_is_refused():
    with pytest.raises(CnntoolError, match="no layer has anything to train"):
        network("maxpool 2 flatten relu")


def test_a_layer_without_a_gradient_is_named(monkeypatch):
    monkeypatch.setattr(Tanh, "gradient", Layer.gradient)
    with pytest.raises(CnntoolError, match=r"tanh \(layer 2\): tanh has no gradient: it cannot be trained through"):
        network("conv 4 3 tanh fc 3").step(*data(), 0)
    network("tanh fc 3").step(*data(), 0)  # nothing before it is trained
