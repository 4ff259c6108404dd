from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.kernels import ahead
from cnntool.kernels.code import Entry, Kernel
from cnntool.kernels.convention import Kinds
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
def test_kernels_are_known_before_a_step(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, (x, labels) = network(words, threads=2), data()
    arrays = [{name: array.copy() for name, array in node.items()} for node in made.arrays]
    expected = made.kernels(len(x))
    np.testing.assert_equal(made.arrays, arrays)
    called: dict[str, None] = {}
    entry = Kernel.entry

    def noted(kernel: Kernel, kinds: Kinds) -> Entry:
        called[kernel.file(kinds)] = None
        return entry(kernel, kinds)

    monkeypatch.setattr(Kernel, "entry", noted)
    made.step(x, labels, 0)
    assert set(expected) <= called.keys() <= set(ahead.with_called(expected))


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


@pytest.mark.parametrize(
    ("words", "fused"),
    [
        (CHAINS[0], {2: 1, 3: 1, 6: 5}),
        (CHAINS[4], {}),
        ("conv 4 3 batchnorm mark m relu concat m fc 3", {}),
        ("conv 4 3 batchnorm relu mark m maxpool 2 mark p from m maxpool 2 add p fc 3", {2: 1}),
        ("conv 4 3 batchnorm maxpool 2 relu maxpool 2 fc 3", {2: 1}),
        ("conv 4 3 batchnorm relu relu maxpool 2 fc 3", {2: 1}),
        ("conv 4 3 relu maxpool 2 fc 3", {}),
        *((f"conv 4 3 batchnorm relu {pool} fc 3", {2: 1}) for pool in (
            "maxpool 3 --stride 2", "maxpool 2 --stride 1", "maxpool 2 --padding 1", "maxpool 2 --dilation 2",
            "avgpool 2", "maxpool 2 --ceil",
        )),
    ],
)  # fmt: skip
def test_batch_normalisation_takes_in_a_rectifier_and_a_halving_unless_another_needs_what_is_before_them(words, fused):
    assert network(words).fused == fused


@pytest.mark.parametrize("images", [2, 5, 17])
@pytest.mark.parametrize("activation", ["relu", "leaky-relu --slope 0.2", "", "leaky-relu --slope -0.5"])
@pytest.mark.parametrize("shape", [(8, 10, 19), (9, 8, 3), (6, 79, 2), (7, 5, 16)])
def test_what_is_taken_in_gives_the_numbers_of_the_layers_by_themselves(shape, activation, images, monkeypatch):
    pipeline = Pipeline.parse(f"conv {shape[2]} 1 --no-bias batchnorm {activation} maxpool 2 fc 3")
    rng = np.random.default_rng(images)
    x = rng.standard_normal((images, *shape)).astype(np.float32)
    x[:, :3] = np.round(x[:, :3])  # equal values in a window
    labels = rng.integers(0, 3, images)

    def computed() -> tuple[np.ndarray, dict[str, np.ndarray]]:
        made = Network(pipeline.graph, shape, [dict(node) for node in pipeline.weights(shape)], 2, 0, to_input=True)
        for array in made.arrays[1].values():
            array[:] = np.random.default_rng(1).uniform(-2, 2, array.shape)
        for _ in range(2):
            values, saved = made.forward(x, 0)
            scores = values[made.output].copy()
            d_scores = cross_entropy(scores.reshape(images, -1), labels).d_scores.reshape(scores.shape)
            gradients, d_input = made.gradients(d_scores, saved)
        return scores, {name: array.copy() for name, array in {**gradients, "input": d_input}.items()}

    scores, gradients = computed()
    monkeypatch.setattr(Network, "_fused", lambda self: {})
    expected, slopes = computed()
    np.testing.assert_array_equal(scores, expected)
    assert gradients.keys() == slopes.keys()
    for name, array in gradients.items():
        np.testing.assert_allclose(array, slopes[name], atol=1e-5 * np.abs(slopes[name]).max(), rtol=0, err_msg=name)


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
