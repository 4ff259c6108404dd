"""Convolution with one filter a channel, vectorised over channels."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.algorithms import Algorithm
from cnntool.algorithms.direct import epilogue, float_bias, lower_bound, macs
from cnntool.kernels.arguments import Corner, Size
from cnntool.steps.step import Band, Call, Convolution, Windowed


def is_depthwise(convolution: Convolution) -> bool:
    return convolution.groups == convolution.input_shape[2] == convolution.output_shape[2] and convolution.groups > 1


def depthwise_cost(convolution: Convolution) -> float:
    """Bound by L1 reads of the input, two for each multiply-add."""
    channels, lanes = convolution.output_shape[2], kernels.vectors.LANES
    return macs(convolution) * -(-channels // lanes) * lanes / channels / 0.4


def depthwise_step(convolution: Convolution) -> Windowed:
    """Direct; 3x3 filters have a special kernel that needs no padded copy."""
    (kh, kw), (sy, sx), dilation, _ = convolution.window
    _, columns, channels = convolution.output_shape
    packed = np.ascontiguousarray(convolution.weight.reshape(kh, kw, channels), np.float32)
    offset = float_bias(convolution)
    low = lower_bound(convolution)
    of_3x3 = (kh, kw) == (3, 3) and dilation == (1, 1) and (sy, sx) in ((1, 1), (2, 2))

    def calls_3x3(source: Corner, target: Corner, band: Band) -> list[Call]:
        forward = kernels.convolution.conv_depthwise_3x3_forward
        call = forward, (source, packed, offset, target, Size(band.rows, columns), sy, low)
        return [call, *epilogue(convolution, target, band, clamps=True)]

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        forward = kernels.convolution.conv_depthwise_forward
        call = forward, (source, packed, offset, target, Size(band.rows, columns), convolution.window)
        return [call, *epilogue(convolution, target, band)]

    shapes = convolution.input_shape, convolution.output_shape, convolution.window
    if of_3x3:
        return Windowed(*shapes, calls_3x3, crosses_border=True)
    return Windowed(*shapes, calls, overread=max(0, kernels.convolution.CHANNEL_PIXELS - columns) * sx * channels)


ALGORITHM = Algorithm(is_depthwise, depthwise_cost, depthwise_step)
