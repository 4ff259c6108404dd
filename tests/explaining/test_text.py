"""Explanations as text: in 80 columns whatever the layer, and right where they are shortened."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.explaining.data import Equation, Grid, Sum
from cnntool.explaining.language import LANGUAGES, Language
from cnntool.explaining.text import equation_lines, explanation_lines, filled, grid_lines, sum_text
from cnntool.explaining.units import compute, explain
from tests.layers.cases import CASES, Case

CHAIN = (
    "conv 70 11 --stride 4 --padding 2 relu maxpool 3 --stride 2 lrn conv 20 5 --groups 10 batchnorm fc 1000 softmax"
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_fits_in_80_columns(case: Case, language: str) -> None:
    volume = np.random.default_rng(0).standard_normal(case.shape).astype(np.float32) * 1000
    for one in explain(compute(case.pipeline(), volume)):
        for line in explanation_lines(one, Language(language)):
            assert len(line) < 80, line


@pytest.mark.parametrize("language", LANGUAGES)
def test_large_windows_are_shortened(language: str) -> None:
    volume = np.random.default_rng(0).standard_normal((90, 95, 3)).astype(np.float32)
    for one in explain(compute(Pipeline.parse(CHAIN), volume)):
        lines = explanation_lines(one, Language(language))
        assert max(map(len, lines)) < 80
        assert len(lines) < 120


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (Sum([1, -2, 3.5], 2.5), "1 - 2 + 3.5 = 2.5"),
        (Sum([-1], -1), "-1 = -1"),
        (Sum([], 0), "0 = 0"),
        (Sum([1.0] * 12, 12), "1 + 1 + 1 + 1 + 1 + 1 + 1 + ... + 1 + 1 = 12"),
    ],
)
def test_sums(work: Sum, text: str) -> None:
    assert sum_text(work) == text


@pytest.mark.parametrize(
    ("formula", "numbers", "text"),
    [
        ("max(0, x)", {"x": -2.0}, "max(0, -2)"),
        ("max(slope x, x)", {"x": -2.0, "slope": 0.01}, "max(0.01 * (-2), -2)"),
        ("1 / (1 + exp(-x))", {"x": -2.0}, "1 / (1 + exp(-(-2)))"),
        ("(x - mean) / sqrt(var + eps)", {"x": 1.0, "mean": -1.0, "var": 4.0, "eps": 0.0}, "(1 - (-1)) / sqrt(4 + 0)"),
        ("x w", {"x": 3.0, "w": -1.0}, "3 * (-1)"),
        ("|x|", {"x": -3.0}, "|-3|"),
    ],
)
def test_formulas_with_their_numbers(formula: str, numbers: dict[str, float], text: str) -> None:
    assert filled(Equation(formula, numbers, 0)) == text


def test_long_equations_take_two_lines() -> None:
    numbers = {f"n{i}": 0.123456 for i in range(6)}
    lines = equation_lines(Equation(" + ".join(numbers), numbers, 0.74))
    assert len(lines) == 2
    assert lines[1].strip().startswith("= 0.1235 + 0.1235")


def test_a_grid_marks_padding_and_the_number_that_counts() -> None:
    outside = np.array([[True, False], [True, False]])
    grid = Grid("window.grid", np.array([[0, 5], [0, 2.25]]), outside=outside, marked=(0, 1))
    assert grid_lines(grid, Language("en")) == ["window", ".  [5]", ". 2.25"]


def test_a_large_grid_keeps_its_ends() -> None:
    lines = grid_lines(Grid("window.grid", np.arange(121).reshape(11, 11)), Language("en"))
    assert len(lines) == 1 + 4 + 1 + 2
    assert lines[1].split() == ["0", "1", "2", "3", "...", "9", "10"]
    assert set("".join(lines[5].split())) == {":"}
    assert lines[7].split()[-1] == "120"
