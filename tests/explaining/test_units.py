"""Explanations of all layers: their float64 value is the kernels' and the naive twins', and a wrong kernel is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.explaining.data import Equation, Explanation, Sum
from cnntool.explaining.units import EXPLAINED, compute, explain
from cnntool.explaining.values import read_values, use_values
from cnntool.layers.table import LAYERS
from tests.layers.cases import CASES, Case

VALUES = Path(__file__).parents[2] / "samples/values"


def test_every_layer_word_is_explained() -> None:
    assert set(EXPLAINED) == set(LAYERS) - {"mark", "from"}


def corners(shape: tuple[int, ...]) -> set[tuple[int, int, int]]:
    height, width, channels = shape
    return {(0, 0, 0), (height - 1, width - 1, channels - 1), (height // 2, width // 3, channels // 2)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_value_is_that_of_the_kernels_and_of_run(case: Case) -> None:
    pipeline = case.pipeline()
    volume = np.random.default_rng(1).standard_normal(case.shape).astype(np.float32)
    computed = compute(pipeline, volume)
    output = pipeline.run(volume)
    for at in corners(output.shape):
        found = explain(computed, at)
        assert [one.row for one in found] == [node + 1 for node in computed.nodes]
        assert found[-1].at == at
        for one in found:
            assert one.agrees, (one.words, one.at, one.account.value, one.computed)
        assert found[-1].account.value == pytest.approx(
            float(output[at]), rel=1e-3, abs=1e-3 * float(np.abs(output).max())
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_work_of_every_step_is_right(case: Case) -> None:
    """Sums are those of their terms, and products those of the grids beside them."""
    volume = np.random.default_rng(2).standard_normal(case.shape).astype(np.float32)
    for one in explain(compute(case.pipeline(), volume)):
        for step in one.account.steps:
            if isinstance(step.work, Sum):
                assert step.work.total == pytest.approx(sum(step.work.terms), rel=1e-9, abs=1e-9)
            titles = [grid.title for grid in step.grids]
            if titles == ["window.grid", "window.filter", "window.products"]:
                np.testing.assert_array_equal(step.grids[0].numbers * step.grids[1].numbers, step.grids[2].numbers)


def test_what_is_explained_is_what_counts_in_the_next_layer() -> None:
    """The value that is explained of a layer is one of the numbers in the next one's window."""
    volume = np.random.default_rng(3).random((20, 24, 3), np.float32)
    found = explain(
        compute(Pipeline.parse("conv 6 3 --stride 2 relu maxpool 2 flatten fc 5 softmax"), volume), (0, 0, 3)
    )
    conv, relu, pool, _, _, _ = found
    assert relu.at == conv.at
    grid = next(grid for step in pool.account.steps for grid in step.grids)
    assert relu.account.value in grid.numbers
    assert relu.account.value == pool.account.value
    for one in found:
        (top, bottom), (left, right) = one.field
        assert 0 <= top <= bottom < 20
        assert 0 <= left <= right < 24


def demo() -> Pipeline:
    pipeline = Pipeline.parse("conv 2 3 --stride 2 --padding 1")
    use_values(pipeline, read_values(str(VALUES / "cs231n-convolution.txt")), (5, 5, 3))
    return pipeline


def demo_input() -> np.ndarray:
    typed = read_values(str(VALUES / "cs231n-convolution.txt")).input
    assert typed is not None
    return typed


CS231N = np.array(
    [[[2, 3, 3], [3, 7, 3], [8, 10, -3]], [[-8, -8, -3], [-3, 1, 0], [-3, -8, -5]]]
)  # as the demo shows them


def test_the_numbers_of_the_demo() -> None:
    pipeline, volume = demo(), demo_input()
    np.testing.assert_array_equal(pipeline.run(volume), CS231N.transpose(1, 2, 0))
    for y, x, c in np.ndindex(3, 3, 2):
        (found,) = explain(compute(pipeline, volume), (y, x, c))
        assert found.account.value == CS231N[c, y, x]
        assert found.computed == CS231N[c, y, x]


def test_the_arithmetic_of_the_demo() -> None:
    (found,) = explain(compute(demo(), demo_input()), (1, 1, 0))
    steps = {step.key: step for step in found.account.steps}
    assert [step.work.total for step in found.account.steps if step.key == "conv.channel" and step.work] == [4, 2, 0]
    total = steps["conv.total"].work
    assert isinstance(total, Sum)
    assert total == Sum([4, 2, 0, 1], 7)
    assert steps["window.place"].values["rows"] == "1..3"
    assert steps["conv.weights"].values["weights"] == 27
    assert steps["conv.weights"].values["as_fc"] == 75


def test_a_pool_of_2_removes_75_percent() -> None:
    volume = np.random.default_rng(0).random((8, 6, 4), np.float32)
    for word in ("maxpool", "avgpool", "l2pool"):
        (found,) = explain(compute(Pipeline.parse(f"{word} 2"), volume))
        share = next(step.values for step in found.account.steps if step.key == "pool.share")
        assert share["removed"] == 75
        assert share["outputs"] * 4 == share["inputs"] == 8 * 6 * 4


def test_batch_normalisation_can_be_undone() -> None:
    volume = np.random.default_rng(0).standard_normal((6, 5, 2)).astype(np.float32)
    pipeline = Pipeline.parse("batchnorm")
    (found,) = explain(compute(pipeline, volume), (2, 3, 1))
    identity = next(step.values for step in found.account.steps if step.key == "batchnorm.identity")
    plane = volume[:, :, 1].astype(np.float64)
    assert identity["gamma"] == pytest.approx(np.sqrt(plane.var() + 1e-5))
    pipeline.set_weights([{"gamma": np.full(2, identity["gamma"], "f"), "beta": np.full(2, identity["beta"], "f")}])
    assert pipeline.run(volume)[2, 3, 1] == pytest.approx(volume[2, 3, 1], abs=1e-5)


def test_a_full_connection_uses_each_weight_once() -> None:
    volume = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
    pipeline = Pipeline.parse("fc 5")
    (found,) = explain(compute(pipeline, volume), (0, 0, 4))
    weight = pipeline.weights((3, 4, 2))[0]["weight"]
    products = [step for step in found.account.steps if step.key == "fc.product"]
    for step in products:
        assert isinstance(step.work, Equation)
        index = step.values["index"]
        assert step.work.numbers["x"] == volume[step.values["y"], step.values["x"], step.values["c"]]
        assert step.work.numbers["w"] == weight[index, 4]
    sizes = [abs(step.work.result) for step in products if step.work and not isinstance(step.work, Sum)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_kernel_that_errs_is_told() -> None:
    computed = compute(demo(), demo_input())
    volumes = dict(computed.volumes)
    volumes[0] = volumes[0] + np.float32(0.01)
    (found,) = explain(computed._replace(volumes=volumes), (1, 1, 0))
    assert found.account.value == 7
    assert not found.agrees


def test_a_layer_without_an_explanation_still_has_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXPLAINED, "relu")
    (found,) = explain(compute(Pipeline.parse("relu"), np.ones((2, 2, 1), np.float32)))
    assert found.account.steps[0].key == "layer.unknown"
    assert found.account.value == 1


def test_windows_in_the_padding_alone() -> None:
    """Of a 1x1 input, the corners of a 1x1 window with padding see nothing."""
    for words, value in (("conv 1 1 --padding 2", 0.0), ("bank sobel --padding 4 --border zero", 0.0)):
        pipeline = Pipeline.parse(words)
        (found,) = explain(compute(pipeline, np.ones((3, 3, 1), np.float32)), (0, 0, 0))
        assert found.account.value == value
        assert found.field == ((0, -1), (0, -1))
        assert found.agrees


def test_numbers_that_are_not_finite_go_through() -> None:
    volume = np.ones((4, 4, 1), np.float32)
    volume[1, 1] = np.nan
    for words in ("relu", "maxpool 2", "avgpool 2", "sigmoid", "batchnorm", "softmax", "conv 2 3"):
        found: list[Explanation] = explain(compute(Pipeline.parse(words), volume), (0, 0, 0))
        assert len(found) == 1, words


@pytest.mark.parametrize(("at", "named"), [((3, 0, 0), "row"), ((0, 3, 0), "column"), ((0, 0, 2), "channel")])
def test_a_place_outside_is_named(at: tuple[int, int, int], named: str) -> None:
    with pytest.raises(CnntoolError, match=f"is 3x3x2: expected a {named} of 0 to "):
        explain(compute(demo(), demo_input()), at)
