"""The pipeline against the naive twins on all generated configurations."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from tests.cases.configurations import Configuration, configurations
from tests.fuzz.chains import again

TOLERANCE = 1e-5  # of the largest output


@pytest.mark.parametrize("one", configurations(), ids=str)
def test_run_equals_the_naive_twins_and_later_runs_the_first(one: Configuration) -> None:
    volume, weights = one.volume(), one.weights()
    given = volume.copy()
    pipeline = Pipeline.parse(one.words)
    stated = pipeline.shape(one.shape)["layers"][-1]["output_shape"]
    pipeline.set_weights(weights)
    result = pipeline.run(volume, threads=2)
    expected = one.reference(volume, weights)
    assert result.dtype == np.float32
    assert list(result.shape) == stated == list(expected.shape)
    assert np.array_equal(volume, given)
    other = volume[::-1, ::-1].copy()
    fresh = Pipeline.parse(one.words)
    fresh.set_weights(weights)
    kinds = [(1, 1), (2, 2), (5, 3), (1, 1), (2, 8), (2, 2), (5, 3), (1, 1)]
    again(pipeline, np.stack([volume, other]), [result, fresh.run(other, 1)], kinds)
    finite = np.abs(expected[np.isfinite(expected)])
    atol = TOLERANCE * max(finite.max(initial=0.0), 1e-30)
    np.testing.assert_allclose(result, expected, rtol=0, atol=atol)
