"""Batch normalisation in training, with an optional fused (leaky) ReLU.

    z = scale (x - mean) + beta, scale = gamma / sqrt(var + eps);  y = z for z > 0, slope z below
    g = d_y (1 for z > 0, slope below);  d_x = scale g - d_mean - (x - mean) d_var
    d_mean = scale mean(g), d_var = scale mean(g (x - mean)) / (var + eps), the means over the whole batch

A slope of 1 means no ReLU. Fusing 2x2 max pooling as well cost as much as it saved: on 128 x 28 x 28 x 32 forward 1.7
ms instead of 0.6 + 1.4, backward 1.2 + 2.0 instead of 0.8 + 1.0 + 1.1.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import kernel

F = np.float32
RUN = 32  # pixels summed in float32 before they are added to the float64 sums


@kernel
def batch_moments_forward(x, first, last, mean, squares):
    """x: N, P, C; for each image: mean[n, c] and squares[n, c] = sum over p of (x - mean[n])^2"""
    _, pixels, channels = x.shape
    line = np.empty(channels, np.float32)
    center = np.empty(channels, np.float32)
    for n in range(first, last):
        center[:] = F(0)
        for square in range(2):
            total = squares[n] if square else mean[n]
            total[:] = 0.0
            for start in range(0, pixels, RUN):
                line[:] = F(0)
                for p in range(start, min(start + RUN, pixels)):
                    pixel = x[n, p]
                    if square:
                        for c in range(channels):
                            line[c] += (pixel[c] - center[c]) * (pixel[c] - center[c])
                    else:
                        for c in range(channels):
                            line[c] += pixel[c]
                for c in range(channels):
                    total[c] += line[c]
            if not square:
                for c in range(channels):
                    mean[n, c] /= pixels
                    center[c] = F(mean[n, c])


@kernel
def batchnorm_forward(x, first, last, mean, scale, beta, slope, out):
    """x, out: N, P, C; out = y"""
    _, pixels, channels = x.shape
    for n in range(first, last):
        for p in range(pixels):
            pixel, y = x[n, p], out[n, p]
            for c in range(channels):
                z = (pixel[c] - mean[c]) * scale[c] + beta[c]
                y[c] = z if z > F(0) else slope * z


@kernel
def batchnorm_sums_backward(x, d_output, first, last, mean, scale, beta, slope, d_sum, d_product):
    """For each image: d_sum[n, c] = sum of g, d_product[n, c] = sum of g (x - mean[c])"""
    _, pixels, channels = x.shape
    line = np.empty(channels, np.float32)
    products = np.empty(channels, np.float32)
    for n in range(first, last):
        d_sum[n] = 0.0
        d_product[n] = 0.0
        for start in range(0, pixels, RUN):
            line[:] = F(0)
            products[:] = F(0)
            for p in range(start, min(start + RUN, pixels)):
                pixel, d = x[n, p], d_output[n, p]
                for c in range(channels):
                    centred = pixel[c] - mean[c]
                    g = d[c] * (F(1) if centred * scale[c] + beta[c] > F(0) else slope)
                    line[c] += g
                    products[c] += g * centred
            for c in range(channels):
                d_sum[n, c] += line[c]
                d_product[n, c] += products[c]


@kernel
def batchnorm_backward(x, d_output, first, last, mean, scale, beta, slope, d_mean, d_var, d_input):
    """d_input = d_x"""
    _, pixels, channels = x.shape
    for n in range(first, last):
        for p in range(pixels):
            pixel, d, out = x[n, p], d_output[n, p], d_input[n, p]
            for c in range(channels):
                centred = pixel[c] - mean[c]
                g = d[c] * (F(1) if centred * scale[c] + beta[c] > F(0) else slope)
                out[c] = scale[c] * g - d_mean[c] - centred * d_var[c]
