"""The distance of a patch to a centroid, as `bank kmeans` gives it."""

from __future__ import annotations

import numpy as np

from cnntool.explaining.data import Account, Equation, Grid, Step, Unit, largest
from cnntool.explaining.view import View


def kmeans(unit: Unit, seen: View) -> Account:
    """The patch normalised by its own contrast, whitened, and its distance from the centroid."""
    bank, c = unit.layer.bank, unit.at[2]  # type: ignore[attr-defined]
    patch = np.stack([seen.of(unit.inputs[0][:, :, k]) for k in range(unit.shape[2])], axis=2)
    flat = patch.ravel()
    mean, variance = float(flat.mean()), float(flat.var())
    spread = variance + bank.eps_contrast
    scale = 0.0 if spread <= 1e-13 * mean * mean else 1 / np.sqrt(spread)
    normalised = (flat - mean) * scale
    whitened = (normalised - unit.arrays["mean"]) @ np.asarray(unit.arrays["whitening"], np.float64)
    centroid = np.asarray(unit.arrays["weight"], np.float64)[..., c].ravel()
    value = float(np.sqrt(np.square(whitened - centroid).sum()))
    planes = patch.shape[:2], patch.shape[2]

    def first(numbers: np.ndarray) -> np.ndarray:
        return numbers.reshape(*planes[0], planes[1])[:, :, 0]

    steps = [
        Step("kmeans.patch", {"kh": patch.shape[0], "kw": patch.shape[1], "channels": planes[1], "count": flat.size},
             (seen.grid("kmeans.patch_grid", first(flat)),)),
        Step("kmeans.normalise", {"mean": mean, "variance": variance, "eps": bank.eps_contrast},
             (Grid("kmeans.normalised_grid", first(normalised)),)),
        Step("kmeans.whiten", {"count": flat.size}, (Grid("kmeans.whitened_grid", first(whitened)),
                                                     Grid("kmeans.centroid_grid", first(centroid)))),
        Step("kmeans.distance", {"c": c}, (), Equation(
            "sqrt(sum)", {"sum": float(np.square(whitened - centroid).sum())}, value)),
    ]  # fmt: skip
    ky, kx, channel = largest(np.where(seen.inside[:, :, None], patch - mean, np.nan))
    size = float(np.sqrt(np.square(whitened).sum()) + np.sqrt(np.square(centroid).sum()))
    return Account(value, 50 * size, [seen.place((ky, kx), channel)], steps)
