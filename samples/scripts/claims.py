"""What is said about batch normalisation, dropout and parameter sharing, measured on a part of Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python samples/scripts/claims.py > claims.md

Small networks on 6,000 pictures, tested on 5,000 others; some minutes on two cores. `docs/learning.md` has the result.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from fashion_mnist import SOURCE, read_idx

from cnntool import Pipeline
from cnntool.engine.threads import available_threads
from cnntool.errors import BadInput
from cnntool.learning.data import ImageStore
from cnntool.learning.network import Network
from cnntool.learning.train import Options, Trainer

TRAINING, TESTS, SHAPE, EPOCHS = 6_000, 5_000, (28, 28, 1), 5
PLAIN = (
    "conv 16 3 --padding 1 {}relu maxpool 2 conv 32 3 --padding 1 {}relu maxpool 2 "
    "conv 32 3 --padding 1 {}relu maxpool 2 {}fc 10 --init zeros"
)
CONVOLUTIONAL = "conv 16 5 --padding same relu maxpool 2 conv 32 5 --padding same relu maxpool 2 fc 10"
CONNECTED = "fc 36 relu fc 10"


class Data(NamedTuple):
    x: np.ndarray
    labels: np.ndarray
    x_test: np.ndarray
    labels_test: np.ndarray


class Result(NamedTuple):
    """Of one training: accuracy on other pictures, the loss of each epoch, and the trained pipeline."""

    accuracy: float
    losses: list[float]
    pipeline: Pipeline


class Silent:
    def batch(self, *_: Any) -> None: ...
    def epoch(self, row: dict[str, Any], best: bool) -> None: ...


def load() -> Data:
    parts = []
    for prefix, count in (("train", TRAINING), ("t10k", TESTS)):
        images = read_idx(SOURCE / f"{prefix}-images-idx3-ubyte.gz")[:count, :, :, None]
        parts += [images.astype(np.float32) / 255, read_idx(SOURCE / f"{prefix}-labels-idx1-ubyte.gz")[:count]]
    return Data(parts[0], parts[1].astype(np.int64), parts[2], parts[3].astype(np.int64))


def train(words: str, data: Data, rate: float = 0.01, epochs: int = EPOCHS, seed: int = 1) -> Result:
    """SGD with momentum 0.9 at a constant rate, batches of 64. A training that diverges guesses: accuracy 10 %."""
    images = ImageStore(len(data.x), SHAPE)
    for place, image in enumerate(data.x):
        images.put(place, image)
    pipeline = Pipeline.parse(words, seed=seed)
    options = Options(epochs, 64, "sgd", rate, schedule="constant", warmup=0.0, validation=0.0, seed=seed)
    trainer = Trainer(pipeline.graph, pipeline.weights(SHAPE), images, data.labels, options, available_threads())
    try:
        with np.errstate(all="ignore"):
            trainer.run(Silent(), lambda best: None)
    except BadInput:
        return Result(0.1, [np.nan] * epochs, pipeline)
    pipeline.set_weights(trainer.arrays)
    return Result(accuracy(pipeline, data.x_test, data.labels_test), [row["loss"] for row in trainer.history], pipeline)


def accuracy(pipeline: Pipeline, x: np.ndarray, labels: np.ndarray) -> float:
    return float((pipeline.run(x).reshape(len(x), -1).argmax(axis=1) == labels).mean())


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n### {title}\n")
    for line in (head, ["---", *["---:"] * (len(head) - 1)], *rows):
        print(f"| {' | '.join(line)} |")
    sys.stdout.flush()


def share(value: float) -> str:
    return f"{value:.1%}"


def learning_rates(data: Data) -> None:
    """With batch normalisation a ten times higher learning rate still trains."""
    rates = (0.01, 0.03, 0.1, 0.3, 1.0)
    rows = []
    for name, extra in (("without", ""), ("with batch normalisation", "batchnorm ")):
        words = PLAIN.format(extra, extra, extra, "")
        rows.append([name, *(share(train(words, data, rate).accuracy) for rate in rates)])
    table("Test accuracy by learning rate", ["", *map(str, rates)], rows)


def bias(data: Data) -> None:
    """A bias before batch normalisation changes nothing: neither the output, nor what is learned."""
    x, labels = data.x[:128], data.labels[:128]
    words = "conv 16 3 --padding 1 batchnorm relu fc 10"
    network = Network(Pipeline.parse(words).graph, SHAPE, copied(Pipeline.parse(words).weights(SHAPE)), 1, 0)
    _, gradients = network.step(x, labels, 0)
    sizes = {name: np.abs(gradients[name]).max() for name in ("1.weight", "1.bias")}
    before = network.forward(x, 0)[0][1].copy()
    network.arrays[0]["bias"] += np.random.default_rng(0).standard_normal(16).astype(np.float32)
    change = np.abs(network.forward(x, 0)[0][1] - before).max()
    rows = [
        ["largest gradient of the weights", f"{sizes['1.weight']:.1e}"],
        ["largest gradient of the biases", f"{sizes['1.bias']:.1e}"],
        ["largest normalised output", f"{np.abs(before).max():.1f}"],
        ["its largest change when the biases become random", f"{change:.1e}"],
    ]
    for name, option in (("without", "--no-bias "), ("with", "")):
        given = PLAIN.format(*["batchnorm "] * 3, "").replace("--padding 1 ", f"--padding 1 {option}")
        found = [train(given, data, seed=seed).accuracy for seed in (1, 2, 3)]
        rows.append([f"test accuracy {name} biases, three seeds", " ".join(map(share, found))])
    table("A bias before batch normalisation", ["", ""], rows)


def copied(arrays: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return [{name: array.copy() for name, array in node.items()} for node in arrays]


def regularisation(data: Data) -> None:
    """Batch normalisation makes training faster, and dropout less needed."""
    rows = []
    kinds = (("plain", "", ""), ("dropout", "", "dropout 0.5 "), ("batch normalisation", "batchnorm ", ""),
             ("both", "batchnorm ", "dropout 0.5 "))  # fmt: skip
    for name, extra, dropout in kinds:
        found = train(PLAIN.format(extra, extra, extra, dropout), data, epochs=10)
        losses = (found.losses[epoch - 1] for epoch in (1, 3, 10))
        rows.append([name, *(f"{loss:.3f}" for loss in losses), share(found.accuracy)])
    table("Dropout and batch normalisation", ["", "loss, epoch 1", "epoch 3", "epoch 10", "test accuracy"], rows)


def identity(data: Data) -> None:
    """gamma = sqrt(var + eps) and beta = mean give the input back."""
    x = 3 + 5 * np.random.default_rng(0).standard_normal((100, 9, 9, 8)).astype(np.float32)
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    pipeline = Pipeline.parse("batchnorm")
    pipeline.set_weights([{"gamma": np.sqrt(var + 1e-5), "beta": mean, "running_mean": mean, "running_var": var}])
    error = np.abs(pipeline.run(x) - x).max()
    table("The identity", ["gamma = sqrt(var + eps), beta = mean", "largest value"],
          [["x", f"{np.abs(x).max():.1f}"], ["batchnorm(x) - x", f"{error:.1e}"]])  # fmt: skip


def sharing(data: Data) -> None:
    """Shared weights against full connection at equal numbers of parameters: moved pictures, and permuted pixels."""
    order = np.random.default_rng(0).permutation(28 * 28)
    mixed = data._replace(
        x=data.x.reshape(-1, 784)[:, order].reshape(data.x.shape),
        x_test=data.x_test.reshape(-1, 784)[:, order].reshape(data.x_test.shape),
    )
    rows, permuted = [], []
    for name, words in (("convolutional", CONVOLUTIONAL), ("fully connected", CONNECTED)):
        found = train(words, data, 0.02, 10)
        parameters = f"{found.pipeline.shape(SHAPE)['totals']['parameters']:,}"
        rows.append([name, parameters, *(share(moved(found.pipeline, data, pixels)) for pixels in (0, 1, 2, 3, 4))])
        permuted.append([name, share(found.accuracy), share(train(words, mixed, 0.02, 10).accuracy)])
    head = ["", "parameters", "test accuracy", "moved 1 pixel", "2", "3", "4"]
    table("Test pictures moved up, down, left or right", head, rows)
    table("One fixed permutation of the pixels of all pictures", ["", "as they are", "permuted"], permuted)


def moved(pipeline: Pipeline, data: Data, pixels: int) -> float:
    if not pixels:
        return accuracy(pipeline, data.x_test, data.labels_test)
    border = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded, found = np.pad(data.x_test, border), []
    for row, column in ((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)):
        found.append(accuracy(pipeline, padded[:, row : row + 28, column : column + 28], data.labels_test))
    return sum(found) / len(found)


def movement(data: Data) -> None:
    """The slopes of PReLU and the scales of batch normalisation are learned."""
    words = "conv 16 3 --padding 1 --no-bias batchnorm prelu maxpool 2 conv 32 3 --no-bias batchnorm prelu fc 10"
    found = train(words, data)
    rows = []
    for number, (node, arrays) in enumerate(
        zip(found.pipeline.graph.nodes, found.pipeline.weights(SHAPE), strict=True)
    ):
        for name, start in (("alpha", "0.25"), ("gamma", "1"), ("beta", "0")):
            if name in arrays:
                low, high = arrays[name].min(), arrays[name].max()
                rows.append([f"{name} of {node.layer.word} (layer {number + 1})", start, f"{low:.3f} to {high:.3f}"])
    table("What moves", ["", "at the start", f"after {EPOCHS} epochs"], rows)


def main() -> None:
    data = load()
    for claim in (identity, movement, bias, learning_rates, sharing, regularisation):
        claim(data)


if __name__ == "__main__":
    main()
