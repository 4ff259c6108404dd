"""Prints what kernels get wrong that make arrays of their own; `test_lifetimes` runs it with memory that is poisoned.

The allocator then fills what is freed, or what is new, with numbers near 3e38, so that a kernel that reads an array
after it was freed, or before it was written, gives another result than its twin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from cnntool import Pipeline, kernels
from cnntool.layers.affine import one_after_another
from tests.kernels.volumes import noise
from tests.naive import gradients, normalisation, pooling
from tests.naive.convolution import conv

THREADS = (1, 2, 24)
Result = tuple[str, np.ndarray, np.ndarray]


def in_place(words: str, x: np.ndarray, expected: np.ndarray) -> Iterator[Result]:
    pipeline = Pipeline.parse(words)
    for threads in THREADS:
        for _ in range(3):
            yield f"{words} on {x.shape}, {threads} threads", pipeline.run(x, threads), expected


def convolutions() -> Iterator[Result]:
    for algorithm, shape, size, outputs, stride in (
        ("direct", (40, 30, 5), 3, 20, 1),
        ("winograd", (40, 30, 20), 3, 40, 1),
        ("winograd", (31, 30, 20), 3, 40, 2),
        ("winograd", (30, 31, 20), 5, 40, 1),
        ("winograd", (40, 30, 3), 3, 20, 1),
        ("winograd", (40, 30, 3), 7, 20, 2),
        ("separable", (60, 50, 1), 9, 20, 1),
        ("fft", (60, 50, 2), 15, 20, 1),
    ):
        x, weight = noise(*shape), noise(size, size, shape[2], outputs)
        if algorithm == "separable":  # of few terms
            weight = (noise(size, 1, 1, outputs) * noise(1, size, 1, outputs)).astype(np.float32)
        for bad in (False, True):
            x[20, 20] = np.nan if bad else 0
            pipeline = Pipeline.parse(f"conv {outputs} {size} --padding 1 --stride {stride} --no-bias")
            pipeline.use_algorithm(algorithm)
            pipeline.set_weights([{"weight": weight}])
            expected = conv(x, weight, None, (stride, stride), (1, 1, 1, 1))
            for threads in THREADS:
                hint = f"{algorithm} {size}x{size} of {shape}, {threads} threads, NaN: {bad}"
                yield hint, pipeline.run(x, threads), expected


def convolution_gradients() -> Iterator[Result]:
    from cnntool.steps.training import Training

    for shape, size, outputs, groups in (((9, 10, 3), 3, 20, 1), ((9, 10, 20), 3, 40, 1), ((9, 10, 20), 5, 40, 2),
                                         ((9, 10, 20), 3, 20, 20)):  # fmt: skip
        words = f"conv {outputs} {size} --padding 1 --groups {groups}"
        (layer,) = Pipeline.parse(words).layers
        x, d_output = noise(4, *shape), noise(4, *layer.output_shape(shape))
        arrays = {"weight": noise(size, size, shape[2] // groups, outputs), "bias": noise(outputs)}
        training = Training(one_after_another)
        out, saved = layer.train([x], arrays, training)
        place = ((1, 1), (1, 1, 1, 1), (1, 1), groups)
        yield words, out, np.stack([conv(image, *arrays.values(), *place) for image in x])
        (d_input,), d_arrays = layer.gradient(d_output, saved, arrays, training)
        twins = [
            gradients.conv_backward(d, image, *arrays.values(), *place) for d, image in zip(d_output, x, strict=True)
        ]
        yield words + ": input", d_input, np.stack([twin for twin, _ in twins])
        for name in arrays:
            yield f"{words}: {name}", d_arrays[name], sum(twin[name] for _, twin in twins)


def results() -> Iterator[Result]:
    x = noise(20, 30, 40)
    yield from in_place("lrn --alpha 1", x, normalisation.lrn(x, alpha=1.0))
    yield from in_place("lrn --alpha 1 --beta 0.5", x, normalisation.lrn(x, alpha=1.0, beta=0.5))
    wide = noise(1, 1, 100_000)  # arrays of this size are mapped, and gone for good when they are freed
    yield from in_place("lrn --alpha 1", wide, normalisation.lrn(wide, alpha=1.0))
    for words, twin in (("avgpool 3", pooling.avgpool), ("maxpool 3", pooling.maxpool), ("l2pool 3", pooling.l2pool)):
        yield from in_place(words, x, twin(x, (3, 3)))
    yield from convolutions()
    yield from convolution_gradients()
    kernels.peak.multiply_add_peak(6400)


if __name__ == "__main__":
    count = 0
    for hint, found, expected in results():
        count += 1
        largest = np.abs(expected[np.isfinite(expected)]).max()
        same = np.isnan(found) == np.isnan(expected)
        error = np.nan_to_num(np.abs(found - expected), nan=0.0, posinf=np.inf).max() / largest
        if not same.all() or not error < 1e-4:
            print(f"{hint}: wrong by {error:.3g} of the largest result")
    print(f"{count} results", file=sys.stderr)
