from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from tests.kernels.volumes import noise

X = noise(5, 6, 3)


def run(words: str, x: np.ndarray = X) -> np.ndarray:
    return Pipeline.parse(words).run(x)


def test_the_present_channels_come_before_the_marked_ones():
    np.testing.assert_array_equal(run("mark x abs concat x"), np.concatenate([np.abs(X), X], axis=2))


def test_a_volume_may_be_added_to_itself():
    np.testing.assert_array_equal(run("mark x add x"), X + X)
    np.testing.assert_array_equal(run("relu mark x add x add x"), 3 * np.maximum(X, 0))


def test_a_volume_may_be_joined_to_itself():
    np.testing.assert_array_equal(run("mark x concat x concat x"), np.concatenate([X, X, X], axis=2))


def test_widths_of_channels_may_differ_in_concat():
    x = run("mark x maxpool 1 concat x mark y from x concat y")
    np.testing.assert_array_equal(x, np.concatenate([X, X, X], axis=2))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "mark x conv 4 1 add x",
            r"add \(layer 2\): the present volume is 5x6x4 and `x` is 5x6x3: expected equal shapes",
        ),
        ("mark x maxpool 2 add x", "expected equal shapes"),
        ("mark x maxpool 2 concat x", r"concat \(layer 2\): .* 2x3x3 and `x` is 5x6x3: expected equal heights"),
    ],
)
def test_shapes_that_do_not_meet_are_refused(words, message):
    with pytest.raises(CnntoolError, match=message):
        Pipeline.parse(words).shape(X.shape)


def test_nan_of_either_side_comes_through():
    x = X.copy()
    x[1, 1, 0] = np.nan
    x[2, 2, 1] = -np.inf
    found = run("mark x relu add x", x)
    assert np.isnan(found).sum() == 1
    assert found[2, 2, 1] == -np.inf


def test_directives_have_no_row_and_no_parameters():
    rows = Pipeline.parse("mark x relu mark y from x abs add y").shape(X.shape)["layers"]
    assert [row["layer"] for row in rows] == ["relu", "abs", "add"]


@pytest.mark.parametrize("name", ["x", "a-b", "1", "relu"])
def test_names_are_free(name):
    np.testing.assert_array_equal(run(f"mark {name} abs add {name}"), np.abs(X) + X)
