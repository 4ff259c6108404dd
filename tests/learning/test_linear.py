from __future__ import annotations

import numpy as np
import pytest

import cnntool
from cnntool.cli.train import command
from cnntool.errors import CnntoolError
from cnntool.learning.linear import (
    HEADS,
    accuracy,
    fit_linear,
    read_table,
    split,
    squared_hinge,
    standardise,
    summed,
    train_head,
)
from cnntool.learning.minimise import minimise
from tests.naive import learned

OBJECTIVES = {"l2svm": learned.squared_hinge_objective, "logistic": learned.cross_entropy_objective}


def data(count: int = 150, length: int = 6, classes: int = 3, seed: int = 0):
    dice = np.random.default_rng(seed)
    centres = 1.5 * dice.standard_normal((classes, length))
    labels = dice.integers(classes, size=count)
    return (centres[labels] + dice.standard_normal((count, length))).astype(np.float32), labels


def test_every_head_has_an_objective_and_can_be_asked_for():
    assert set(OBJECTIVES) == set(HEADS)
    (option,) = [option for option in command.params if option.name == "head"]
    assert option.metavar == "|".join(HEADS)
    assert [option.type.convert(name, None, None) for name in HEADS] == list(HEADS)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("c", [0.5, 100.0])
def test_the_weights_are_a_minimum_of_the_stated_objective(head, c):
    x, labels = data()
    weight, bias = fit_linear(x, labels, 3, head, c, 1000)
    theta = np.vstack([weight, bias]).astype(np.float64)
    objective = OBJECTIVES[head]
    least = objective(theta, x, labels, c)
    dice = np.random.default_rng(1)
    for _ in range(30):
        step = dice.standard_normal(theta.shape)
        for size in (0.03, 0.3):
            assert objective(theta + size * step, x, labels, c) > least
    assert least < 0.9 * objective(0 * theta, x, labels, c)


@pytest.mark.parametrize("loss", HEADS.values())
def test_gradients_of_the_losses(loss):
    dice = np.random.default_rng(2)
    scores, labels = 2 * dice.standard_normal((5, 4)), dice.integers(4, size=5)
    _, gradient = loss(scores, labels)
    for place in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[place] = 1e-6
        slope = (loss(scores + step, labels)[0] - loss(scores - step, labels)[0]) / 2e-6
        assert abs(slope - gradient[place]) < 1e-6


def test_minimise_finds_the_bottom_of_a_valley():
    def rosenbrock(p):
        x, y = p
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array(
            [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]
        )

    np.testing.assert_allclose(minimise(rosenbrock, np.array([-1.2, 1.0]), 500, 1e-9), [1, 1], atol=1e-6)


def test_minimise_a_quadratic_of_very_different_curvatures():
    scales = np.geomspace(1, 1e4, 30)
    found = minimise(lambda p: (float(scales @ (p - 1) ** 2), 2 * scales * (p - 1)), np.zeros(30), 500, 1e-8)
    np.testing.assert_allclose(found, 1, atol=1e-4)


def test_an_inverse_of_the_hessian_saves_evaluations():
    scales = np.geomspace(1, 1e5, 40)

    def evaluations(**options):
        """How many it takes until the value is a millionth of the first; of the rest, rounding has its share."""
        values = []

        def quadratic(p):
            values.append(float(scales @ (p - 1) ** 2))
            return values[-1], 2 * scales * (p - 1)

        minimise(quadratic, np.zeros(40), 900, 1e-9, **options)
        return next(count for count, value in enumerate(values, 1) if value < 1e-6 * values[0])

    alone = evaluations()  # more than 300, and 4 with the inverse
    assert evaluations(precondition=lambda gradient: gradient / (1 + scales)) < alone / 10


def test_standardise_is_in_place():
    x, _ = data()
    before = x.astype(np.float64)
    mean, scale = standardise(x)
    np.testing.assert_allclose(scale, 1 / np.sqrt(before.var(axis=0) + 0.01), rtol=1e-6)
    np.testing.assert_allclose(x, (before - mean) * scale, atol=1e-5)


def table(path, features, labels=None, **others):
    arrays = {"features": features, "paths": np.array([f"{i}.png" for i in range(len(features))]), **others}
    np.savez(path, **arrays | ({} if labels is None else {"labels": np.array(labels)}))
    return str(path)


@pytest.mark.parametrize("head", OBJECTIVES)
def test_a_head_is_a_pipeline(tmp_path, head):
    x, labels = data(400)
    names = np.array(["cat", "dog", "eel"])[labels]
    path = table(tmp_path / "t.npz", x, names)
    result = train_head(path, str(tmp_path / "m.npz"), head=head, validation=0.25, seed=1)
    assert result["classes"] == ["cat", "dog", "eel"]
    assert result["rows"] == 300
    assert 0.8 < result["validation_accuracy"] <= 1
    model = cnntool.load(tmp_path / "m.npz")
    assert [layer.word for layer in model.layers] == ["standardize", "fc"]
    assert model.classes == ["cat", "dog", "eel"]
    assert model.input_shape == (1, 1, 6)
    scores = model.run(x[:, None, None, :])[:, 0, 0]
    assert abs(accuracy(scores, labels) - (0.75 * result["accuracy"] + 0.25 * result["validation_accuracy"])) < 1e-9


def test_tables_that_cannot_be_used(tmp_path):
    x, labels = data(20)
    model = str(tmp_path / "m.npz")
    for path, message in [
        (str(tmp_path / "none.npz"), "no such file"),
        (table(tmp_path / "a.npz", x), "two or more labels"),
        (table(tmp_path / "b.npz", x, ["a"] * 20), "two or more labels"),
        (table(tmp_path / "c.npz", x, ["a"] * 19), "`labels` are <U1 of .19,. for 20 rows"),
        (table(tmp_path / "d.npz", x.astype(np.float64), labels.astype(str)), "float64"),
        (table(tmp_path / "e.npz", x * np.nan, labels.astype(str)), "not finite"),
        (table(tmp_path / "f.npz", x, np.array([{}] * 20, object)), "cannot be read|can be read"),
    ]:
        with pytest.raises(CnntoolError, match=message):
            train_head(path, model)
    with pytest.raises(CnntoolError, match="leaves a class without a row"):
        train_head(table(tmp_path / "g.npz", x[:3], ["a", "b", "b"]), model, validation=0.9)
    (tmp_path / "h.npz").write_bytes(b"no table")
    with pytest.raises(CnntoolError, match="not a table that can be read"):
        read_table(str(tmp_path / "h.npz"))


@pytest.mark.parametrize("head", OBJECTIVES)
def test_threads_change_nothing(head):
    x, labels = data(1000, 33)
    one, three = (fit_linear(x, labels, 3, head, iterations=20, threads=threads) for threads in (1, 3))
    assert one[0].tobytes() == three[0].tobytes()
    assert one[1].tobytes() == three[1].tobytes()


@pytest.mark.parametrize(("count", "length", "classes"), [(1, 1, 2), (257, 40, 17), (2100, 3, 5)])
def test_loss_and_gradient_of_all_rows(count, length, classes):
    dice = np.random.default_rng(count)
    x, labels = dice.standard_normal((count, length)).astype(np.float32), dice.integers(classes, size=count)
    theta = dice.standard_normal((length + 1, classes))
    value, gradient = summed(x, labels, theta, squared_hinge, 2)
    expected, d_scores = squared_hinge(x @ theta[:-1] + theta[-1], labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    inputs = np.column_stack([x, np.ones(count)])
    np.testing.assert_allclose(gradient, inputs.T @ d_scores, atol=1e-4 * np.abs(gradient).max())


def test_rows_of_one_image_stay_together():
    paths = [f"{i % 50}.png" for i in range(100)]
    held, kept = split(paths, 0.2, 3)
    assert len(held) == 20
    assert sorted([*held, *kept]) == list(range(100))
    assert not {paths[i] for i in held} & {paths[i] for i in kept}
    assert [len(part) for part in split(paths, 0.0, 3)] == [0, 100]
