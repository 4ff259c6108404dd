"""Training a classifier: epochs of steps, the best one kept, a checkpoint after each.

All random numbers follow from the seed and the numbers of epoch and step, so training that was stopped and resumed
ends bit-identical to training that was not, with any number of threads.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from cnntool.declare import did_you_mean, listed
from cnntool.engine.plan import Plan
from cnntool.errors import BadInput, CnntoolError
from cnntool.kernels import ahead
from cnntool.layers.base import Arrays
from cnntool.learning.augmentation import augmented
from cnntool.learning.data import ImageStore, batches, digest_of, split
from cnntool.learning.losses import cross_entropy
from cnntool.learning.network import Network, scores_of
from cnntool.learning.optimisers import OPTIMISERS, SCHEDULES
from cnntool.network.graph import Graph
from cnntool.network.parameters import Parameters
from cnntool.steps.blas import one_blas_thread
from cnntool.steps.geometry import Shape

EVALUATED = 256  # images of a batch in evaluation


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train. None for `rate` or `weight_decay` is the optimiser's default; `early_stop` 0 never stops early.

    `class_weights`: `balanced`, or `NAME=WEIGHT,...` with 1 for classes that are not named; empty for none.
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adam"
    rate: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    l1: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.05
    validation: float = 0.05
    augment: tuple[str, ...] = ()
    early_stop: int = 0
    class_weights: str = ""
    seed: int = 0


class Watcher(Protocol):
    """Observes the progress of training."""

    def batch(self, epoch: int, done: int, total: int, loss: float, accuracy: float) -> None: ...
    def epoch(self, row: dict[str, Any], best: bool) -> None: ...


class Trainer:
    """Trains the arrays of a graph on labelled images. `arrays` are the current ones, `best` those to keep.

    `labels`: one of 0 .. K - 1 an image, where K is the number of the network's outputs, and `classes` their names.
    `contents`: digests of the data and the initial arrays, by which a checkpoint recognises its training run.
    """

    def __init__(
        self, graph: Graph, arrays: list[Arrays], images: ImageStore, labels: np.ndarray, options: Options,
        threads: int, classes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.images, self.labels, self.options, self.threads = images, labels, options, threads
        self.classes = list(classes)
        arrays = [{name: array.copy() for name, array in node.items()} for node in arrays]
        self.weights = weights_of(options.class_weights, self.classes, labels)
        self.network = Network(graph, images.shape, arrays, threads, options.seed, self.weights)
        self.optimiser = OPTIMISERS[options.optimizer](
            momentum=options.momentum, weight_decay=self.decay, l1=options.l1
        )
        self.training, self.held = split(labels, options.validation, options.seed)
        self.history: list[dict[str, Any]] = []
        self.best: list[Arrays] | None = None
        self.best_epoch = 0
        start = self.network.parameters().values()
        self.contents = {"pictures": images.digest(), "labels": digest_of([labels]), "start": digest_of(start)}

    @property
    def arrays(self) -> list[Arrays]:
        return self.network.arrays

    @property
    def rate(self) -> float:
        return self.optimiser.default_rate if self.options.rate is None else self.options.rate

    @property
    def decay(self) -> float:
        given = self.options.weight_decay
        return OPTIMISERS[self.options.optimizer].default_decay if given is None else given

    @one_blas_thread()
    def run(self, watcher: Watcher, finished: Callable[[bool], Any]) -> None:
        """Runs the remaining epochs; calls `finished(best)` after each, so that the model can be saved."""
        with ahead.expecting(self.kernels):
            self._epochs(watcher, finished)
        if self.best is None:
            raise BadInput(
                f"after none of {len(self.history)} epochs are all weights and the loss finite: "
                f"expected a smaller --lr than {self.rate:g}, or images held back that are finite"
            )

    def _epochs(self, watcher: Watcher, finished: Callable[[bool], Any]) -> None:
        while len(self.history) < self.options.epochs and not self.stalled:
            row = self.epoch(len(self.history) + 1, watcher)
            best = self.usable(row) and (self.best is None or merit(row) > merit(self.history[self.best_epoch - 1]))
            self.history.append(row)
            if best:
                self.best_epoch = len(self.history)
                self.best = [{name: array.copy() for name, array in node.items()} for node in self.arrays]
            watcher.epoch(row, best)
            finished(best)

    def kernels(self) -> list[str]:
        """The kernels of an epoch, by `Kernel.file`, as far as they are known before."""
        found = self.network.kernels(min(self.options.batch_size, len(self.training)))
        if len(self.held):
            found += self._plan().kernels(min(EVALUATED, len(self.held)), self.threads)
        return found

    def usable(self, row: dict[str, Any]) -> bool:
        """Whether the arrays after an epoch may become the model."""
        losses = (row["loss"], row.get("validation_loss", 0.0))
        arrays = (array for node in self.arrays for array in node.values())
        return all(map(math.isfinite, losses)) and all(np.isfinite(array).all() for array in arrays)

    @property
    def stalled(self) -> bool:
        """Whether enough epochs in a row brought no improvement to stop early."""
        patience = self.options.early_stop
        return bool(patience) and len(self.history) - self.best_epoch >= patience

    def epoch(self, number: int, watcher: Watcher) -> dict[str, Any]:
        """One pass over the training images in random order; returns the row of the history."""
        options, begun = self.options, time.perf_counter()
        order = np.random.default_rng([options.seed, number]).permutation(self.training)
        pieces = batches(order, options.batch_size)
        total, right, count, done, rate = 0.0, 0.0, 0.0, 0, self.rate
        for index, chosen in enumerate(pieces):
            step = (number - 1) * len(pieces) + index
            rate = self.rate * share_of_rate(options, step, options.epochs * len(pieces))
            batch = self.images[chosen]
            if options.augment:
                batch = augmented(batch, options.augment, np.random.default_rng([options.seed, number, index]))
            try:
                loss, gradients = self.network.step(batch, self.labels[chosen], step)
            except BadInput as error:
                raise BadInput(
                    f"epoch {number}, step {index + 1} of {len(pieces)}, learning rate {rate:.3g}: the loss is not "
                    f"finite, since {error}: expected finite images, and a smaller --lr than {self.rate:g}"
                ) from None
            self.optimiser.step(self.network.parameters(), gradients, rate)
            total, right, count = total + loss.total, right + loss.right, count + loss.rows
            done += len(chosen)
            watcher.batch(number, done, len(order), total / count, right / count)
        seconds = time.perf_counter() - begun
        row = {"epoch": number, "rate": rate, "loss": total / count, "accuracy": right / count}
        if len(self.held):
            row["validation_loss"], row["validation_accuracy"] = self.evaluate(self.held)
        return row | {"seconds": seconds, "images_per_second": done / seconds}

    def evaluate(self, indices: np.ndarray) -> tuple[float, float]:
        """Mean loss and accuracy on some of the images, in inference."""
        plan = self._plan()
        total, right, count = 0.0, 0.0, 0.0
        for first in range(0, len(indices), EVALUATED):
            chosen = indices[first : first + EVALUATED]
            found = plan.run(self.images[chosen], self.threads).reshape(len(chosen), -1)
            loss = cross_entropy(found, self.labels[chosen], self.weights)
            total, right, count = total + loss.total, right + loss.right, count + loss.rows
        return total / count, right / count

    def _plan(self) -> Plan:
        """Computes the scores with the current arrays."""
        graph = self.network.graph
        scores = Graph(graph.nodes, graph.marks, scores_of(graph))
        return Plan(scores, Parameters(graph, 0, self.arrays), self.images.shape)


def share_of_rate(options: Options, step: int, steps: int) -> float:
    """The factor of the learning rate at a step: the schedule, with a linear warm-up."""
    warm = options.warmup * steps
    return SCHEDULES[options.schedule](step / steps) * (min(1.0, (step + 1) / warm) if warm else 1.0)


def weights_of(text: str, classes: Sequence[str], labels: np.ndarray) -> np.ndarray | None:
    """A weight for each class, scaled so that the weights of all images have the mean 1; None for no weights.

    `balanced`: each class counts as much as any other, however many images it has.
    """
    if not text:
        return None
    counts = np.bincount(labels, minlength=len(classes))
    weights = 1 / np.maximum(counts, 1) if text == "balanced" else np.ones(len(classes))
    if text != "balanced":
        for name, weight in parse_class_weights(text).items():
            if name not in classes:
                raise CnntoolError(
                    f"--class-weights: no class is called {name!r}{did_you_mean(name, classes)}; "
                    f"the classes are {listed(classes)}"
                )
            weights[list(classes).index(name)] = weight
    return weights * (counts.sum() / (weights * counts).sum())


def parse_class_weights(text: str) -> dict[str, float]:
    """`cat=5,dog=1`; a ValueError tells what was expected."""
    found: dict[str, float] = {}
    for piece in text.split(","):
        name, equals, weight = piece.rpartition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            equals = ""
        if not equals or not name or not 0 < found[name] < math.inf:
            raise ValueError(f"{piece!r}: expected balanced, or CLASS=WEIGHT,... with weights above 0")
    return found


def merit(row: dict[str, Any]) -> tuple[float, float]:
    """The order of epochs: by accuracy, then by loss, on validation images if there are any."""
    prefix = "validation_" if "validation_loss" in row else ""
    return row[f"{prefix}accuracy"], -row[f"{prefix}loss"]


def check_classes(graph: Graph, shape: Shape, classes: list[str]) -> None:
    """A CnntoolError unless the network gives one number a class."""
    outputs = math.prod(graph.shapes(shape)[scores_of(graph)])
    if outputs != len(classes):
        raise CnntoolError(
            f"the last layer has {outputs} outputs, and there are {len(classes)} classes "
            f"({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''}): end the layers with `fc {len(classes)}`"
        )
