"""What every layer promises, on the table of cases."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.declare import fields_of
from cnntool.errors import CnntoolError
from cnntool.layers.base import require
from tests.kernels.volumes import assert_near
from tests.layers.cases import CASES, Case

every_case = pytest.mark.parametrize("case", CASES, ids=str)
STATISTICS = ("center", "standardize", "whiten", "decorrelate")


@every_case
def test_forward_equals_the_naive_twin(case: Case):
    x = case.volume()
    assert_near(case.pipeline().run(x), case.expected(x), 3e-6)


@every_case
def test_the_stated_output_shape_is_that_of_the_result(case: Case):
    result = case.pipeline().run(case.volume())
    assert Pipeline.parse(case.words).shape(case.shape)["layers"][-1]["output_shape"] == list(result.shape)
    layer, shapes = case.layers[-1]
    assert layer.output_shape(*shapes) == result.shape


@every_case
def test_the_stated_parameters_are_the_arrays_made(case: Case):
    for layer, (shape, *_) in case.layers:
        parameters, buffers = layer.parameter_shapes(shape), layer.buffer_shapes(shape)
        made = layer.initial(shape, np.random.default_rng(0), True)
        assert set(parameters) <= set(made) <= set(parameters) | set(buffers)
        assert {name: array.shape for name, array in made.items()} == {
            name: wanted for name, wanted in (parameters | buffers).items() if name in made
        }
        assert all(array.dtype == np.float32 for array in made.values())
    counted = sum(
        np.prod(shape) for layer, shapes in case.layers for shape in layer.parameter_shapes(*shapes[:1]).values()
    )
    assert Pipeline.parse(case.words).shape(case.shape)["totals"]["parameters"] == counted


@every_case
def test_neither_the_volume_nor_the_arrays_are_changed(case: Case):
    x, arrays = case.volume(), case.arrays()
    pipeline = Pipeline.parse(case.words)
    pipeline.set_weights(arrays)
    result = pipeline.run(x)
    assert np.array_equal(x, case.volume())
    assert not np.may_share_memory(result, x)
    for found, given in zip(arrays, case.arrays(), strict=True):
        assert found.keys() == given.keys()
        assert all(np.array_equal(found[name], given[name]) for name in given)


@every_case
def test_the_same_bytes_come_out_again(case: Case):
    pipeline, x = case.pipeline(), case.volume()
    first = pipeline.run(x)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    pipeline.run(case.volume(1))
    assert pipeline.run(x).tobytes() == first.tobytes() == case.pipeline().run(x).tobytes()


@every_case
def test_options_are_json_and_those_declared(case: Case):
    for layer, _ in case.layers:
        options = layer.options()
        assert json.loads(json.dumps(options, allow_nan=False)) == options
        assert {field.name for field in fields_of(layer)} <= set(options)


@every_case
def test_the_words_of_a_layer_make_it_again(case: Case):
    layers = Pipeline.parse(case.words).layers
    words = [word for layer in layers for word in layer.words()]
    assert Pipeline.parse(words).layers == layers
    assert all(layer.words()[0] == layer.word for layer in layers)


@every_case
def test_a_batch_is_its_volumes_one_by_one(case: Case):
    pipeline = case.pipeline()
    volumes = [case.volume(number) for number in range(3)]
    batch = pipeline.run(np.stack(volumes))
    assert len(batch) == 3
    for found, volume in zip(batch, volumes, strict=True):
        assert found.tobytes() == pipeline.run(volume).tobytes()


@every_case
def test_the_bytes_do_not_depend_on_the_number_of_threads(case: Case):
    pipeline, batch = case.pipeline(), np.stack([case.volume(), case.volume(1)])
    alone = pipeline.run(batch, threads=1)
    for threads in (2, 3):
        assert pipeline.run(batch, threads=threads).tobytes() == alone.tobytes()


@every_case
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_goes_through_as_in_the_twin(case: Case, bad: float):
    x = case.volume()
    x[2, 3 % case.shape[1], 0] = bad
    found = case.pipeline().run(x)
    if case.word in STATISTICS and case.shape[2] > 2:
        # the twin's eigenvectors need finite numbers
        assert np.isnan(found[2, 3, 0])
        assert not np.isfinite(found[..., 0]).any()
    else:
        assert_near(found, case.expected(x), 3e-6)


@every_case
@pytest.mark.parametrize("threads", [1, 2])
def test_infinities_and_overflow_are_results_and_no_warnings(case: Case, threads: int):
    pipeline, x = case.pipeline(), case.volume()
    x[0, 0, 0], x[2, 3, 0], x[1, 1, 0] = 3e38, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.run(x, threads)


@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int32, bool])
def test_other_real_types_are_taken_as_float32(case: Case, dtype: type):
    x = (8 * case.volume()).clip(0, 255).astype(dtype)
    given = x.copy()
    pipeline = case.pipeline()
    assert pipeline.run(x).tobytes() == pipeline.run(x.astype(np.float32)).tobytes()
    assert np.array_equal(x, given)


@every_case
def test_views_of_other_memory_are_read_right(case: Case):
    pipeline, x = case.pipeline(), case.volume()
    expected = pipeline.run(x).tobytes()
    wider = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    assert pipeline.run(wider[:, ::2, ::2]).tobytes() == expected
    assert pipeline.run(np.asfortranarray(x)).tobytes() == expected
    assert pipeline.run(x[::-1].copy()[::-1]).tobytes() == expected
    read_only = x.copy()
    read_only.flags.writeable = False
    assert pipeline.run(read_only).tobytes() == expected


@every_case
def test_declarations_cannot_be_changed_and_explain_themselves(case: Case):
    for layer in Pipeline.parse(case.words).layers:
        assert type(layer).__doc__
        for field in fields_of(layer):
            assert field.metadata["help"]
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(layer, field.name, None)


def test_require_raises_the_message():
    require(True, "fine")
    with pytest.raises(CnntoolError, match="not fine"):
        require(False, "not fine")
