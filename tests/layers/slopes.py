"""Gradients of a case's layers against central differences of its twin."""

from __future__ import annotations

import functools

import numpy as np

from cnntool import Pipeline
from cnntool.engine.threads import parallel
from cnntool.layers.base import Arrays
from cnntool.network.graph import INPUT
from cnntool.steps.training import Training
from tests.layers.cases import Case

STEP = 1e-6
TOLERANCE = 1e-4  # of the sum of the sizes: one wrong number among thousands is seen


def trained(case: Case, batch: np.ndarray, arrays: list[Arrays], threads: int = 1) -> tuple[np.ndarray, list, list]:
    """The output of a pass in training, and what each node keeps of it: its share of the step, and what it saved."""
    graph = Pipeline.parse(case.words).graph
    values, passes, saved = {INPUT: batch}, [], []
    for number, (layer, inputs) in enumerate(graph.nodes):
        passes.append(Training(functools.partial(parallel, threads)))
        values[number], kept = layer.train([values[i] for i in inputs], arrays[number], passes[-1])
        saved.append(kept)
    return values[graph.output], passes, saved


def gradients(case: Case, d_output: np.ndarray, arrays: list[Arrays], passes: list, saved: list) -> list[Arrays]:
    """By the arrays of each node, and in the end by the input, as `x`."""
    graph = Pipeline.parse(case.words).graph
    d_values, found = {graph.output: d_output}, []
    for number, (layer, inputs) in reversed(list(enumerate(graph.nodes))):
        d_inputs, d_arrays = layer.gradient(d_values[number], saved[number], arrays[number], passes[number])
        found.append(d_arrays)
        for source, d_input in zip(inputs, d_inputs, strict=True):
            d_values[source] = d_values[source] + d_input if source in d_values else d_input
    return [*reversed(found), {"x": d_values[INPUT]}]


def check_gradients(case: Case, directions: int = 3) -> None:
    """By the input and by each trainable array; nothing that was given is changed but buffers that follow the data."""
    arrays, batch = case.trained_arrays(), np.stack([case.volume(), case.volume(1)])
    output, passes, saved = trained(case, batch, arrays)
    dice = np.random.default_rng(0)
    d_output = dice.standard_normal(output.shape).astype(np.float32)
    kept = d_output.copy()
    found = gradients(case, d_output, arrays, passes, saved)
    for (layer, shapes), d_arrays in zip(case.layers, found, strict=False):
        assert set(d_arrays) == set(layer.parameter_shapes(*shapes[:1])), f"{layer.word}: gradients of its arrays"
    np.testing.assert_array_equal(d_output, kept)
    given = [*case.trained_arrays(), {"x": batch}]
    np.testing.assert_allclose(output, expected(case, given), rtol=1e-5, atol=1e-5)
    for number, d_arrays in enumerate(found):
        for name, gradient in d_arrays.items():
            assert gradient.dtype == np.float32
            assert gradient.shape == given[number][name].shape
            if number < len(arrays):
                np.testing.assert_array_equal(arrays[number][name], given[number][name])
            for _ in range(directions):
                direction = dice.standard_normal(gradient.shape)
                above, below = (
                    (d_output * expected(case, moved(given, number, name, step * direction))).sum()
                    for step in (STEP, -STEP)
                )
                products = gradient * direction
                error = abs((above - below) / (2 * STEP) - products.sum())
                assert error <= TOLERANCE * np.abs(products).sum() + 1e-8, f"{case}: the gradient by {name}"
    np.testing.assert_array_equal(batch, np.stack([case.volume(), case.volume(1)]))


def expected(case: Case, given: list[Arrays]) -> np.ndarray:
    *arrays, last = given
    with np.errstate(invalid="ignore", over="ignore"):
        return case.training_twin(np.asarray(last["x"], np.float64), *arrays)


def moved(given: list[Arrays], number: int, name: str, step: np.ndarray) -> list[Arrays]:
    changed = [dict(arrays) for arrays in given]
    changed[number][name] = np.asarray(given[number][name], np.float64) + step
    return changed
