"""The memory of a training step: what PyTorch 2.13 allocated, and the arithmetic of a small network."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.learning.optimisers import OPTIMISERS
from cnntool.network.training import training_memory

PIPELINES = Path(__file__).parents[2] / "samples/pipelines"
SMALL = "conv 5 3 relu conv 6 1 fc 4"


def memory(words: str, size: tuple[int, int, int], batch: int, optimizer: str = "adam") -> dict:
    return training_memory(Pipeline.parse(words).graph, size, batch, optimizer, OPTIMISERS[optimizer].arrays)


def vgg_small() -> str:
    blocks = (f"conv {depth} 3 --padding 1 relu conv {depth} 3 --padding 1 relu maxpool 2" for depth in (32, 64, 128))
    return f"{' '.join(blocks)} fc 256 relu dropout 0.5 fc 10"


def text(name: str) -> str:
    """The words of a sample, padded on both sides alike, as PyTorch does."""
    lines = (line.partition("#")[0] for line in (PIPELINES / f"{name}.cnn").read_text().splitlines())
    return " ".join(lines).replace("--padding same", "--padding 1")


# MiB at the peak, as tests/benchmarks/training_memory.py measured them on a processor with AVX-512.
MEASURED = [
    ("lenet5", (32, 32, 1), 256, "adam", 18.8),
    ("lenet5", (32, 32, 1), 256, "sgd", 18.6),
    ("vgg-small", (32, 32, 3), 64, "adam", 55.6),
    ("vgg-small", (32, 32, 3), 64, "sgd", 52.5),
    ("alexnet", (224, 224, 3), 16, "adam", 1229.5),
    ("alexnet", (224, 224, 3), 16, "sgd", 756.6),
    ("resnet18", (224, 224, 3), 8, "adam", 339.2),
    ("resnet18", (224, 224, 3), 8, "sgd", 294.6),
    ("mobilenet-v1", (224, 224, 3), 8, "adam", 372.9),
    ("mobilenet-v1", (224, 224, 3), 8, "sgd", 356.7),
    ("squeezenet", (224, 224, 3), 8, "adam", 299.6),
    ("squeezenet", (224, 224, 3), 8, "sgd", 294.9),
]


@pytest.mark.parametrize(("name", "size", "batch", "optimizer", "mebibytes"), MEASURED)
def test_what_torch_allocates(
    name: str, size: tuple[int, int, int], batch: int, optimizer: str, mebibytes: float
) -> None:
    words = vgg_small() if name == "vgg-small" else text(name)
    found = memory(words, size, batch, optimizer)["peak_bytes"] / 2**20
    assert found == pytest.approx(mebibytes, rel=0.005)


def test_the_arithmetic_of_a_small_network() -> None:
    """6x6x2 through 4x4x5 and 4x4x6 to 4, two images."""
    found = memory(SMALL, (6, 6, 2), 2)
    parameters = [5 * (2 * 9 + 1), 0, 6 * (5 + 1), 4 * (96 + 1)]
    assert [row["weight_bytes"] for row in found["layers"]] == [4 * 4 * count for count in parameters]
    # the first convolution needs the images, relu its output, which is what the second needs, fc the second's output
    assert [row["kept_bytes"] for row in found["layers"]] == [0, 4 * 2 * 80, 4 * 2 * 96, 0]
    images, weights = 4 * 2 * 72, 4 * sum(parameters)
    assert found["peak"]["parameters"] == weights
    assert found["peak"]["optimiser"] == 2 * weights
    assert found["peak"]["images"] == images
    assert sum(found["peak"].values()) == found["peak_bytes"]


def test_at_the_peak_of_large_weights_nothing_else_counts() -> None:
    """Gradients of all are there when Adam makes two arrays like the largest."""
    found = memory("fc 1000 fc 10", (1, 1, 500), 1)
    weights = 4 * (501_000 + 10_010)
    assert found["at"] == "the optimiser's step"
    assert found["peak_bytes"] == 4 * weights + 2 * 4 * 500_000 + 4 * 500
    found = memory("fc 1000 fc 10", (1, 1, 500), 1, "sgd")
    assert found["peak_bytes"] == pytest.approx(3 * weights, rel=0.01)


def test_what_layers_keep() -> None:
    def kept(word: str) -> list[int]:
        return [row["kept_bytes"] for row in memory(f"conv 4 1 {word} fc 2", (8, 8, 4), 1)["layers"]]

    whole, quarter = 4 * 256, 4 * 64
    assert kept("relu") == [0, whole, 0]
    assert kept("gelu") == [whole, whole, 0]
    assert kept("maxpool 2") == [whole, quarter + 2 * quarter, 0]  # indices of 8 bytes
    assert kept("avgpool 2") == [whole, quarter, 0]
    assert kept("dropout 0.5") == [0, 2 * whole, 0]
    assert kept("flatten") == [whole, 0, 0]
    assert kept("mark x relu add x")[1:3] == [whole, whole]


def test_the_batch_multiplies_all_but_the_weights() -> None:
    one, four = (memory("conv 16 3 relu conv 16 3", (40, 40, 16), batch) for batch in (1, 4))
    assert four["peak"]["activations"] == 4 * one["peak"]["activations"]
    assert four["peak"]["images"] == 4 * one["peak"]["images"]
    assert four["peak"]["parameters"] == one["peak"]["parameters"]


def test_a_final_softmax_is_a_part_of_the_loss() -> None:
    assert memory(f"{SMALL} softmax", (6, 6, 2), 2) == memory(SMALL, (6, 6, 2), 2)


def test_layers_before_the_first_that_learns_keep_nothing() -> None:
    rows = memory("whiten bank gabor relu fc 3", (9, 9, 3), 1)["layers"]
    assert [row["kept_bytes"] for row in rows] == [0, 0, 4 * 81 * 40, 0]  # the input of fc
    assert memory("bank sobel relu tanh fc 3", (9, 9, 1), 1)["layers"][1]["kept_bytes"] == 0


def test_nothing_to_train() -> None:
    with pytest.raises(CnntoolError, match="nothing can be trained"):
        memory("relu maxpool 2", (8, 8, 3), 1)


def test_what_an_optimiser_remembers_is_what_it_tells() -> None:
    import numpy as np

    for kind in OPTIMISERS.values():
        optimiser, value = kind(), np.ones(7, np.float32)
        optimiser.step({"1.weight": value}, {"1.weight": value.copy()}, 0.1)
        assert sum(array.nbytes for array in optimiser.state.values()) == kind.arrays[0] * value.nbytes
