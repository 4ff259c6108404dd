"""Runs a layer's steps over whole images, in training."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnntool.algorithms import choose
from cnntool.algorithms.batches import convolved
from cnntool.steps.runs import Run
from cnntool.steps.step import AnyStep, Convolution, Joined
from cnntool.steps.training import Training

if TYPE_CHECKING:
    import numpy as np

FIRST, SECOND, RESULT = 0, 1, 2


def run_steps(steps: Sequence[AnyStep], inputs: list[np.ndarray], training: Training) -> np.ndarray:
    """Runs a layer's steps over a batch, each over whole images."""
    batch = inputs[0]
    for number, step in enumerate(steps):
        name = f"step {number}"
        if isinstance(step, Convolution):
            batch = convolved(batch, step, training, name)
            continue
        run = Run(FIRST, choose)
        run.append(step, SECOND if isinstance(step, Joined) else None, RESULT, "")
        take = functools.partial(training.array, name)
        batch = run.compute({FIRST: batch, SECOND: inputs[-1]}, training.parallel, 1, take, training.scratches)
    return batch
