"""The facade for Python: parse, shape, run, until, weights."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import cnntool
from cnntool.engine.plans import KEPT
from cnntool.errors import BadInput, CnntoolError
from cnntool.pipeline import Pipeline

MIXED = (
    "whiten mark x conv 8 3 --padding same --no-bias batchnorm relu conv 3 3 --padding 1 add x leaky-relu "
    "mark y maxpool 2 from y conv 5 1 concat y avgpool 3 --stride 2 bank sobel --per-channel softmax"
)


def volume(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_the_example_of_the_package() -> None:
    pipeline = cnntool.Pipeline.parse("conv 64 3 --padding same relu maxpool 2")
    summary = pipeline.shape((224, 224, 3))
    assert summary["layers"][-1]["output_shape"] == [112, 112, 64]
    assert summary["totals"]["parameters"] == 64 * (3 * 3 * 3 + 1)
    assert pipeline.run(np.zeros((224, 224, 3))).shape == (112, 112, 64)


def test_words_may_be_a_text_or_a_list() -> None:
    text = Pipeline.parse("conv 4 3 --stride 2 relu  # a comment")
    words = Pipeline.parse(["conv", 4, 3, "--stride", "2", "relu"])  # type: ignore[list-item]
    assert text.layers == words.layers
    assert Pipeline(text.layers).layers == text.layers


@pytest.mark.parametrize("words", ["", "mark x", "rleu", "conv 4", "add x", ["relu", "#"]])
def test_words_that_make_no_network(words: str | list[str]) -> None:
    with pytest.raises(CnntoolError):
        Pipeline.parse(words)


def test_files_of_words(tmp_path: Path) -> None:
    (tmp_path / "net.cnn").write_text("conv 4 3\nrelu")
    assert Pipeline.read(tmp_path / "net.cnn").layers == Pipeline.parse("conv 4 3 relu").layers


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_a_batch_equals_single_runs(threads: int | None) -> None:
    """Statistics of each image by itself; only `batchnorm` without saved ones takes those of the batch."""
    batch = volume(3, 21, 17, 3)
    pipeline = Pipeline.parse(MIXED.replace("batchnorm", "standardize"))
    together = pipeline.run(batch, threads)
    assert together.shape[0] == 3
    for image, result in zip(batch, together, strict=True):
        assert np.array_equal(pipeline.run(image, 1), result)


def test_batchnorm_takes_the_statistics_of_the_batch() -> None:
    batch = volume(3, 7, 6, 2)
    result = Pipeline.parse("batchnorm").run(batch)
    mean, var = batch.mean(axis=(0, 1, 2)), batch.var(axis=(0, 1, 2))
    np.testing.assert_allclose(result, (batch - mean) / np.sqrt(var + 1e-5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int16, np.bool_, ">f4", "<f8"])
def test_other_types_are_converted(dtype: object) -> None:
    given = (volume(9, 8, 3) * 50).astype(dtype)
    result = Pipeline.parse("conv 4 3 relu").run(given)
    assert result.dtype == np.float32
    assert np.array_equal(result, Pipeline.parse("conv 4 3 relu").run(given.astype(np.float32)))


def test_any_order_of_memory_and_nested_lists() -> None:
    given = volume(9, 8, 3)
    pipeline = Pipeline.parse("conv 4 3 relu")
    expected = pipeline.run(given)
    assert np.array_equal(pipeline.run(np.asfortranarray(given)), expected)
    assert np.array_equal(pipeline.run(np.repeat(given, 2, axis=1)[:, ::2]), expected)
    assert np.array_equal(pipeline.run(given.tolist()), expected)
    read_only = given.copy()
    read_only.flags.writeable = False
    assert np.array_equal(pipeline.run(read_only), expected)


def test_a_matrix_is_one_channel() -> None:
    given = volume(9, 8)
    pipeline = Pipeline.parse("conv 4 3")
    assert np.array_equal(pipeline.run(given), pipeline.run(given[:, :, None]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 2, 2), complex), "complex128"),
        (np.array([["a"]]), "real numbers"),
        (np.array([[None]]), "real numbers"),
        (np.zeros(3), "got 1 dimensions"),
        (np.float32(3), "got 0 dimensions"),
        (np.zeros((1, 1, 1, 1, 1)), "got 5 dimensions"),
        (np.zeros((0, 4, 4, 3)), "the batch is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inputs_that_are_no_volume(given: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Pipeline.parse("relu").run(given)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0)])
def test_empty_volumes(shape: tuple[int, int, int]) -> None:
    pipeline = Pipeline.parse("relu")
    with pytest.raises(CnntoolError, match="at least 1 each"):
        pipeline.run(np.zeros(shape))
    with pytest.raises(CnntoolError, match="at least 1 each"):
        pipeline.shape(shape)


def test_a_volume_that_does_not_fit_names_the_layer() -> None:
    with pytest.raises(CnntoolError, match=r"maxpool \(layer 2\): .*3x3"):
        Pipeline.parse("relu maxpool 5").run(np.zeros((3, 3, 1)))


@pytest.mark.parametrize("words", [MIXED, "relu", "center", "softmax", "dropout 0.5", "flatten", "mark x relu add x"])
def test_inputs_stay_and_results_are_their_own(words: str) -> None:
    given = volume(12, 11, 3)
    copy = given.copy()
    pipeline = Pipeline.parse(words)
    first = pipeline.run(given)
    assert np.array_equal(given, copy)
    assert not np.shares_memory(first, given)
    kept = first.copy()
    second = pipeline.run(given)
    assert not np.shares_memory(first, second)
    second[:] = 7
    assert np.array_equal(first, kept)
    assert np.array_equal(pipeline.run(given), kept)


def test_until_a_row_or_a_mark() -> None:
    given = volume(12, 11, 3)
    pipeline = Pipeline.parse("conv 4 3 relu mark x conv 4 3 --padding 1 add x maxpool 2")
    assert np.array_equal(pipeline.until("2").run(given), pipeline.until("x").run(given))
    assert np.array_equal(pipeline.until("5").run(given), pipeline.run(given))
    assert [row["layer"] for row in pipeline.until("x").shape((12, 11, 3))["layers"]] == ["conv", "relu"]
    # The same parameters: what comes before the end does not depend on where that is.
    expected = Pipeline.parse("relu").run(pipeline.until("1").run(given))
    assert np.array_equal(pipeline.until("2").run(given), expected)
    assert pipeline.shape((12, 11, 3))["layers"][-1]["layer"] == "maxpool"


def test_until_the_input_itself() -> None:
    given = volume(5, 4, 3)
    pipeline = Pipeline.parse("mark start relu").until("start")
    result = pipeline.run(given)
    assert np.array_equal(result, given)
    assert not np.shares_memory(result, given)
    assert pipeline.shape((5, 4, 3))["layers"] == []


@pytest.mark.parametrize("stop", ["0", "4", "-1", "y", "", "relu", "²"])
def test_until_what_is_not_there(stop: str) -> None:
    with pytest.raises(CnntoolError, match=r"no such row.*from 1 to 3 or one of the marks x"):
        Pipeline.parse("conv 4 3 relu mark x abs").until(stop)


def test_seeds() -> None:
    given = volume(9, 8, 3)
    first, again, other = (Pipeline.parse("conv 4 3 relu fc 2", seed=seed).run(given) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_weights_are_those_that_are_used() -> None:
    pipeline = Pipeline.parse("conv 4 3 prelu bank sobel center fc 2")
    arrays = pipeline.weights((8, 9, 3))
    assert [sorted(one) for one in arrays] == [["bias", "weight"], ["alpha"], ["weight"], [], ["bias", "weight"]]
    summary = pipeline.shape((8, 9, 3))
    for row, one in zip(summary["layers"], arrays, strict=True):
        if row["layer"] != "center":
            assert sum(array.size for array in one.values()) == row["parameters"] + row["buffers"]


def test_set_weights() -> None:
    given = volume(7, 6, 2)
    pipeline = Pipeline.parse("conv 1 1 relu")
    before = pipeline.run(given)
    weight = np.array([2.0, -1.0], np.float32).reshape(1, 1, 2, 1)
    pipeline.set_weights([{"weight": weight, "bias": np.array([0.5], np.float32)}, {}])
    expected = np.maximum(2 * given[:, :, :1] - given[:, :, 1:] + 0.5, 0)
    np.testing.assert_allclose(pipeline.run(given), expected, rtol=1e-6, atol=1e-6)
    assert not np.array_equal(before, pipeline.run(given))
    assert np.array_equal(pipeline.weights((7, 6, 2))[0]["weight"], weight)
    pipeline.set_weights([{"weight": weight}, {}])  # a bias that is left out is zero
    expected = np.maximum(2 * given[:, :, :1] - given[:, :, 1:], 0)
    np.testing.assert_allclose(pipeline.run(given), expected, rtol=1e-6, atol=1e-6)


def test_saved_statistics_are_used_instead_of_the_images() -> None:
    given = volume(7, 6, 2)
    pipeline = Pipeline.parse("center")
    assert abs(pipeline.run(given).mean()) < 1e-6
    pipeline.set_weights([{"mean": np.array([1.0, 2.0])}])
    np.testing.assert_allclose(pipeline.run(given), given - np.array([1, 2], np.float32), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([{}], "the arrays of 2 layers, got 1"),
        (
            [{"weight": np.zeros((1, 1, 3, 1), np.float32)}, {}],
            r"conv \(layer 1\): .*`weight`.*expected \(1, 1, 2, 1\)",
        ),
        ([{"wieght": np.zeros((1, 1, 2, 1), np.float32)}, {}], r"conv \(layer 1\): .*`wieght`"),
    ],
)
def test_weights_that_do_not_fit(arrays: list[dict[str, np.ndarray]], message: str) -> None:
    pipeline, given = Pipeline.parse("conv 1 1 relu"), volume(4, 4, 2)

    def use() -> None:
        pipeline.set_weights(arrays)
        pipeline.run(given)

    with pytest.raises(CnntoolError, match=message):
        use()


def test_many_sizes_one_after_the_other() -> None:
    """More shapes than plans are kept, and back to the first."""
    pipeline = Pipeline.parse("conv 4 3 --padding 1 relu")
    first = pipeline.run(volume(8, 8, 3))
    for size in range(9, 9 + KEPT + 2):
        assert pipeline.run(volume(size, 8, 3)).shape == (size, 8, 4)
    assert np.array_equal(pipeline.run(volume(8, 8, 3)), first)


def test_a_second_call_only_computes() -> None:
    pipeline = Pipeline.parse("conv 4 3 relu")
    assert pipeline.plan((8, 8, 3)) is pipeline.plan((8, 8, 3))


@pytest.mark.parametrize("threads", [1, 2])
def test_several_threads_may_run_one_pipeline(threads: int) -> None:
    pipeline = Pipeline.parse(MIXED)
    images = [volume(20 + seed, 19, 3, seed=seed) for seed in range(3)]
    expected = [Pipeline.parse(MIXED).run(image, 1) for image in images]
    start = threading.Barrier(4)
    wrong: list[object] = []

    def work(offset: int) -> None:
        try:
            start.wait(timeout=30)
            for turn in range(8):
                place = (turn + offset) % len(images)
                if not np.array_equal(pipeline.run(images[place], threads), expected[place]):
                    wrong.append(place)
        except BaseException as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_results_do_not_depend_on_threads(threads: int) -> None:
    given = volume(61, 47, 3)
    assert np.array_equal(Pipeline.parse(MIXED).run(given, threads), Pipeline.parse(MIXED).run(given, 1))


def test_nan_and_infinity_go_through() -> None:
    given = volume(9, 9, 1)
    given[4, 4] = np.nan
    result = Pipeline.parse("conv 2 3 relu").run(given)
    assert np.isnan(result[2:5, 2:5]).all()
    assert np.isnan(result).sum() == 3 * 3 * 2
    given[4, 4] = np.inf
    result = Pipeline.parse("conv 2 3").run(given)
    assert np.isinf(result[2:5, 2:5]).all()
    assert np.isinf(result).sum() == 3 * 3 * 2
