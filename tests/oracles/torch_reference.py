"""PyTorch behind the signatures of the naive twins: volumes H x W x C, float64.

Where a pool is padded or dilated by hand it does not round up: `registry.refusal` refuses the cases where that matters.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tests.oracles.registry import torch_pads_itself

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def batch(x: np.ndarray) -> torch.Tensor:
    """H x W x C -> 1 x C x H x W"""
    return torch.from_numpy(np.array(x, dtype=np.float64)).permute(2, 0, 1)[None]


def volume(tensor: torch.Tensor) -> np.ndarray:
    """1 x C x H x W -> H x W x C"""
    return tensor[0].permute(1, 2, 0).numpy()


def vector(array: np.ndarray | float) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64).reshape(-1))


def padded(x: torch.Tensor, padding: Sides, value: float) -> torch.Tensor:
    top, left, bottom, right = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def conv(x, weight, bias=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    weight = torch.from_numpy(np.array(weight, dtype=np.float64)).permute(3, 2, 0, 1)
    bias = None if bias is None else vector(bias)
    return volume(F.conv2d(padded(batch(x), padding, 0.0), weight, bias, stride, 0, dilation, groups))


def maxpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    x, stride = batch(x), stride or kernel_size
    if torch_pads_itself(kernel_size, padding):
        return volume(F.max_pool2d(x, kernel_size, stride, padding[:2], dilation, ceil_mode=ceil))
    return volume(F.max_pool2d(padded(x, padding, -np.inf), kernel_size, stride, 0, dilation))


def avgpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False, count_padding=False):
    x, stride = batch(x), stride or kernel_size
    if torch_pads_itself(kernel_size, padding) and dilation == (1, 1):
        return volume(F.avg_pool2d(x, kernel_size, stride, padding[:2], ceil, count_include_pad=count_padding))
    mean = patches(padded(x, padding, 0.0), kernel_size, stride, dilation).mean(dim=2)
    counted = patches(padded(torch.ones_like(x), padding, float(count_padding)), kernel_size, stride, dilation)
    return volume(mean / counted.mean(dim=2))


def l2pool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    x, stride = padded(batch(x), padding, 0.0), stride or kernel_size
    if dilation == (1, 1):
        return volume(F.lp_pool2d(x, 2.0, kernel_size, stride))
    return volume(torch.linalg.vector_norm(patches(x, kernel_size, stride, dilation), dim=2))


def patches(x: torch.Tensor, kernel_size: Pair, stride: Pair, dilation: Pair) -> torch.Tensor:
    """1 x C x H x W -> 1 x C x taps x OH x OW"""
    height, width = (
        (x.shape[2 + axis] - dilation[axis] * (kernel_size[axis] - 1) - 1) // stride[axis] + 1 for axis in (0, 1)
    )
    columns = F.unfold(x, kernel_size, dilation, 0, stride)
    return columns.reshape(1, x.shape[1], kernel_size[0] * kernel_size[1], height, width)


def globalpool(x, how):
    pools = {
        "max": lambda t: F.adaptive_max_pool2d(t, 1),
        "avg": lambda t: F.adaptive_avg_pool2d(t, 1),
        "l2": lambda t: torch.linalg.vector_norm(t, dim=(2, 3), keepdim=True),
    }
    return volume(pools[how](batch(x)))


def relu(x):
    return volume(F.relu(batch(x)))


def leaky_relu(x, slope=0.01):
    return volume(F.leaky_relu(batch(x), slope))


def prelu(x, alpha=0.25):
    return volume(F.prelu(batch(x), vector(alpha)))


def sigmoid(x):
    return volume(torch.sigmoid(batch(x)))


def tanh(x):
    return volume(torch.tanh(batch(x)))


def elu(x, alpha=1.0):
    return volume(F.elu(batch(x), alpha))


def gelu(x):
    return volume(F.gelu(batch(x)))


def silu(x):
    return volume(F.silu(batch(x)))


def softplus(x):
    return volume(F.softplus(batch(x), threshold=40.0))


def hard_sigmoid(x):
    return volume(F.hardsigmoid(batch(x)))


def hard_swish(x):
    return volume(F.hardswish(batch(x)))


def abs(x):
    return volume(torch.abs(batch(x)))


def batchnorm(x, gamma=1.0, beta=0.0, mean=None, var=None, eps=1e-5):
    x = batch(x)
    gamma, beta = (vector(np.broadcast_to(array, x.shape[1])) for array in (gamma, beta))
    if mean is None or var is None:
        return volume(F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps))
    return volume(F.batch_norm(x, vector(mean), vector(var), gamma, beta, eps=eps))


def lrn(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    return volume(F.local_response_norm(batch(x), size, alpha, beta, k))


def fc(x, weight, bias=None):
    weight = torch.from_numpy(np.array(weight, dtype=np.float64))
    flat = batch(x).permute(0, 2, 3, 1).flatten(1)
    return F.linear(flat, weight.T, None if bias is None else vector(bias)).numpy()[None]


def softmax(x):
    return volume(F.softmax(batch(x), dim=1))
