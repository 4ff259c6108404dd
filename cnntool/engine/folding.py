"""Operator fusion: centring, scaling, 1x1 convolution and convolution are all x W + b, and compose.

A convolution also absorbs a residual sum and a ReLU that follow it.

An affine step after a convolution can always be folded. One before it can, except for a shift before zero padding,
since the padding would have to be shifted too. Weights are composed in float64.
"""

from __future__ import annotations

import numpy as np

from cnntool.steps.step import Added, Affine, AnyStep, Convolution, Rectifier

LARGEST_OFFSET = 1000.0  # in deviations; subtracting a larger one after the products would lose digits of float32


def fold(first: AnyStep, second: AnyStep) -> AnyStep | None:
    """One step equivalent to the two in sequence, if that is exact and costs no more; else None."""
    if isinstance(first, Convolution) and isinstance(second, Rectifier):
        return None if first.rectified else with_epilogue(first, adds=first.adds, rectified=True)
    if isinstance(first, Convolution) and (first.rectified or first.adds):
        return None
    if isinstance(first, Convolution) and isinstance(second, Added):
        return with_epilogue(first, adds=True)
    if isinstance(first, Convolution) and isinstance(second, Affine):
        return scaled_outputs(first, second)
    if isinstance(first, Affine) and isinstance(second, Convolution):
        return scaled_inputs(first, second)
    if isinstance(first, Convolution) and isinstance(second, Convolution):
        return composed(first, second)
    return None


def with_epilogue(given: Convolution, *, adds: bool = False, rectified: bool = False) -> Convolution:
    """The same convolution with a residual or a ReLU fused."""
    return Convolution(
        given.input_shape, given.window, given.weight, given.bias, given.groups, adds=adds, rectified=rectified
    )


def scaled_outputs(convolution: Convolution, affine: Affine) -> Convolution:
    bias = np.zeros(len(affine.scale)) if convolution.bias is None else convolution.bias.astype(np.float64)
    weight = (convolution.weight * affine.scale).astype(np.float32)
    bias = ((bias - affine.mean) * affine.scale + affine.shift).astype(np.float32)
    return Convolution(convolution.input_shape, convolution.window, weight, bias, convolution.groups)


def scaled_inputs(affine: Affine, convolution: Convolution) -> Convolution | None:
    """The convolution with the affine step before it folded in; None if zero padding forbids the shift."""
    offset = affine.shift - affine.mean * affine.scale
    padded = any(convolution.window.padding)
    if (padded and offset.any()) or np.abs(offset).max() > LARGEST_OFFSET:
        return None
    groups, (_, _, per_group, out_channels) = convolution.groups, convolution.weight.shape
    # the input channels of each filter: (in // groups, out)
    channels = np.arange(groups * per_group).reshape(groups, per_group).T.repeat(out_channels // groups, axis=1)
    weight = convolution.weight.astype(np.float64)
    bias = np.zeros(out_channels) if convolution.bias is None else convolution.bias.astype(np.float64)
    bias = bias + np.einsum("yxio,io->o", weight, offset[channels])
    weight = weight * affine.scale[channels]
    return Convolution(
        convolution.input_shape, convolution.window, weight.astype(np.float32), bias.astype(np.float32), groups
    )


def composed(point: Convolution, convolution: Convolution) -> Convolution | None:
    """A 1x1 convolution composed with the next one, unless the volume between them is a bottleneck."""
    if not point.window.is_point or point.groups != 1 or convolution.groups != 1:
        return None
    if any(convolution.window.padding) and point.bias is not None and point.bias.any():
        return None
    kh, kw, _, out_channels = convolution.weight.shape
    both = point.weight.size + convolution.weight.size
    if kh * kw * point.weight.shape[2] * out_channels > both:
        return None
    first, second = point.weight[0, 0].astype(np.float64), convolution.weight.astype(np.float64)
    weight = np.einsum("ab,yxbo->yxao", first, second)
    bias = np.zeros(out_channels) if convolution.bias is None else convolution.bias.astype(np.float64)
    if point.bias is not None:
        bias = bias + np.einsum("b,yxbo->o", point.bias.astype(np.float64), second)
    return Convolution(point.input_shape, convolution.window, weight.astype(np.float32), bias.astype(np.float32))
