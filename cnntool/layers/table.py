"""The words that name a layer, and the module and class of each. Only layers in use are imported."""

from __future__ import annotations

import importlib

from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer

_HOMES = {
    "convolution": {"conv": "Conv"},
    "bank": {"bank": "Bank"},
    "affine": {"center": "Center", "standardize": "Standardize", "whiten": "Whiten", "decorrelate": "Decorrelate"},
    "activations": {
        "relu": "Relu", "leaky-relu": "LeakyRelu", "prelu": "PRelu", "sigmoid": "Sigmoid", "tanh": "Tanh",
        "elu": "Elu", "gelu": "Gelu", "silu": "Silu", "softplus": "Softplus", "hard-sigmoid": "HardSigmoid",
        "hard-swish": "HardSwish", "abs": "Abs",
    },
    "pooling": {"maxpool": "MaxPool", "avgpool": "AvgPool", "l2pool": "L2Pool", "globalpool": "GlobalPool"},
    "descriptors": {"triangle": "Triangle", "gridpool": "GridPool", "gram": "Gram"},
    "normalisation": {"batchnorm": "BatchNorm", "lrn": "LocalResponseNorm", "dropout": "Dropout"},
    "dense": {"flatten": "Flatten", "fc": "FullyConnected", "softmax": "Softmax"},
    "branches": {"mark": "Mark", "from": "From", "add": "Add", "concat": "Concat"},
}  # fmt: skip

LAYERS = {word: (f"cnntool.layers.{module}", name) for module, words in _HOMES.items() for word, name in words.items()}


def load(word: str) -> type[Layer]:
    """The class of the layer called `word`."""
    if word not in LAYERS:
        from cnntool.layers.elsewhere import meant

        near = meant(word, list(LAYERS)) or "; `cnntool layers` lists them all"
        raise CnntoolError(f"no layer is called {word!r}{near}")
    module, name = LAYERS[word]
    return getattr(importlib.import_module(module), name)
