"""Streaming of volumes larger than memory: a plan with one run reads rows and writes rows, band by band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnntool.engine.plan import Plan
from cnntool.engine.threads import prefetch
from cnntool.kernels.arguments import Corner
from cnntool.steps.bands import RowSource, band_calls, band_rows
from cnntool.steps.memory import Scratch, taken
from cnntool.steps.step import Step, run_calls


def can_stream(plan: Plan) -> bool:
    """Whether the plan is one run of row steps; statistics of the image and branches need the whole volume."""
    if len(plan.runs) != 1 or any(second is not None for second in plan.runs[0].seconds):
        return False
    return all(isinstance(step, Step) and not step.alone for step in plan.runs[0].steps)


def stream(plan: Plan, source: RowSource, append: Callable[[np.ndarray], None], threads: int) -> None:
    """Computes all rows and passes them to `append` in order. At most `threads` + 1 bands are in memory.

    The values equal those of `Plan.run`.
    """
    steps = [step for step in plan.runs[0].steps if isinstance(step, Step)]
    height = plan.output_shape[0]
    rows = band_rows(steps)
    free: list[Scratch] = []

    def band(first: int) -> np.ndarray:
        scratch = taken(free) or Scratch()
        last = min(first + rows, height)
        out = np.empty((last - first, *plan.output_shape[1:]), np.float32)
        run_calls(band_calls(steps, source, [None] * len(steps), Corner(out, 0, 0), first, last, scratch))
        free.append(scratch)
        return out

    for _, call in prefetch(band, range(0, height, rows), threads, threads + 1):
        append(call.result())
