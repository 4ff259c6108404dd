from __future__ import annotations

import weakref

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.algorithms import ALGORITHMS
from cnntool.engine import plan
from cnntool.errors import BadInput, CnntoolError
from cnntool.kernels import ahead
from cnntool.kernels.code import Entry, Kernel
from cnntool.kernels.convention import Kinds
from cnntool.steps import guarded
from cnntool.steps.step import Step
from tests.algorithms.cases import CASES
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins

X = noise(9, 8, 3)


def run(words: str, x: np.ndarray = X, **options) -> np.ndarray:
    return Pipeline.parse(words).run(x, **options)


def test_branches_that_are_not_needed_are_not_computed():
    """Its weights are not there, and its volume would not fit into any memory."""
    words = "mark x conv 4 3 --weights none.npy from x abs"
    np.testing.assert_array_equal(run(words), np.abs(X))
    np.testing.assert_array_equal(run("mark x fc 16000000 fc 16000000 from x abs"), np.abs(X))


def test_the_input_may_be_the_output():
    for words in ("mark x relu from x", "dropout 0.5", "mark x relu from x dropout 0.1"):
        found = run(words)
        np.testing.assert_array_equal(found, X)
        assert not np.may_share_memory(found, X)
        assert found.flags.writeable


def test_a_value_that_is_used_late_is_kept():
    words = "mark x relu mark a maxpool 1 maxpool 1 add a mark b abs abs concat x concat a concat b"
    relu = np.maximum(X, 0)
    np.testing.assert_array_equal(run(words), np.concatenate([2 * relu, X, relu, 2 * relu], axis=2))


def test_a_mark_means_the_last_of_its_name():
    np.testing.assert_array_equal(run("mark x relu mark x add x"), 2 * np.maximum(X, 0))
    words = "mark x relu mark y mark x from y abs add x"
    np.testing.assert_array_equal(run(words), 2 * np.maximum(X, 0))


def test_a_volume_that_is_changed_in_place_is_not_the_one_that_another_branch_sees():
    """relu works in place; what it is given is still wanted."""
    words = "maxpool 1 mark m relu mark r from m abs mark a from m concat r concat a"
    np.testing.assert_array_equal(run(words), np.concatenate([X, np.maximum(X, 0), np.abs(X)], axis=2))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_residual_block(threads):
    weights = [noise(3, 3, 3, 3), noise(1, 3, 3, 3, 3)[0] / 3]
    pipeline = Pipeline.parse("mark x conv 3 3 --padding 1 relu conv 3 3 --padding 1 add x relu")
    pipeline.set_weights([{"weight": weights[0]}, {}, {"weight": weights[1]}, {}, {}])
    inner = twins.relu(twins.conv(X, weights[0], padding=(1, 1, 1, 1)))
    expected = twins.relu(twins.conv(inner, weights[1], padding=(1, 1, 1, 1)) + X)
    assert_near(pipeline.run(X, threads), expected)


def test_joining_what_was_reduced_to_one_position():
    words = "mark x globalpool avg mark g from x globalpool max concat g fc 2"
    pipeline = Pipeline.parse(words)
    weight = noise(6, 2)
    pipeline.set_weights([{}, {}, {}, {"weight": weight}])
    pooled = np.concatenate([X.max(axis=(0, 1)), X.mean(axis=(0, 1))])
    assert_near(pipeline.run(X)[0, 0], pooled @ weight, 1e-6)


def test_one_pass_holds_a_convolution_with_its_activation_and_pool():
    assert len(Pipeline.parse("conv 4 3 --padding 1 batchnorm relu").plan((16, 16, 3)).runs) > 1  # of the batch first
    pipeline = Pipeline.parse("conv 4 3 --padding 1 relu maxpool 2")
    assert len(pipeline.plan((16, 16, 3)).runs) == 1
    assert (
        len(Pipeline.parse("conv 4 3 relu mark a maxpool 2 mark p from a globalpool max").plan((16, 16, 3)).runs) == 2
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_one_pass_holds_a_depthwise_convolution_with_the_1x1_after_it(stride):
    words = f"conv 24 3 --groups 24 --stride {stride} --padding same relu", "conv 50 1 relu"  # heavy: over 1024 weights
    x = noise(75, 41, 24)
    pipeline, first, then = (Pipeline.parse(each) for each in (" ".join(words), *words))
    weights = pipeline.weights(x.shape)
    first.set_weights(weights[:2])
    then.set_weights(weights[2:])
    assert len(pipeline.plan(x.shape).runs) == 1
    expected = then.run(first.run(x))
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(pipeline.run(x, threads=threads), expected)


def test_a_convolution_of_many_filters_has_a_pass_of_its_own():
    pipeline = Pipeline.parse("conv 256 3 --groups 256 --padding 1 conv 512 1")
    assert len(pipeline.plan((28, 28, 256)).runs) == 2


SHIFTED = {"gamma": [0.5, -2, 1], "beta": [1, 2, 3], "running_mean": [0.3, -1, 2], "running_var": [1, 4, 0.2]}
BATCHNORM = {name: np.float32(values) for name, values in SHIFTED.items()}


@pytest.mark.parametrize("padding", ["0", "1", "0,0,0,2"])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (3, 3), (1, 3)])
@pytest.mark.parametrize("order", ["before", "after", "both"])
def test_affine_neighbours_of_a_convolution_keep_its_border(padding, kernel, groups, order):
    """A shift before zero padding must not be taken into the filters: the border stays zero."""
    conv = f"conv 3 {kernel} --padding {padding} --groups {groups}"
    words = {"before": f"batchnorm {conv}", "after": f"{conv} batchnorm", "both": f"batchnorm {conv} batchnorm"}[order]
    arrays = {"weight": noise(kernel, kernel, 3 // groups, 3), "bias": noise(3)}
    sides = {"0": (0, 0, 0, 0), "1": (1, 1, 1, 1), "0,0,0,2": (0, 0, 0, 2)}[padding]

    def norm(x):
        return twins.batchnorm(x, *(BATCHNORM[name] for name in ("gamma", "beta", "running_mean", "running_var")))

    x = norm(X) if order != "after" else X
    y = twins.conv(x, arrays["weight"], arrays["bias"], padding=sides, groups=groups)
    expected = norm(y) if order != "before" else y
    pipeline = Pipeline.parse(words)
    pipeline.set_weights(
        [arrays if word == "conv" else BATCHNORM for word in words.split() if word in ("conv", "batchnorm")]
    )
    assert_near(pipeline.run(X), expected)


def test_a_value_between_affine_neighbours_that_is_wanted_elsewhere_is_there():
    pipeline = Pipeline.parse("conv 3 1 mark c batchnorm concat c")
    weight = noise(1, 1, 3, 3)
    pipeline.set_weights([{"weight": weight}, BATCHNORM, {}])
    y = twins.conv(X, weight)
    norm = twins.batchnorm(y, *(BATCHNORM[name] for name in ("gamma", "beta", "running_mean", "running_var")))
    assert_near(pipeline.run(X), np.concatenate([norm, y], axis=2))


@pytest.mark.parametrize("how", ["center", "standardize", "whiten", "decorrelate"])
def test_saved_statistics_far_from_zero_before_a_convolution(how):
    x = (255 * (0.5 + 0.05 * noise(12, 11, 3))).astype(np.float32)
    statistics = Pipeline.parse(how).layers[0].learn(moments_of(x))
    weight = noise(3, 3, 3, 4)
    for padding, sides in (("0", (0, 0, 0, 0)), ("1", (1, 1, 1, 1))):
        pipeline = Pipeline.parse(f"{how} conv 4 3 --padding {padding}")
        pipeline.set_weights([statistics, {"weight": weight}])
        expected = twins.conv(getattr(twins, how)(x), weight, padding=sides)
        assert_near(pipeline.run(x), expected)


def moments_of(x: np.ndarray):
    from cnntool.layers.affine import Moments

    return Moments(x[None], lambda function, items: [function(item) for item in items])


def test_plans_of_other_sizes_are_made_and_kept():
    pipeline = Pipeline.parse("conv 4 3 relu")
    first = pipeline.plan((9, 8, 3))
    for height in range(10, 14):
        assert pipeline.run(noise(height, 8, 3)).shape == (height - 2, 6, 4)
    assert pipeline.plan((9, 8, 3)) is first
    with pytest.raises(CnntoolError, match=r"expected a volume of \(9, 8, 3\), got \(3, 8, 3\)"):
        first.run(noise(1, 3, 8, 3), 1)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.zeros((2, 2), complex), "complex128 cannot be computed with"),
        (np.array([["a"]]), "cannot be computed with"),
        (np.zeros(4), "expected a volume H x W x C or N x H x W x C, got 1 dimensions"),
        (np.zeros((1, 1, 1, 1, 1)), "got 5 dimensions"),
        (np.zeros((0, 4, 4, 3)), "the batch is empty"),
    ],
)
def test_what_is_no_volume_is_refused(volume, message):
    with pytest.raises(BadInput, match=message):
        run("relu", volume)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0)])
def test_volumes_without_pixels_are_refused(shape):
    with pytest.raises(CnntoolError, match="expected \\(height, width, channels\\) of at least 1 each"):
        run("relu", np.zeros(shape))


def test_two_dimensions_are_one_channel():
    np.testing.assert_array_equal(run("abs", X[..., 0]), np.abs(X[..., :1]))


@pytest.mark.parametrize("threads", [0, -1, 1, 100])
def test_any_number_of_threads_will_do(threads):
    np.testing.assert_array_equal(run("relu", threads=threads), np.maximum(X, 0))


def test_until_ends_at_a_mark_with_the_same_arrays():
    pipeline = Pipeline.parse("conv 4 3 mark c relu maxpool 2", seed=5)
    middle = pipeline.until("c")
    np.testing.assert_array_equal(np.maximum(middle.run(X), 0), pipeline.until("2").run(X))
    assert pipeline.run(X).shape == (3, 3, 4)


def test_thousands_of_layers_are_computed_in_runs_of_a_few():
    """Looking at all former steps for each one took two minutes for 20,000 layers."""
    pipeline = Pipeline.parse("relu maxpool 1 abs " * 2000)
    np.testing.assert_array_equal(pipeline.run(X), np.maximum(X, 0))
    assert max(len(one.steps) for one in pipeline.plan(X.shape).runs) == plan.LONGEST_RUN


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_plan_goes_with_its_last_user(algorithm):
    """Not when Python's collector comes by: packed filters of many sizes would fill the memory until then."""
    case = CASES[algorithm]
    pipeline = Pipeline.parse(f"{case.conv} relu")
    pipeline.set_weights([{"weight": case.weight(), "bias": np.zeros(case.kernel[3], np.float32)}, {}])
    batch = np.zeros((1, 30, 30, case.channels), np.float32)
    made = plan.Plan(pipeline.graph, pipeline.parameters, batch.shape[1:], algorithm)
    for _ in range(3):
        made.run(batch, 1)
    step = next(s for run in made.runs for s in run.steps if isinstance(s, Step) and s.algorithm == algorithm)
    gone = weakref.ref(step)
    del made, step
    assert gone() is None


@pytest.mark.skipif(guarded.enabled(), reason="plans look ahead only where their memory is not watched")
@pytest.mark.parametrize(
    "words",
    [
        "conv 17 3 --padding 1 relu maxpool 2 conv 8 1",
        "mark a conv 3 3 --padding 1 add a tanh",
        "standardize relu maxpool 2 mark a conv 3 3 --padding 1 add a",
        "whiten bank gabor relu maxpool 2",
    ],
)
def test_kernels_are_known_before_a_run(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, None] = {}
    entry = Kernel.entry

    def noted(kernel: Kernel, kinds: Kinds) -> Entry:
        called[kernel.file(kinds)] = None
        return entry(kernel, kinds)

    volume = np.random.default_rng(0).random((1, 120, 90, 3), np.float32)
    made = Pipeline.parse(words).plan(volume.shape[1:])
    expected = made.kernels(1, 2)
    monkeypatch.setattr(Kernel, "entry", noted)
    made.run(volume, 2)
    assert set(expected) <= called.keys() <= set(ahead.with_called(expected))
