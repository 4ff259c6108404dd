"""Every algorithm of convolution gives what the slow, obvious one gives."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms import ALGORITHMS, winograd
from cnntool.errors import CnntoolError
from cnntool.steps import bands
from tests.algorithms.cases import CASES
from tests.kernels.volumes import assert_near, noise
from tests.naive.convolution import conv
from tests.naive.pooling import maxpool


def forced(name: str, words: str, weight: np.ndarray, bias: np.ndarray) -> Pipeline:
    pipeline = Pipeline.parse(words)
    pipeline.use_algorithm(name)
    others = [{} for _ in pipeline.layers[1:]]
    pipeline.set_weights([{"weight": weight, "bias": bias}, *others])
    return pipeline


def check(name: str, pipeline: Pipeline, x: np.ndarray, expected: np.ndarray) -> None:
    """At the first run and later, by any number of threads."""
    found = pipeline.run(x, 1)
    (plan,) = pipeline._plans.values()
    assert plan.explain(1)[0]["algorithm (others cost)"].startswith(name)
    assert_near(found, expected, CASES[name].tolerance, hint=f"{name} on {x.shape}")
    for threads in (1, 2, 3):
        for _ in range(2):
            assert pipeline.run(x, threads).tobytes() == found.tobytes()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm(name):
    case = CASES[name]
    x, weight, bias = noise(61, 45, case.channels), case.weight(), noise(case.kernel[3])
    expected = conv(x, weight, bias, case.stride, dilation=case.dilation, groups=case.groups)
    check(name, forced(name, case.conv, weight, bias), x, expected)
    check(name, forced(name, f"{case.conv} relu", weight, bias), x, np.maximum(expected, 0))


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(
    ("height", "width", "channels", "outputs", "border"),
    [
        (1, 1, 16, 16, 1),
        (3, 2, 17, 33, 1),
        (4, 4, 16, 40, 0),
        (7, 9, 33, 16, 2),
        (13, 6, 20, 70, 1),
        (30, 61, 18, 35, 1),
        (6, 5, 130, 260, 1),
        (5, 5, 64, 200, 1),
    ],
)
def test_winograd(monkeypatch, tile, height, width, channels, outputs, border):
    monkeypatch.setattr(winograd, "winograd_tile", lambda step: tile)
    if min(height, width) + 2 * border < 3:
        pytest.skip("the window does not fit")
    x, weight, bias = noise(height, width, channels), noise(3, 3, channels, outputs), noise(outputs)
    expected = conv(x, weight, bias, padding=(border,) * 4)
    words = f"conv {outputs} 3 --padding {border}"
    check("winograd", forced("winograd", words, weight, bias), x, expected)
    check("winograd", forced("winograd", words + " relu", weight, bias), x, np.maximum(expected, 0))


@pytest.mark.parametrize(
    ("height", "width", "channels", "outputs"),
    [(1, 1, 16, 16), (4, 3, 17, 33), (5, 8, 16, 40), (13, 7, 20, 70), (56, 31, 32, 96), (9, 10, 130, 260)],
)
@pytest.mark.parametrize(("size", "stride", "border"), [(5, 1, 2), (5, 1, 3), (3, 2, 1), (3, 2, 2)])
def test_winograd_of_5x5_filters_and_with_stride_2(height, width, channels, outputs, size, stride, border):
    x, weight, bias = noise(height, width, channels), noise(size, size, channels, outputs), noise(outputs)
    words = f"conv {outputs} {size} --padding {border} --stride {stride} relu"
    for _ in range(2):
        with np.errstate(invalid="ignore"):
            expected = np.maximum(conv(x, weight, bias, (stride, stride), (border,) * 4), 0)
        check("winograd", forced("winograd", words, weight, bias), x, expected)
        x[height // 2, 0, 3] = np.inf


FEW_CHANNELS = [
    (1, 1, 1, 1, 3, 1, 1),
    (4, 3, 3, 16, 3, 1, 1),
    (7, 17, 5, 33, 3, 1, 2),
    (21, 30, 8, 40, 4, 1, 0),
    (9, 23, 15, 17, 3, 1, 1),
    (30, 33, 3, 70, 7, 2, 3),
    (13, 8, 1, 5, 7, 2, 3),
    (25, 41, 6, 20, 5, 2, 2),
    (11, 50, 3, 96, 11, 4, 0),
    (40, 12, 2, 8, 8, 2, 7),
]


@pytest.mark.parametrize(("height", "width", "channels", "outputs", "size", "stride", "border"), FEW_CHANNELS)
def test_winograd_of_few_channels(monkeypatch, height, width, channels, outputs, size, stride, border):
    x, weight, bias = noise(height, width, channels), noise(size, size, channels, outputs), noise(outputs)
    expected = conv(x, weight, bias, (stride, stride), (border,) * 4)
    words = f"conv {outputs} {size} --padding {border} --stride {stride}"
    check("winograd", forced("winograd", words, weight, bias), x, expected)
    words = "relu " + words + " relu"  # so that its input is in bands too
    expected = np.maximum(conv(np.maximum(x, 0), weight, bias, (stride, stride), (border,) * 4), 0)
    pipeline = Pipeline.parse(words)
    pipeline.use_algorithm("winograd")
    pipeline.set_weights([{}, {"weight": weight, "bias": bias}, {}])
    check("winograd", pipeline, x, expected)
    found = pipeline.run(x, 1).tobytes()
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    for threads in (1, 2):
        pipeline = Pipeline.parse(words)
        pipeline.use_algorithm("winograd")
        pipeline.set_weights([{}, {"weight": weight, "bias": bias}, {}])
        assert pipeline.run(x, threads).tobytes() == found


@pytest.mark.parametrize(("size", "stride"), [((3, 3), (1, 1)), ((7, 7), (2, 2)), ((3, 4), (1, 1)), ((9, 5), (3, 2))])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e37])
def test_winograd_of_few_channels_where_values_are_large_or_not_finite(size, stride, value):
    x, weight, bias = noise(30, 33, 3), noise(*size, 3, 40), noise(40)
    x[9, 4, 2] = x[0, 32, 0] = x[29, 0, 1] = value
    words = f"conv 40 {size[0]}x{size[1]} --padding 2 --stride {stride[0]}x{stride[1]}"
    for _ in range(2):
        with np.errstate(invalid="ignore", over="ignore"):
            expected = conv(x, weight, bias, stride, (2, 2, 2, 2)).astype(np.float32)
        found = forced("winograd", words, weight, bias).run(x, 1)
        assert_near(found, expected, CASES["winograd"].tolerance)
        weight[0, 0, 1, 3] = bias[17] = value


def test_winograd_of_few_channels_adds_another_volume():
    x, weight, bias = noise(11, 17, 5), noise(3, 3, 5, 5), noise(5)
    for end, low in (("", -np.inf), (" relu", 0)):
        pipeline = Pipeline.parse(f"mark x conv 5 3 --padding 1 add x{end}")
        pipeline.use_algorithm("winograd")
        pipeline.set_weights([{"weight": weight, "bias": bias}, *({} for _ in pipeline.graph.nodes[1:])])
        check("winograd", pipeline, x, np.maximum(conv(x, weight, bias, padding=(1, 1, 1, 1)) + x, low))


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_winograd_where_a_value_is_not_finite(monkeypatch, tile, value):
    monkeypatch.setattr(winograd, "winograd_tile", lambda step: tile)
    x, weight, bias = noise(20, 13, 16), noise(3, 3, 16, 200), noise(200)
    x[9, 4, 3] = x[0, 12, 0] = x[19, 0, 5] = value
    words = "conv 200 3 --padding 1"
    with np.errstate(invalid="ignore"):
        expected = conv(x, weight, bias, padding=(1, 1, 1, 1))
    check("winograd", forced("winograd", words, weight, bias), x, expected)


def test_winograd_takes_the_tile_that_costs_less():
    (step,) = Pipeline.parse("conv 64 3 --padding 1").plan((112, 112, 64)).runs[0].steps
    assert winograd.winograd_tile(step) == 4
    costs = {tile: winograd.winograd_cost_of(step, tile) for tile in (2, 4)}
    assert costs[4] < costs[2]
    (step,) = Pipeline.parse("conv 64 3 --padding 1").plan((2, 28, 64)).runs[0].steps
    assert winograd.winograd_tile(step) == 2


@pytest.mark.parametrize(
    ("height", "width", "size", "outputs", "stride"),
    [(9, 9, 5, 4, 1), (40, 33, 7, 17, 1), (41, 70, 11, 40, 2), (12, 100, 11, 3, 1), (6, 8, 5, 33, 1)],
)
def test_separable(height, width, size, outputs, stride):
    x, bias = noise(height, width, 1), noise(outputs)
    rows, columns = noise(2, size, outputs), 1 + noise(2, size, outputs)
    weight = np.einsum("ryk,rxk->yxk", columns, rows)[:, :, None].astype(np.float32)
    pipeline = forced("separable", f"conv {outputs} {size} --padding 2 --stride {stride}", weight, bias)
    check("separable", pipeline, x, conv(x, weight, bias, (stride, stride), (2, 2, 2, 2)))


@pytest.mark.parametrize(
    ("height", "width", "channels", "size", "outputs", "groups"),
    [(9, 9, 1, 5, 4, 1), (70, 33, 2, 7, 18, 1), (41, 130, 3, 31, 20, 1), (40, 40, 4, 9, 36, 2), (3, 8, 1, 3, 1, 1)],
)
def test_fourier(height, width, channels, size, outputs, groups):
    x, weight, bias = noise(height, width, channels), noise(size, size, channels // groups, outputs), noise(outputs)
    border = size // 2
    pipeline = forced("fft", f"conv {outputs} {size} --padding {border} --groups {groups}", weight, bias)
    check("fft", pipeline, x, conv(x, weight, bias, padding=(border,) * 4, groups=groups))


@pytest.mark.parametrize("end", ["", " relu", " relu maxpool 3 --padding 1 --stride 1"])
@pytest.mark.parametrize(
    ("name", "channels", "size", "groups"),
    [
        ("direct", 33, 3, 1),
        ("direct", 40, 1, 1),
        ("direct", 1024, 1, 1),
        ("direct", 36, 3, 2),
        ("depthwise", 20, 3, 20),
        ("depthwise", 20, 5, 20),
        ("fft", 18, 5, 1),
        ("separable", 1, 7, 1),
        ("winograd", 130, 3, 1),
    ],
)
def test_the_sum_with_another_volume(name, channels, size, groups, end):
    x, bias = noise(11, 17, channels), noise(channels)
    weight = noise(size, size, channels // groups, channels)
    border = (size // 2,) * 4
    pipeline = Pipeline.parse(f"mark x conv {channels} {size} --padding {size // 2} --groups {groups} add x{end}")
    pipeline.use_algorithm(name)
    pipeline.set_weights([{"weight": weight, "bias": bias}, *({} for _ in pipeline.graph.nodes[1:])])
    expected = conv(x, weight, bias, padding=border, groups=groups) + x
    if end:
        expected = np.maximum(expected, 0)
    if "maxpool" in end:
        expected = maxpool(expected, (3, 3), (1, 1), (1, 1, 1, 1))
    check(name, pipeline, x, expected)


@pytest.mark.parametrize(("channels", "stride"), [(1024, (1, 1)), (2048, (2, 1)), (17, (3, 2))])
def test_pixels_that_are_gathered(channels, stride):
    x, weight, bias = noise(7, 9, channels), noise(1, 1, channels, 40), noise(40)
    words = f"conv 40 1 --stride {stride[0]}x{stride[1]} relu"
    expected = np.maximum(conv(x, weight, bias, stride), 0)
    check("direct", forced("direct", words, weight, bias), x, expected)
    words += " conv 40 1 --padding 1"
    others = {"weight": noise(1, 1, 40, 40), "bias": bias}
    pipeline = forced("direct", words, weight, bias)
    pipeline.set_weights([{"weight": weight, "bias": bias}, {}, others])
    check("direct", pipeline, x, conv(expected, others["weight"], bias, padding=(1, 1, 1, 1)))


@pytest.mark.parametrize("name", ["fft", "separable"])
def test_a_value_that_is_not_finite_stays_in_its_window(name):
    x, bias = noise(60, 50, 1), noise(3)
    weight = np.einsum("yk,xk->yxk", noise(7, 3), noise(7, 3))[:, :, None]
    x[30, 20] = np.nan
    found = forced(name, "conv 3 7 --padding 3", weight, bias).run(x, 2)
    rows, columns = np.nonzero(np.isnan(found).any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (27, 33, 17, 23)
    assert np.isnan(found).sum() == 3 * 7 * 7


def test_depthwise():
    for height, width, channels, size, stride in [
        (9, 9, 5, 3, 1),
        (20, 33, 16, 3, 2),
        (14, 14, 130, 5, 1),
        (6, 40, 33, 7, 3),
    ]:
        x, weight, bias = noise(height, width, channels), noise(size, size, 1, channels), noise(channels)
        words = f"conv {channels} {size} --padding 1 --stride {stride} --groups {channels} relu"
        expected = np.maximum(conv(x, weight, bias, (stride, stride), (1, 1, 1, 1), groups=channels), 0)
        check("depthwise", forced("depthwise", words, weight, bias), x, expected)


def test_an_algorithm_that_does_not_fit_gives_way_to_the_direct_one():
    x, weight, bias = noise(9, 9, 3), noise(2, 2, 3, 4), noise(4)
    pipeline = forced("winograd", "conv 4 2", weight, bias)
    check("direct", pipeline, x, conv(x, weight, bias))
    with pytest.raises(CnntoolError, match="expected auto, direct"):
        pipeline.use_algorithm("magic")


@pytest.mark.parametrize("name", ["winograd", "fft", "direct"])
def test_bands_do_not_show(monkeypatch, name):
    x, weight, bias = noise(50, 20, 16), noise(3, 3, 16, 48), noise(48)
    words = "conv 48 3 --padding 1 relu maxpool 3 --stride 2"
    expected = forced(name, words, weight, bias).run(x, 1).tobytes()
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    for threads in (1, 2, 3):
        assert forced(name, words, weight, bias).run(x, threads).tobytes() == expected
