"""The naive gradients against central differences of the naive twins, along random directions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases.gradients import LAYERS, arrays_of, backward, batch_of, configurations, forward

STEP = 1e-6
TOLERANCE = 1e-6


@pytest.mark.parametrize("layer", LAYERS)
def test_gradient_equals_central_differences(layer):
    for row, rng in configurations(layer, 7):
        arrays, x = arrays_of(row, rng), batch_of(row, rng, 2)
        d_y = rng.standard_normal((2, *row.output_shape))
        d_x, d_arrays = backward(row, d_y, x, arrays)
        for name, gradient in {"x": d_x, **d_arrays}.items():
            direction = rng.standard_normal(gradient.shape)
            sides = []
            for step in (STEP, -STEP):
                values = {"x": x, **arrays}
                values[name] = values[name] + step * direction
                moved = values.pop("x")
                sides.append((d_y * forward(row, moved, values)).sum())
            slope = (sides[0] - sides[1]) / (2 * STEP)
            size = np.abs(gradient * direction).sum()
            assert abs(slope - (gradient * direction).sum()) <= TOLERANCE * max(1.0, size), (row.layer, name)
