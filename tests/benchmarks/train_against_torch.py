"""Training against PyTorch: the time of a step, and the accuracy on Fashion-MNIST after ten epochs.

    python tests/benchmarks/train_against_torch.py time               # in one run, both at 1 and at 2 threads
    python tests/benchmarks/train_against_torch.py accuracy [SEED...]

The same network, initial weights, data, batches and optimiser (Adam, 0.004, falling as a cosine). Steps of 128 pictures
are timed; the trainings take 64, which fit better within ten epochs.
torch is timed in its default layout and channels last; it is the default that a user gets.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from cnntool import Pipeline
from cnntool.learning.data import ImageStore
from cnntool.learning.network import Network
from cnntool.learning.optimisers import Adam
from cnntool.learning.train import Options, Trainer
from samples.scripts.fashion_mnist import SOURCE, read_idx

WORDS = (
    "conv 32 3 --padding 1 --no-bias batchnorm relu maxpool 2 "
    "conv 64 3 --padding 1 --no-bias batchnorm relu maxpool 2 dropout 0.25 fc 10"
)
SHAPE, TIMED, BATCH, RATE = (28, 28, 1), 128, 64, 0.004
STEPS = 20


def torch_network(arrays: list[dict[str, np.ndarray]]) -> nn.Sequential:
    """The network of WORDS with our initial weights; its flattening orders the features otherwise."""
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(7 * 7 * 64, 10),
    )  # fmt: skip
    dense = arrays[9]["weight"].reshape(7, 7, 64, 10).transpose(3, 2, 0, 1).reshape(10, -1)
    with torch.no_grad():
        for place, weight in ((0, arrays[0]["weight"]), (4, arrays[4]["weight"])):
            network[place].weight.copy_(torch.tensor(weight.transpose(3, 2, 0, 1)))
        network[10].weight.copy_(torch.tensor(dense))
        network[10].bias.zero_()
    return network


class OurStep:
    def __init__(self, threads: int) -> None:
        pipeline = Pipeline.parse(WORDS)
        arrays = [{name: array.copy() for name, array in node.items()} for node in pipeline.weights(SHAPE)]
        self.network, self.optimiser, self.count = (
            Network(pipeline.graph, SHAPE, arrays, threads, 0),
            Adam(),
            0,
        )

    def __call__(self, x: np.ndarray, labels: np.ndarray) -> None:
        _, gradients = self.network.step(x, labels, self.count)
        self.optimiser.step(self.network.parameters(), gradients, RATE)
        self.count += 1


class TorchStep:
    def __init__(self, channels_last: bool) -> None:
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = torch_network(Pipeline.parse(WORDS).weights(SHAPE)).to(memory_format=self.layout)
        self.optimiser, self.loss = torch.optim.Adam(self.network.parameters(), RATE), nn.CrossEntropyLoss()

    def __call__(self, x: np.ndarray, labels: np.ndarray) -> None:
        # a permuted view of one channel counts as channels last whatever `contiguous` is told, so it is copied
        shape = (len(x), x.shape[3], x.shape[1], x.shape[2])
        given = torch.empty(shape, memory_format=self.layout).copy_(torch.from_numpy(x).permute(0, 3, 1, 2))
        self.optimiser.zero_grad()
        self.loss(self.network(given), torch.from_numpy(labels)).backward()
        self.optimiser.step()


def time_steps() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.random((TIMED, *SHAPE), np.float32), rng.integers(0, 10, TIMED)
    print("| threads | cnntool | torch | torch, channels last | ratio to torch | to channels last |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        steps = {"ours": OurStep(threads), "torch": TorchStep(False), "last": TorchStep(True)}
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(STEPS):  # in turns, so that other work on the machine troubles all alike
            for name, step in steps.items():
                time.sleep(0.1)  # torch's threads spin for a while after their work
                step(x, labels)
                begun = time.perf_counter()
                step(x, labels)
                times[name].append(1e3 * (time.perf_counter() - begun))
        ours, plain, last = (min(times[name]) for name in steps)
        print(
            f"| {threads} | {ours:.1f} ms | {plain:.1f} ms | {last:.1f} ms | {ours / plain:.2f} | {ours / last:.2f} |",
            flush=True,
        )


class Silent:
    def batch(self, *_: Any) -> None: ...
    def epoch(self, row: dict[str, Any], best: bool) -> None:
        print(f"  epoch {row['epoch']}  loss {row['loss']:.4f}", flush=True)


def fashion(part: str) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(SOURCE / f"{part}-images-idx3-ubyte.gz")[..., None].astype(np.float32) / 255
    return images, read_idx(SOURCE / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)


def our_accuracy(seed: int, epochs: int) -> float:
    (x, labels), (x_test, labels_test) = fashion("train"), fashion("t10k")
    images = ImageStore(len(x), SHAPE)
    for place, image in enumerate(x):
        images.put(place, image)
    pipeline = Pipeline.parse(WORDS, seed=seed)
    options = Options(epochs, BATCH, "adam", RATE, weight_decay=0.0, warmup=0.0, validation=0.0, seed=seed)
    trainer = Trainer(pipeline.graph, pipeline.weights(SHAPE), images, labels, options, 2)
    trainer.run(Silent(), lambda best: None)
    pipeline.set_weights(trainer.arrays)
    right = [(pipeline.run(x_test[i : i + 500]).reshape(-1, 10).argmax(1) == labels_test[i : i + 500]).sum()
             for i in range(0, len(x_test), 500)]  # fmt: skip
    return float(sum(right)) / len(x_test)


def torch_accuracy(seed: int, epochs: int) -> float:
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # two spin and wait for each other where other work runs
    (x, labels), (x_test, labels_test) = fashion("train"), fashion("t10k")
    step = TorchStep(True)
    step.network = torch_network(Pipeline.parse(WORDS, seed=seed).weights(SHAPE)).to(memory_format=step.layout)
    step.optimiser = torch.optim.Adam(step.network.parameters(), RATE)
    batches = -(-len(x) // BATCH)
    rng, done = np.random.default_rng(seed), 0
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for first in range(0, len(x), BATCH):
            for group in step.optimiser.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * done / (epochs * batches)))
            chosen = order[first : first + BATCH]
            step(x[chosen], labels[chosen])
            done += 1
        print(f"  epoch {epoch + 1}", flush=True)
    step.network.eval()
    with torch.no_grad():
        scores = [step.network(torch.from_numpy(x_test[i : i + 500]).permute(0, 3, 1, 2)).argmax(1).numpy()
                  for i in range(0, len(x_test), 500)]  # fmt: skip
    return float((np.concatenate(scores) == labels_test).mean())


def compare_accuracies(seeds: list[int], epochs: int = 10) -> None:
    for name, run in (("cnntool", our_accuracy), ("torch", torch_accuracy)):
        found = [run(seed, epochs) for seed in seeds]
        print(f"{name}: {' '.join(f'{value:.2%}' for value in found)}, mean {sum(found) / len(found):.2%}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["time"]:
        time_steps()
    elif sys.argv[1:2] == ["accuracy"]:
        compare_accuracies([int(seed) for seed in sys.argv[2:]] or [0, 1, 2])
    else:
        sys.exit(__doc__)
