"""Borders against NumPy, SciPy and OpenCV: in every algorithm, in bands, in streams, and their gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms import ALGORITHMS
from cnntool.engine.stream import stream
from cnntool.errors import CnntoolError
from cnntool.kernels.arguments import Window
from cnntool.steps.bands import inside, needed_rows
from cnntool.steps.borders import MODES, Border, batch_with_border, gradient_without_border, place
from tests.algorithms.cases import CASES
from tests.kernels.volumes import assert_near, noise
from tests.layers.cases import NUMPY_MODES
from tests.suffixes import is_written

AROUND = [mode for mode in MODES if mode != "zero"]
SCIPY = {"reflect": "reflect", "mirror": "mirror", "replicate": "nearest", "wrap": "wrap"}
OPENCV = {"reflect": "BORDER_REFLECT", "mirror": "BORDER_REFLECT_101", "replicate": "BORDER_REPLICATE"}


@pytest.mark.parametrize("mode", AROUND)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_places_are_those_of_numpy(mode, size):
    around = np.pad(np.arange(size), 20, NUMPY_MODES[mode])
    assert [place(index, size, mode) for index in range(-20, size + 20)] == around.tolist()


@pytest.mark.parametrize("mode", AROUND)
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (3, 0, 0, 2), (9, 5, 20, 31), (0, 0, 4, 0)])
def test_needed_rows_are_those_that_are_read(mode, sides):
    step = Border((6, 5, 2), sides, mode)
    height = step.output_shape[0]
    for first, last in itertools.combinations(range(height + 1), 2):
        read = {place(row - sides[0], 6, mode) for row in range(first, last)}
        needed = needed_rows(step, first, last)
        assert needed == (min(read), max(read) + 1)
        assert inside(needed, 6) == needed


def conv(words: str, weight: np.ndarray) -> Pipeline:
    pipeline = Pipeline.parse(f"conv {weight.shape[3]} {weight.shape[0]}x{weight.shape[1]} --no-bias {words}")
    pipeline.set_weights([{"weight": weight}])
    return pipeline


@pytest.mark.parametrize("mode", AROUND)
@pytest.mark.parametrize("size", [(23, 31), (5, 4), (1, 3), (2, 1)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (3, 7), (4, 2)])
def test_correlation_is_that_of_scipy(mode, size, kernel):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, weight = noise(*size, 1), noise(*kernel, 1, 3)
    origin = [side % 2 - 1 for side in kernel]  # ndimage's middle of an even side is its upper one
    maps = [
        ndimage.correlate(x[..., 0].astype(np.float64), weight[:, :, 0, k].astype(np.float64), mode=SCIPY[mode],
                          origin=origin)
        for k in range(3)
    ]  # fmt: skip
    assert_near(conv(f"--padding same --border {mode}", weight).run(x), np.stack(maps, axis=2))


@pytest.mark.parametrize("mode", OPENCV)
@pytest.mark.parametrize("kernel", [(3, 3), (5, 7), (31, 31)])
def test_correlation_is_that_of_opencv(mode, kernel):
    cv2 = pytest.importorskip("cv2")
    x, weight = noise(40, 50, 1), noise(*kernel, 1, 2)
    maps = [
        cv2.filter2D(x[..., 0].astype(np.float64), -1, weight[:, :, 0, k].astype(np.float64),
                     borderType=getattr(cv2, OPENCV[mode]))
        for k in range(2)
    ]  # fmt: skip
    assert_near(conv(f"--padding same --border {mode}", weight).run(x), np.stack(maps, axis=2))


@pytest.mark.parametrize("mode", AROUND)
def test_avgpool_is_scipy_s_uniform_filter(mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = noise(12, 17, 3)
    mean = ndimage.uniform_filter(x.astype(np.float64), (3, 5, 1), mode=SCIPY[mode])
    words = f"avgpool 3x5 --stride 1 --padding 1x2 --border {mode}"
    assert_near(Pipeline.parse(words).run(x), mean)
    assert_near(Pipeline.parse(f"{words} --count-padding").run(x), mean)


def test_avgpool_with_a_border_has_no_partial_windows():
    with pytest.raises(CnntoolError, match="--border reflect and --ceil"):
        Pipeline.parse("avgpool 3 --padding 1 --border reflect --ceil")


@pytest.mark.parametrize("mode", AROUND)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_threads_batches_and_programs(mode, algorithm):
    case = CASES[algorithm]
    words, weight, x = case.options, case.weight(), noise(61, 45, case.channels)
    pipeline = conv(f"--padding 4,3,2,5 --border {mode} {words}", weight)
    pipeline.use_algorithm(algorithm)
    assert algorithm in {step.algorithm for run in pipeline.plan(x.shape).runs for step in run.row_steps()}
    plain = conv(words, weight)
    plain.use_algorithm("direct")
    expected = plain.run(np.pad(x, ((4, 2), (3, 5), (0, 0)), NUMPY_MODES[mode]))
    found = pipeline.run(x, threads=1)
    assert_near(found, expected, 1e-4)
    for threads in (1, 2, 3):
        batch = np.stack([x[::-1], x])
        assert np.array_equal(pipeline.run(batch, threads=threads)[1], found)
        assert np.array_equal(pipeline.run(batch, threads=threads)[1], found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "words",
    ["conv 4 5 --padding 9,2,20,3", "conv 3 3 --padding same relu conv 4 7 --padding 3", "bank gabor --size 21"],
)
def test_rows_in_streams(mode, words):
    """Bands see the same border; of the other side of a volume nothing can be known before it is there."""
    pipeline = Pipeline.parse(f"{words} --border {mode} maxpool 2")
    x = noise(160, 700, 3)
    plan = pipeline.stream_plan(x.shape)
    assert (plan is None) == (mode == "wrap")
    if plan is not None:
        for threads in (1, 3):
            rows: list[np.ndarray] = []
            stream(plan, x, rows.append, threads)
            assert len(rows) > 3
            assert np.array_equal(np.concatenate(rows), plan.run(x[None], 1)[0])
        assert_near(np.concatenate(rows), pipeline.run(x), 1e-4)


@pytest.mark.parametrize("mode", AROUND)
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (3, 0, 0, 2), (9, 5, 20, 31)])
def test_the_gradient_is_the_transpose(mode, sides):
    window = Window((1, 1), padding=sides)
    x, d = noise(2, 6, 5, 3), noise(2, 6 + sides[0] + sides[2], 5 + sides[1] + sides[3], 3)
    framed, inner = batch_with_border(x, window, mode)
    assert framed.shape == d.shape
    assert inner.padding == (0, 0, 0, 0)
    back = gradient_without_border(d, window, mode)
    assert back.shape == x.shape
    assert np.isclose((framed.astype(float) * d).sum(), (x.astype(float) * back).sum(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("words", ["conv 4 3", "conv 4 5 --padding 0", "bank gabor --size 9 --padding valid"])
def test_without_padding_there_is_no_border(words):
    x = noise(14, 15, 3)
    plain = Pipeline.parse(f"{words} --border zero").run(x)
    assert np.array_equal(Pipeline.parse(f"{words} --border reflect").run(x), plain)


def test_models_and_json_keep_the_border(tmp_path):
    x = noise(14, 15, 3)
    pipeline = Pipeline.parse(
        "conv 4 3 --padding 1 --border mirror bank sobel avgpool 3 --padding 1 --border replicate"
    )
    shown = [row["options"]["border"] for row in pipeline.shape(x.shape)["layers"]]
    assert shown == ["mirror", "reflect", "replicate"]
    expected = pipeline.run(x)
    for name in ("a.npz", *(["a.safetensors"] if is_written("safetensors") else [])):
        pipeline.save(tmp_path / name)
        assert np.array_equal(Pipeline.load(tmp_path / name).run(x), expected)


def test_an_unknown_border_is_named():
    with pytest.raises(CnntoolError, match=r"symetric.*none of zero, reflect, mirror, replicate, wrap"):
        Pipeline.parse("conv 4 3 --border symetric")
