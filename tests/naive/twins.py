"""All naive twins in one namespace: what the oracles of `tests/oracles` have as well, by the same names."""

from __future__ import annotations

from typing import Any

from tests.naive import activations, convolution, dense, descriptors, normalisation, pooling, statistics

MODULES = activations, convolution, dense, descriptors, normalisation, pooling, statistics


def __getattr__(name: str) -> Any:
    for module in MODULES:
        if name in vars(module):
            return vars(module)[name]
    raise AttributeError(f"no twin is called {name}: expected a function in {', '.join(m.__name__ for m in MODULES)}")
