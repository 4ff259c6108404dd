from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.layers.dense import COLUMNS
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins


def test_flatten_goes_by_row_column_and_channel():
    x = np.arange(24).reshape(2, 3, 4)
    found = Pipeline.parse("flatten").run(x)
    assert found.shape == (1, 1, 24)
    np.testing.assert_array_equal(found[0, 0], np.arange(24))


def test_a_batch_is_flattened_volume_by_volume():
    batch = noise(3, 2, 3, 4)
    np.testing.assert_array_equal(Pipeline.parse("flatten").run(batch), batch.reshape(3, 1, 1, 24))


@pytest.mark.parametrize("outputs", [1, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2 * COLUMNS + 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_full_connection_in_pieces(outputs, threads):
    batch, weight, bias = noise(2, 3, 4, 5), noise(60, outputs), noise(outputs)
    pipeline = Pipeline.parse(f"fc {outputs}")
    pipeline.set_weights([{"weight": weight, "bias": bias}])
    found = pipeline.run(batch, threads)
    assert found.shape == (2, 1, 1, outputs)
    for y, x in zip(found, batch, strict=True):
        assert_near(y, twins.fc(x, weight, bias), 1e-6)


def test_a_full_connection_flattens_by_itself():
    x, weight = noise(3, 4, 5), noise(60, 7)
    results = []
    for words, arrays in (("fc 7", [{"weight": weight}]), ("flatten fc 7", [{}, {"weight": weight}])):
        pipeline = Pipeline.parse(words)
        pipeline.set_weights(arrays)
        results.append(pipeline.run(x))
    np.testing.assert_array_equal(*results)


def test_parameters_and_cost():
    row = Pipeline.parse("fc 10").shape((28, 28, 1))["layers"][0]
    assert row["parameters"] == 7850
    assert row["macs"] == 7840
    assert row["receptive_field"] == [28, 28]
    assert Pipeline.parse("fc 10 --no-bias").shape((28, 28, 1))["totals"]["parameters"] == 7840


@pytest.mark.parametrize("shape", [(1, 1, 10), (3, 5, 4), (2, 2, 1)])
def test_softmax_is_over_the_channels_of_each_position(shape):
    found = Pipeline.parse("softmax").run(10 * noise(*shape))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(found, twins.softmax(10 * noise(*shape)), rtol=1e-5, atol=1e-30)


def test_softmax_does_not_see_what_all_channels_share():
    x = noise(3, 4, 5)
    np.testing.assert_allclose(
        Pipeline.parse("softmax").run(x), Pipeline.parse("softmax").run(x + np.float32(64)), atol=1e-5
    )
