from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from tests.kernels.volumes import noise


def test_arrays_are_drawn_once():
    pipeline = Pipeline.parse("conv 4 3 batchnorm prelu relu fc 5")
    first, again = pipeline.weights((6, 6, 2)), pipeline.weights((6, 6, 2))
    assert [set(arrays) for arrays in first] == [
        {"weight", "bias"},
        {"gamma", "beta"},
        {"alpha"},
        set(),
        {"weight", "bias"},
    ]
    for one, other in zip(first, again, strict=True):
        assert all(one[name] is other[name] for name in one)


def test_full_connections_of_another_size_are_drawn_anew():
    pipeline = Pipeline.parse("fc 5")
    assert pipeline.weights((2, 3, 1))[0]["weight"].shape == (6, 5)
    assert pipeline.weights((4, 3, 1))[0]["weight"].shape == (12, 5)


def test_the_weights_are_those_that_run_uses():
    pipeline, x = Pipeline.parse("conv 4 3 relu conv 5 3", seed=3), noise(9, 8, 2)
    other = Pipeline.parse("conv 4 3 relu conv 5 3", seed=4)
    expected = pipeline.run(x)
    assert not np.array_equal(other.run(x), expected)
    other.set_weights(pipeline.weights(x.shape))
    assert other.run(x).tobytes() == expected.tobytes()


def test_arrays_that_are_set_replace_those_of_plans_made_before():
    pipeline, x = Pipeline.parse("conv 1 1 --no-bias"), np.ones((2, 2, 1))
    pipeline.run(x)
    for value in (2.0, 3.0):
        pipeline.set_weights([{"weight": np.full((1, 1, 1, 1), value, np.float32)}])
        assert (pipeline.run(x) == value).all()


def test_the_number_of_layers_must_fit():
    with pytest.raises(CnntoolError, match="expected the arrays of 2 layers, got 1"):
        Pipeline.parse("mark x relu add x").set_weights([{}])


@pytest.mark.parametrize(("name", "shape"), [("weight", (3, 3, 2, 5)), ("bias", (5,)), ("gain", (4,))])
def test_arrays_that_do_not_fit_are_named(name, shape):
    pipeline = Pipeline.parse("relu conv 4 3")
    arrays = {"weight": noise(3, 3, 2, 4), "bias": noise(4)} | {name: noise(*shape)}
    pipeline.set_weights([{}, arrays])
    with pytest.raises(CnntoolError, match=rf"conv \(layer 2\): the model's `{name}` has the shape"):
        pipeline.run(noise(6, 6, 2))


def test_a_full_connection_tells_the_size_of_its_pictures():
    pipeline = Pipeline.parse("fc 4")
    pipeline.set_weights([{"weight": noise(12, 4)}])
    with pytest.raises(CnntoolError, match="expected \\(15, 4\\) for an input of 3x5x1: give images of the size"):
        pipeline.run(noise(3, 5, 1))


def test_absurd_sizes_are_refused_at_once():
    with pytest.raises(CnntoolError, match="GiB"):
        Pipeline.parse("fc 16000000").run(np.zeros((300, 300, 3)))
    with pytest.raises(CnntoolError, match="GiB"):
        Pipeline.parse("conv 1000000 1001 --padding same").run(np.zeros((100, 100, 3)))
