"""Of networks over images of many sizes, memory holds a few plans."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.engine import plans
from cnntool.engine.plan import Plan
from cnntool.learning.fit import Prefix

SIZES = 5 * plans.KEPT


@pytest.fixture
def living(monkeypatch):
    """The plans that somebody holds."""
    made: weakref.WeakSet[Plan] = weakref.WeakSet()

    def plan(*arguments):
        made.add(found := Plan(*arguments))
        return found

    monkeypatch.setattr(plans, "Plan", plan)
    return made


@pytest.mark.parametrize("learning", [False, True])
def test_few_plans_are_kept_over_many_sizes(living, learning):
    pipeline = Pipeline.parse("conv 4 3 relu conv 4 3")
    run = Prefix(pipeline.graph, pipeline.weights((9, 9, 3))).run if learning else pipeline.run
    for number in range(SIZES):
        run(np.zeros((9 + number, 9, 3), np.float32))
    gc.collect()
    assert 0 < len(living) <= plans.KEPT


def test_a_size_that_comes_again_and_again_keeps_its_plan(living):
    pipeline = Pipeline.parse("conv 4 3 relu")
    first = pipeline.plan((9, 9, 3))
    for number in range(SIZES):
        pipeline.run(np.zeros((10 + number, 9, 3), np.float32))
        assert pipeline.plan((9, 9, 3)) is first
