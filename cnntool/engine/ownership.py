"""Who owns the memory that a value of a plan lies in, and which run reads it last."""

from __future__ import annotations

from collections.abc import Sequence

from cnntool.network.graph import INPUT
from cnntool.steps.runs import Run


class Ownership:
    """Each value lies in memory of its own, but for views, which lie in that of another value: its owner."""

    def __init__(self, runs: Sequence[Run], output: int) -> None:
        self.owner = {INPUT: INPUT}
        for run in runs:
            self.owner[run.result] = self.owner[run.source] if run.is_view else run.result
        last_read = {self.owner[value]: place for place, run in enumerate(runs) for value in run.uses()}
        last_read.pop(self.owner[output], None)  # the caller reads it
        self._ends: list[list[int]] = [[] for _ in runs]
        for value, place in last_read.items():
            self._ends[place].append(value)

    def ends_after(self, place: int) -> list[int]:
        """The owners of memory that nobody reads after the run at this place of the list."""
        return self._ends[place]
