"""A cache of a network's plans for the most recently used image sizes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

import cnntool.kernels.code  # noqa: F401  # its lock is nested in ours, so fork handlers must take ours first
from cnntool.engine.plan import Plan
from cnntool.network.graph import Graph
from cnntool.network.parameters import Parameters
from cnntool.steps.geometry import Shape

KEPT = 8  # plans; a folder of photographs rarely has more sizes
_planning = threading.RLock()  # threads with images of the same size share one plan

if hasattr(os, "register_at_fork"):
    # A fork waits until no thread is planning, so that the child finds the lock free and the plans consistent.
    os.register_at_fork(
        before=_planning.acquire, after_in_parent=_planning.release, after_in_child=_planning.release
    )  # fmt: skip


class PlanCache:
    """Makes the plan for each input shape once and keeps the most recent ones. Thread-safe."""

    def __init__(self, graph: Graph, parameters: Parameters, algorithm: str = "auto") -> None:
        self._graph, self._parameters, self._algorithm = graph, parameters, algorithm
        self._plans: dict[Shape, Plan] = {}
        self._newest: tuple[Shape, Plan] | None = None  # a fast path without the lock

    def plan(self, shape: Shape) -> Plan:
        """How an input of (height, width, channels) is computed."""
        newest = self._newest
        if newest is not None and newest[0] == shape:
            return newest[1]
        with _planning:
            plan = self._plans.pop(shape, None) or Plan(self._graph, self._parameters, shape, self._algorithm)
            self._plans[shape] = plan  # as the most recent one
            for old in list(self._plans)[:-KEPT]:
                del self._plans[old]
            self._newest = shape, plan
            return plan

    def values(self) -> Iterable[Plan]:
        return self._plans.values()
