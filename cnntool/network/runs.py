"""A run: a chain of steps whose intermediate volumes nobody else looks at."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cnntool.layers.scratch import Scratch
from cnntool.layers.step import Adaptive, AnyStep, Convolution, Step, Whole, run_calls
from cnntool.network.algorithms import choose
from cnntool.network.bands import Rows, band_calls, bands_of
from cnntool.network.buffers import Buffers


class Run:
    """Steps in a row whose intermediate volumes nobody else looks at."""

    def __init__(self, source: int, algorithm: str) -> None:
        self.source, self.algorithm = source, algorithm
        self.buffers = Buffers()
        self.steps: list[AnyStep] = []
        self.words: list[str] = []
        self.seconds: list[int | None] = []
        self.result = source

    def append(self, step: AnyStep, second: int | None, number: int, words: str) -> None:
        self.steps.append(step)
        self.words.append(words)
        self.seconds.append(second)
        self.result = number

    def uses(self) -> set[int]:
        return {self.source, *(second for second in self.seconds if second is not None)}

    def compute(self, values: dict[int, np.ndarray], spread: Callable, threads: int) -> np.ndarray:
        """The run's last volume for each image of the batch."""
        batch = values[self.source]
        first = self.steps[0]
        if isinstance(first, Whole):
            return first.compute(batch, spread)
        row_steps = [step for step in self.steps if isinstance(step, Step)]
        chains = [row_steps] * len(batch)
        if isinstance(first, Adaptive):
            chains = [found + row_steps for found in first.resolve(batch, spread)]
            for step in (step for chain in chains for step in chain if isinstance(step, Convolution)):
                choose(step, self.algorithm)
        missing = len(chains[0]) - len(row_steps)
        seconds = [None] * missing + [
            None if second is None else values[second]
            for step, second in zip(self.steps, self.seconds, strict=True)
            if isinstance(step, Step)
        ]
        out = self.buffers.take((len(batch), *chains[0][-1].output_shape))
        bands = bands_of(chains[0], len(batch), threads)
        free: list[Scratch] = []

        def band(task: tuple[int, Rows]) -> None:
            image, (start, stop) = task
            scratch = free.pop() if free else Scratch()
            joined = [None if second is None else second[image] for second in seconds]
            run_calls(band_calls(chains[image], batch[image], joined, (out[image], start, 0), start, stop, scratch))
            free.append(scratch)

        spread(band, [(image, rows) for image in range(len(batch)) for rows in bands])
        return out

    def explain(self, threads: int) -> dict[str, str]:
        """What the run computes and how, for people."""
        first, last = self.steps[0], self.steps[-1]
        row_steps = [step for step in self.steps if isinstance(step, Step)]
        convolutions = [step for step in row_steps if isinstance(step, Convolution)]
        chosen = []
        for step in convolutions:
            least = min(step.costs.values())
            others = ", ".join(
                f"{name} {cost / least:.1f}"
                for name, cost in step.costs.items()
                if name != step.algorithm and cost < math.inf
            )
            chosen.append(step.algorithm + (f" ({others})" if others else ""))
        if isinstance(first, Whole):
            how = "the whole volume"
        else:
            bands = bands_of(row_steps, 1, threads) if row_steps else []
            tallest = max((rows.last - rows.first for rows in bands), default=0)
            how = f"{len(bands)} bands of up to {tallest} rows" if bands else "bands of rows"
            if isinstance(first, Adaptive):
                how = f"statistics, then {how}"
        return {
            "layers": " + ".join(self.words),
            "output": "x".join(map(str, last.output_shape)),
            "algorithm (others cost)": "; ".join(chosen),
            "computed as": how,
        }
