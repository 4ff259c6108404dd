"""Gradient ascent: the transforms are each other's adjoints, inference is what is climbed, and filters are found."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.learning.ascent import (
    Ascent,
    as_at_inference,
    below_rectifiers,
    excite,
    falling,
    of_channels,
    pictures_of,
    spectrum_of,
)
from cnntool.learning.network import Network

RANDOM = np.random.default_rng(8)


def plain(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pixels, np.ones(1)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (5, 6)])
def test_the_gradient_by_the_spectrum(size: tuple[int, int]) -> None:
    height, width = size
    spectrum = RANDOM.normal(size=(2, 1, height, width // 2 + 1, 3))
    weight, mix = falling(height, width), RANDOM.normal(size=(3, 3))
    target = RANDOM.normal(size=(1, height, width, 3))

    def loss(values: np.ndarray) -> float:
        return float((pictures_of(values, weight, mix, height, width) * target).sum())

    pixels = pictures_of(spectrum, weight, mix, height, width)
    gradient = spectrum_of(target * pixels * (1 - pixels), weight, mix)
    for place in [(0, 0, 1, 1, 0), (1, 0, 2, 1, 2), (0, 0, 0, 2, 1), (1, 0, height - 1, 2, 0)]:
        moved = spectrum.copy()
        moved[place] += 1e-5
        assert (loss(moved) - loss(spectrum)) / 1e-5 == pytest.approx(gradient[place], rel=1e-3, abs=1e-5)


def test_what_is_climbed_is_the_network_as_it_runs() -> None:
    volumes = RANDOM.normal(size=(4, 10, 10, 3)).astype(np.float32)
    pipeline = Pipeline.parse("conv 4 3 batchnorm relu dropout 0.5 conv 2 3")
    shape = (10, 10, 3)
    arrays = pipeline.weights(shape)
    arrays[1] |= {"running_mean": np.float32([1, 2, 3, 4]), "running_var": np.float32([1, 4, 9, 2]),
                  "gamma": np.float32([1, 2, 1, 3]), "beta": np.float32([0, 1, 2, 0])}  # fmt: skip
    pipeline.set_weights(arrays)
    graph, own = as_at_inference(pipeline.graph, arrays, pipeline.graph.shapes(shape))
    network = Network(graph, shape, own, 1, 0, to_input=True)
    values, saved = network.forward(volumes, 0)
    np.testing.assert_allclose(values[network.output], pipeline.run(volumes), rtol=1e-3, atol=1e-4)
    d_output = np.zeros_like(values[network.output])
    d_output[1, 2, 3, 1] = 1
    _, d_input = network.gradients(d_output, saved)
    assert d_input is not None
    assert not d_input[[0, 2, 3]].any(), "each picture climbs by itself"
    moved = volumes.copy()
    moved[1, 4, 5, 2] += 0.01
    change = pipeline.run(moved)[1, 2, 3, 1] - pipeline.run(volumes)[1, 2, 3, 1]
    assert change == pytest.approx(0.01 * float(d_input[1, 4, 5, 2]), rel=0.02, abs=1e-5)


def test_the_picture_that_excites_a_filter_is_like_it() -> None:
    pipeline = Pipeline.parse("bank sobel relu")
    shape = (16, 16, 1)
    ascent = Ascent(steps=40, jitter=1)
    found = excite(pipeline.graph, pipeline.weights(shape), shape, (0, 1), ascent, 1, plain, (1, 1))
    assert found.pictures.shape == (2, 16, 16, 1)
    assert found.pictures.min() >= 0
    assert found.pictures.max() <= 1
    across, down = (np.abs(np.diff(found.pictures[0, :, :, 0], axis=axis)).mean() for axis in (1, 0))
    assert across > 1.2 * down, "what rises to the right excites the first"
    across, down = (np.abs(np.diff(found.pictures[1, :, :, 0], axis=axis)).mean() for axis in (1, 0))
    assert down > 1.2 * across, "what rises downwards excites the second"
    gray = pipeline.run(np.full(shape, 0.5, np.float32))[1:-1, 1:-1].max()
    assert found.values.min() > gray + 0.1
    maps = pipeline.run(found.pictures)
    np.testing.assert_allclose([maps[n, 1:-1, 1:-1, n].max() for n in (0, 1)], found.values, atol=1e-4)


def test_a_flat_rectifier_is_climbed_from_below() -> None:
    pipeline = Pipeline.parse("conv 1 3 --no-bias relu")
    arrays = pipeline.weights((8, 8, 1))
    weight = np.eye(3, dtype=np.float32)[..., None, None] - 1
    pipeline.set_weights([{"weight": weight}, arrays[1]])
    ascent = Ascent(steps=30, jitter=0)
    before = pipeline.run(np.full((8, 8, 1), 0.5, np.float32))
    assert not before.any(), "gray gives nothing"
    found = excite(pipeline.graph, pipeline.weights((8, 8, 1)), (8, 8, 1), (0,), ascent, 1, plain)
    assert found.values[0] > -2, "gray gives -3, and dark up to 0, to the sum of the filter"
    assert found.pictures.mean() < 0.5


def test_batch_normalisation_without_statistics_is_refused() -> None:
    pipeline = Pipeline.parse("conv 2 3 batchnorm")
    with pytest.raises(CnntoolError, match=r"batchnorm \(layer 2\): no running statistics"):
        excite(pipeline.graph, pipeline.weights((8, 8, 1)), (8, 8, 1), (0,), Ascent(1), 1, plain)


@pytest.mark.parametrize(
    ("words", "fewer"),
    [
        ("bank sobel conv 6 3", "conv 2 3"),
        ("conv 3 3 conv 6 3 --no-bias batchnorm relu", "conv 2 3"),
        ("bank gabor --size 9", "bank"),
        ("bank gabor --size 9 --energy", None),
        ("bank gabor --size 9 --per-channel", None),
        ("conv 6 3 batchnorm globalpool avg", None),
        ("conv 6 3 mark one relu conv 6 1 --groups 6 add one", None),
        ("conv 6 3 --groups 3", None),
    ],
)
def test_filters_that_are_not_asked_for_are_left_out(words: str, fewer: str | None) -> None:
    shape = (16, 16, 3)
    pipeline, volumes = Pipeline.parse(words), RANDOM.normal(size=(2, *shape)).astype(np.float32)
    arrays = pipeline.weights(shape)
    for node in arrays:
        if "gamma" in node:
            for name in ("gamma", "beta", "running_mean", "running_var"):
                node[name] = RANDOM.uniform(0.5, 2, 6).astype(np.float32)
    graph, own = as_at_inference(below_rectifiers(pipeline.graph), arrays, pipeline.graph.shapes(shape))
    least, few, places = of_channels(graph, own, (4, 1))
    outputs = []
    for one, weights in ((graph, own), (least, few)):
        network = Network(one, shape, weights, 1, 0, to_input=True)
        outputs.append(network.forward(volumes, 0)[0][network.output])
    np.testing.assert_allclose(outputs[1][..., list(places)], outputs[0][..., [4, 1]], rtol=1e-5, atol=1e-6)
    found, before = ({" ".join(node.layer.words()) for node in one.nodes} for one in (least, graph))
    assert (least is graph) == (fewer is None)
    assert fewer is None or any(text.startswith(fewer) for text in found - before)
