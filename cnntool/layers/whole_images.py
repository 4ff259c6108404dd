"""A layer's steps over whole images, as training runs them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnntool.layers.canvas import convolved
from cnntool.layers.training import Training
from cnntool.steps.memory import Scratch
from cnntool.steps.step import (
    Adaptive,
    AnyStep,
    Convolution,
    InPlace,
    Joined,
    PixelInPlace,
    Step,
    View,
    Whole,
    Windowed,
    run_calls,
)

if TYPE_CHECKING:
    import numpy as np


def run_steps(steps: Sequence[AnyStep], inputs: list[np.ndarray], training: Training) -> np.ndarray:
    """A layer's steps over a batch, each over whole images."""
    batch = inputs[0]
    for number, step in enumerate(steps):
        name = f"step {number}"
        if isinstance(step, Whole):
            batch = step.compute(batch, training.parallel)
        elif isinstance(step, View):
            batch = step.of(batch)
        elif isinstance(step, Convolution):
            batch = convolved(batch, step.window, step.weight, step.bias, step.groups, training, name)
        else:
            results = training.array(name, (len(batch), *step.output_shape))
            chains = step.resolve(batch, training.parallel) if isinstance(step, Adaptive) else [[step]] * len(batch)
            batch = _each_image(chains, batch, inputs[-1], results, training)
    return batch


def _each_image(
    chains: list[list[Step]], batch: np.ndarray, second: np.ndarray, results: np.ndarray, training: Training
) -> np.ndarray:
    import numpy as np

    def image(n: int) -> None:
        volume = batch[n]
        for step in chains[n]:
            out = results[n] if step is chains[n][-1] else np.empty(step.output_shape, np.float32)
            _apply(step, volume, second[n], out)
            volume = out

    training.parallel(image, range(len(batch)))
    return results


def _apply(step: Step, volume: np.ndarray, second: np.ndarray, out: np.ndarray) -> None:
    import numpy as np

    height, width, channels = step.input_shape
    if isinstance(step, Convolution):  # of a matrix that was taken from this image
        own = Training(lambda function, items: [function(item) for item in items])
        out[:] = convolved(volume[None], step.window, step.weight, step.bias, step.groups, own)[0]
        return
    if isinstance(step, Windowed):
        top, left, bottom, right = step.window.padding
        shape = (height + top + bottom, width + left + right, channels)
        memory = np.full(math.prod(shape) + step.overread, step.pad_value, np.float32)
        padded = memory[: math.prod(shape)].reshape(shape)
        padded[top : top + height, left : left + width] = volume
        run_calls(step.calls(padded, 0, 0, out, 0, 0, 0, out.shape[0], Scratch()))
        return
    if isinstance(step, InPlace):
        run_calls(step.calls(volume, 0, 0, out, 0, 0, height))
        return
    out[..., :channels] = volume
    if isinstance(step, Joined):
        run_calls(step.calls(out, 0, 0, second, 0, height))
    else:
        assert isinstance(step, PixelInPlace)
        run_calls(step.calls(out, 0, 0, height))
