"""A sample of the random cases of `solving`; the module itself runs as many as are asked for."""

from __future__ import annotations

import pytest

from cnntool.network.solving import Solver
from tests.fuzz.solving import Wrong, check, check_many


def test_solutions_are_those_of_trying_everything() -> None:
    number, wrong = check_many((0, 400))
    assert (number, wrong) == (400, [])


def test_a_missing_solution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    every = Solver.solutions
    monkeypatch.setattr(Solver, "solutions", lambda solver: iter(list(every(solver))[:-1]))
    found = 0
    for seed in range(20):
        try:
            check(seed)
        except Wrong:
            found += 1
    assert found > 5
