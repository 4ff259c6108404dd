"""All naive twins in one namespace: what the oracles of `tests/oracles` have as well, by the same names."""

from tests.naive.activations import (
    abs,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    prelu,
    relu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from tests.naive.convolution import conv
from tests.naive.dense import fc, flatten, softmax
from tests.naive.normalisation import batchnorm, lrn
from tests.naive.pooling import avgpool, globalpool, l2pool, maxpool
from tests.naive.statistics import center, decorrelate, standardize, whiten

__all__ = [
    "abs",
    "avgpool",
    "batchnorm",
    "center",
    "conv",
    "decorrelate",
    "elu",
    "fc",
    "flatten",
    "gelu",
    "globalpool",
    "hard_sigmoid",
    "hard_swish",
    "l2pool",
    "leaky_relu",
    "lrn",
    "maxpool",
    "prelu",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "standardize",
    "tanh",
    "whiten",
]
