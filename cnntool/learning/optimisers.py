"""Optimisers, and schedules of the learning rate.

The command line takes its choices from the two tables here: importing them needs no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from cnntool.late import np
from cnntool.layers.base import Arrays

DECAYED = "weight"  # the arrays that are regularised: no biases, slopes, scales or shifts
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "step": lambda progress: 0.1 ** ((progress >= 0.5) + (progress >= 0.75)),
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
}
"""From progress, 0 to 1, to the share of the learning rate; `step` divides by 10 at a half and at three quarters."""


class Optimiser:
    """Base of the optimisers. `state` is all that it remembers, for checkpoints.

    `default_rate` and `default_decay` are the learning rate and the weight decay where none is given. The first line of
    an optimiser's docstring is its help. `arrays` counts, for PyTorch's optimiser of that name, the arrays like the
    parameters that it remembers, and those like the largest that its step takes besides.
    """

    default_rate: ClassVar[float]
    default_decay: ClassVar[float] = 0.0
    arrays: ClassVar[tuple[int, int]]

    def __init__(self, *, momentum: float = 0.9, weight_decay: float = 0.0, l1: float = 0.0) -> None:
        self.momentum, self.weight_decay, self.l1 = momentum, weight_decay, l1
        self.state: Arrays = {}
        self.steps = 0

    def step(self, parameters: Arrays, gradients: Arrays, rate: float) -> None:
        """Updates the parameters in place. Both have the same names, which end in the array's own: `3.weight`."""
        self.steps += 1
        for name, gradient in gradients.items():
            value = parameters[name]
            if name.endswith(DECAYED):
                gradient = self.decayed(value, gradient, rate)
                if self.l1:
                    gradient = gradient + np.float32(self.l1) * np.sign(value)
            self.update(name, value, gradient, rate)

    def decayed(self, value: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """The gradient of a weight, with weight decay as L2: as a part of the gradient."""
        return gradient + np.float32(self.weight_decay) * value if self.weight_decay else gradient

    def update(self, name: str, value: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """Changes one array in place."""
        raise NotImplementedError

    def memory(self, name: str, like: np.ndarray) -> np.ndarray:
        """An array of the state; zeros at first."""
        if name not in self.state:
            self.state[name] = np.zeros_like(like)
        return self.state[name]


class Sgd(Optimiser):
    """Gradient descent with momentum.

    v = momentum v + gradient; value -= rate v, as PyTorch has it (without Nesterov's step ahead).
    """

    default_rate: ClassVar[float] = 0.05
    arrays: ClassVar[tuple[int, int]] = (1, 0)

    def update(self, name: str, value: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        velocity = self.memory(f"{name}.velocity", value)
        velocity *= np.float32(self.momentum)
        velocity += gradient
        value -= np.float32(rate) * velocity


class Adam(Optimiser):
    """Steps of about the learning rate, by running means of the gradient and its square (D. Kingma, J. Ba 2015).

    Weight decay is that of AdamW (I. Loshchilov, F. Hutter 2019): each step takes rate x decay of each weight away.
    """

    default_rate: ClassVar[float] = 0.01
    default_decay: ClassVar[float] = 0.1
    arrays: ClassVar[tuple[int, int]] = (2, 2)
    BETAS, EPS = (0.9, 0.999), 1e-8

    def decayed(self, value: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Shrinks the weight itself: Adam would divide a decay in the gradient by the gradient's size."""
        value *= np.float32(1 - rate * self.weight_decay)
        return gradient

    def update(self, name: str, value: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        mean, square = self.memory(f"{name}.mean", value), self.memory(f"{name}.square", value)
        for average, new, beta in zip((mean, square), (gradient, gradient * gradient), self.BETAS, strict=True):
            average *= np.float32(beta)
            average += np.float32(1 - beta) * new
        corrections = [1 - beta**self.steps for beta in self.BETAS]
        root = np.sqrt(square / np.float32(corrections[1])) + np.float32(self.EPS)
        value -= np.float32(rate / corrections[0]) * mean / root


OPTIMISERS: dict[str, type[Optimiser]] = {"sgd": Sgd, "adam": Adam}
