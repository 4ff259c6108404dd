"""The slow, obvious convolution (cross-correlation, as in every deep-learning library)."""

from __future__ import annotations

import numpy as np

from tests.naive.geometry import Pair, Sides, covered, on_canvas, output_sizes, taps


def conv(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Sides = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """x[H, W, IC], weight[kh, kw, IC / groups, OC], bias[OC] -> y[OH, OW, OC]; zeros around x.

    y[oy, ox, oc] = bias[oc] + sum of x[oy * stride + ky * dilation - top, (ox likewise), ic] * weight[ky, kx, ic, oc]
    over ky, kx, and the input channels ic of oc's group.
    """
    in_channels, out_channels = x.shape[2], weight.shape[3]
    if in_channels % groups or out_channels % groups or weight.shape[2] != in_channels // groups:
        raise ValueError(f"weight {weight.shape} does not fit {in_channels} channels in {groups} groups")
    kernel_size = weight.shape[:2]
    outputs = output_sizes(x.shape[:2], kernel_size, stride, padding, dilation)
    canvas = on_canvas(x, padding, covered(outputs, kernel_size, stride, dilation), fill=0.0)
    weight = np.asarray(weight, dtype=np.float64)

    y = np.zeros((*outputs, out_channels))
    for group in range(groups):
        ic = slice(group * in_channels // groups, (group + 1) * in_channels // groups)
        oc = slice(group * out_channels // groups, (group + 1) * out_channels // groups)
        for ky, kx, samples in taps(canvas[:, :, ic], outputs, kernel_size, stride, dilation):
            y[:, :, oc] += samples @ weight[ky, kx, :, oc]
    return y if bias is None else y + np.asarray(bias, dtype=np.float64)
