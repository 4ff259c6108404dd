"""L-BFGS: minimising a smooth function of many numbers by its gradient (J. Nocedal and S. Wright, algorithm 7.5)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Map = Callable[[np.ndarray], np.ndarray]
Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""The value and the gradient at a point."""

ENOUGH = 1e-4  # share of the decrease predicted by the slope: Armijo's rule
SHORTEST = 1e-10  # step; below it rounding hides any decrease


def minimise(
    function: Function, start: np.ndarray, iterations: int = 400, tolerance: float = 1e-3, memory: int = 20,
    precondition: Map = lambda gradient: gradient,
) -> np.ndarray:  # fmt: skip
    """Iterates until the gradient is `tolerance` times its norm at `start`, or for `iterations`.

    `precondition` multiplies by an approximate inverse Hessian, symmetric and positive; it saves iterations.
    """
    point = start.astype(np.float64)
    value, gradient = function(point)
    enough = tolerance * float(np.linalg.norm(gradient))
    steps: list[tuple[np.ndarray, np.ndarray]] = []  # of points and of gradients
    for _ in range(iterations):
        if not float(np.linalg.norm(gradient)) > enough:
            break
        direction = -inverse_hessian_times(gradient, steps, precondition)
        slope = gradient @ direction
        if not slope < 0:  # rounding errors in the remembered steps
            steps.clear()
            direction = -precondition(gradient)
            slope = gradient @ direction
        length = 1.0
        while True:
            new_value, new_gradient = function(point + length * direction)
            if new_value <= value + ENOUGH * length * slope or length < SHORTEST:
                break
            # the minimum of the interpolating parabola, within limits
            length *= float(np.clip(-slope * length / (2 * (new_value - value - slope * length)), 0.1, 0.5))
        if length < SHORTEST:
            break
        moved, changed = length * direction, new_gradient - gradient
        point, value, gradient = point + moved, new_value, new_gradient
        if moved @ changed > 1e-10 * (changed @ changed):
            steps = [*steps[1 - memory :], (moved, changed)]
    return point


def inverse_hessian_times(
    gradient: np.ndarray, steps: list[tuple[np.ndarray, np.ndarray]], precondition: Map
) -> np.ndarray:
    """The two loops over the remembered steps (algorithm 7.4)."""
    q, factors = gradient.copy(), []
    for moved, changed in reversed(steps):
        factor = (moved @ q) / (moved @ changed)
        factors.append(factor)
        q -= factor * changed
    q = precondition(q)
    if steps:
        moved, changed = steps[-1]
        q = q * ((moved @ changed) / (changed @ precondition(changed)))
    for (moved, changed), factor in zip(steps, reversed(factors), strict=True):
        q += (factor - (changed @ q) / (moved @ changed)) * moved
    return q
