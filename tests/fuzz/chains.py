"""Random chains through one pipeline many times: other batches, other numbers of threads, other callers.

    python -m tests.fuzz.chains 100000 --first 0 --processes 2

Each chain must give the bytes of its first run every time, whatever was run before and whoever runs beside it; results
that are kept must stay as they are; and the first run must agree with direct convolution, image by image, or with the
naive twins (`--twins`, slower). The seed that is printed makes a chain again: `--first SEED` with 1 chain.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from cnntool import Pipeline
from cnntool.layers.activations import Activation
from tests.cases.chains import random_configuration
from tests.cases.configurations import Configuration

BATCHES, THREADS = (1, 2, 5), (1, 2, 3, 8)
KINDS, ROUNDS = 4, 3  # of batches and threads that a chain runs with, and how often each
TOLERANCE = 5e-5  # of the largest output: that of Winograd's convolution
ROUNDING = 5e-7  # of the largest value of any layer
Kind = tuple[int, int]


class Wrong(AssertionError):
    """A result that is not what it should be."""


def check(seed: int, *, twins: bool = False) -> str:
    """Runs the chain of a seed in every way; its words. A Wrong if any result is."""
    one, dice = random_configuration(seed, ends=True), random.Random(seed)
    weights, images = one.weights(), volumes_of(one, seed)
    try:
        first = [pipeline_of(one, weights).run(image, 1) for image in images]
        for image, result in zip(images[: 1 if twins else None], first, strict=False):
            expected = one.reference(image, weights) if twins else pipeline_of(one, weights, "direct").run(image, 1)
            if differ(result, expected, 0.0) and differ(result, expected, rounding(one, weights, image)):
                raise Wrong(f"off by {largest(result - expected):.3g} of {largest(expected):.3g}")
        pipeline = pipeline_of(one, weights)
        kinds = dice.sample([(batch, threads) for batch in BATCHES for threads in THREADS], KINDS)
        again(pipeline, images, first, [*kinds * ROUNDS, (1, 1), kinds[0]])
        several_callers(pipeline, images, first, kinds[:2])
        row = str(dice.randint(1, len(one.rows)))
        shorter = pipeline.until(row)
        short = [pipeline_of(one, weights).until(row).run(image, 1) for image in images]
        again(shorter, images, short, [kinds[0]] * 3)
    except Wrong as wrong:
        raise Wrong(f"seed {seed}: {one}: {wrong}") from None
    return str(one)


def volumes_of(one: Configuration, seed: int) -> np.ndarray:
    """A batch of different images, as many as the largest batch has."""
    dice = np.random.default_rng(seed)
    noise = dice.standard_normal((max(BATCHES), *one.shape)).astype(np.float32)
    return one.volume() + noise * np.arange(max(BATCHES), dtype=np.float32)[:, None, None, None] / 4


def pipeline_of(one: Configuration, weights: list, algorithm: str = "auto") -> Pipeline:
    pipeline = Pipeline.parse(one.words)
    pipeline.set_weights(weights)
    pipeline.use_algorithm(algorithm)
    return pipeline


def largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0))


def rounding(one: Configuration, weights: list, image: np.ndarray) -> float:
    """How far results may be off that are small beside what they are computed from.

    Their inputs may have errors of their own, which an activation, whose slope is about 1 at most, hands on, and a
    convolution or `fc` adds up; and outputs that cancel, as those of a mean after `center`, are rounding alone.
    """
    values, errors = [largest(image)], [0.0]
    for row in range(1, len(one.rows)):
        got, expected = (pipeline_of(one, weights, name).until(str(row)).run(image, 1) for name in ("auto", "direct"))
        values.append(largest(expected))
        errors.append(min(largest(got - expected), TOLERANCE * values[-1]))
    if "weight" in weights[-1]:
        weight = weights[-1]["weight"]
        gain = float(np.abs(weight).reshape(-1, weight.shape[-1]).sum(0).max())
    else:
        layer = pipeline_of(one, weights).graph.nodes[-1].layer
        gain = 2.0 if isinstance(layer, Activation) else 0.0
    return max(ROUNDING * max(values), gain * errors[-1])


def differ(result: np.ndarray, expected: np.ndarray, allowed: float) -> bool:
    """Whether the error exceeds TOLERANCE of the largest number, and `allowed`, or other values are not finite."""
    finite = np.isfinite(expected)
    if (np.isfinite(result) != finite).any():
        return True
    return largest((result - expected)[finite]) > max(TOLERANCE * largest(expected), allowed, 1e-24)


def again(pipeline: Pipeline, images: np.ndarray, first: list[np.ndarray], kinds: list[Kind]) -> None:
    """Runs batches that begin at different images, and looks at all results when they have been made."""
    kept = []
    for number, (count, threads) in enumerate(kinds):
        places = [(number + image) % len(images) for image in range(count)]
        batch = images[places]
        given = batch.copy()
        kept.append((count, threads, places, pipeline.run(batch, threads)))
        if batch.tobytes() != given.tobytes():
            raise Wrong("the input was written into")
    for number, (count, threads, places, result) in enumerate(kept):
        for place, image in zip(places, result, strict=True):
            if image.tobytes() != first[place].tobytes():
                error = np.abs(image - first[place]).max()
                raise Wrong(f"run {number}, batch of {count}, {threads} threads, image {place}: off by {error:.3g}")


def several_callers(pipeline: Pipeline, images: np.ndarray, first: list[np.ndarray], kinds: list[Kind]) -> None:
    failures: list[BaseException] = []

    def call() -> None:
        try:
            again(pipeline, images, first, kinds * 2)
        except BaseException as failure:
            failures.append(failure)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failures:
        raise Wrong(f"several callers: {failures[0]}")


def check_many(task: tuple[int, int, bool]) -> tuple[int, list[str]]:
    """The chains of a range of seeds; how many there were, and what was wrong."""
    first, last, twins = task
    wrong = []
    for seed in range(first, last):
        try:
            check(seed, twins=twins)
        except Exception as error:
            wrong.append(f"seed {seed}: {type(error).__name__}: {error}")
    return last - first, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--twins", action="store_true", help="compare with the naive twins")
    asked = parser.parse_args()
    start, done, wrong, piece = time.time(), 0, 0, 100
    seeds = range(asked.first, asked.first + asked.chains, piece)
    tasks = [(seed, min(seed + piece, asked.first + asked.chains), asked.twins) for seed in seeds]
    with ProcessPoolExecutor(asked.processes) as pool:
        for number, found in pool.map(check_many, tasks):
            done, wrong = done + number, wrong + len(found)
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            if done % 2000 == 0 or done == asked.chains:
                print(f"{done} chains, {wrong} wrong, {time.time() - start:.0f} s", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
