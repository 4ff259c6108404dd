"""Owners of the memory of a plan's values, and the last run that reads each."""

from __future__ import annotations

from collections.abc import Sequence

from cnntool.network.graph import INPUT
from cnntool.steps.runs import Run


class Ownership:
    """Every value has memory of its own, except views, which share that of another value: their owner."""

    def __init__(self, runs: Sequence[Run], output: int) -> None:
        self.owner = {INPUT: INPUT}
        for run in runs:
            self.owner[run.result] = self.owner[run.source] if run.is_view else run.result
        last_read = {self.owner[value]: index for index, run in enumerate(runs) for value in run.uses()}
        last_read.pop(self.owner[output], None)  # the caller reads it
        self._ends: list[list[int]] = [[] for _ in runs]
        for value, index in last_read.items():
            self._ends[index].append(value)

    def ends_after(self, index: int) -> list[int]:
        """The owners of memory that is not read after the run with this index."""
        return self._ends[index]
