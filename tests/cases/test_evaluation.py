from __future__ import annotations

import numpy as np
import pytest

from tests.cases.evaluation import evaluate, rows_of
from tests.cases.words import parse
from tests.naive import twins

X = np.random.default_rng(0).standard_normal((4, 6, 2))


def run(words: str, *weights: dict[str, np.ndarray]) -> np.ndarray:
    layers = parse(words)
    rows = rows_of(layers, X.shape)
    y = evaluate(layers, X, [*weights, *({} for _ in rows[len(weights) :])], twins)
    assert y.shape == rows[-1].output_shape
    return y


def test_the_first_layers_of_a_known_network():
    rows = rows_of(parse("conv 96 11 --stride 4 maxpool 3 --stride 2 flatten fc 10"), (227, 227, 3))
    assert [row.output_shape for row in rows] == [(55, 55, 96), (27, 27, 96), (1, 1, 69984), (1, 1, 10)]
    assert sum(np.prod(shape) for shape in rows[0].weight_shapes.values()) == 34944
    assert rows[0].work == 55 * 55 * 34848


def test_same_padding_and_groups_are_resolved():
    row = rows_of(parse("conv 8 4 --stride 2 --padding same --groups 2"), (5, 6, 4))[0]
    assert row.options == {"stride": (2, 2), "padding": (1, 1, 2, 1), "dilation": (1, 1), "groups": 2}
    assert row.weight_shapes == {"weight": (4, 4, 2, 8), "bias": (8,)}
    assert row.output_shape == (3, 3, 8)


def test_a_pool_steps_by_its_size():
    assert rows_of(parse("maxpool 2x3"), X.shape)[0].options["stride"] == (2, 3)


def test_branches_meet():
    np.testing.assert_array_equal(run("mark x relu add x"), twins.relu(X) + X)
    np.testing.assert_array_equal(run("mark x relu concat x"), np.concatenate([twins.relu(X), X], axis=2))
    np.testing.assert_array_equal(run("mark x relu mark x abs from x"), twins.relu(X))


def test_directives_have_no_row():
    assert [row.operation for row in rows_of(parse("mark x relu from x abs add x"), X.shape)] == ["relu", "abs", "add"]


def test_running_statistics_reach_batch_normalisation():
    arrays = {"gamma": np.array([2.0, 3.0]), "beta": np.ones(2)}
    y = run("batchnorm", arrays | {"running_mean": np.array([0.5, 0.0]), "running_var": np.array([4.0, 1.0])})
    np.testing.assert_allclose(y, (X - [0.5, 0]) * [1, 3] + 1, atol=1e-4)


def test_weights_without_a_row_are_refused():
    with pytest.raises(ValueError, match="1 more"):
        evaluate(parse("relu"), X, [{}, {}], twins)
