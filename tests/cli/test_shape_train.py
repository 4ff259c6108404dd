"""`cnntool shape --train`: the memory of a training step by rows and by parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnntool import Pipeline
from cnntool.learning.optimisers import OPTIMISERS
from cnntool.network.training import training_memory
from tests.cli.conftest import Tool

ALEXNET = Path(__file__).parents[2] / "samples/pipelines/alexnet.cnn"


def test_the_table_and_its_peak(cnntool: Tool) -> None:
    result = cnntool("shape", "224x224x3", "--train", "--batch", "16", "-p", ALEXNET)
    assert (result.code, result.err) == (0, "")
    text = result.text
    assert "a step of adam over 16 images: 1.2 GiB at its peak, the optimiser's step" in text
    assert "largest row: 15, fc 4096 (576.1 MiB of weights, 0 B kept)" in text
    parts = {line.split("   ")[1].strip(): line.split()[-2] for line in text.splitlines() if line.endswith(" %")}
    assert next(iter(parts)) == "optimiser"
    assert sum(map(int, parts.values())) == pytest.approx(100, abs=2)


def test_json_is_the_summary_with_the_memory(cnntool: Tool) -> None:
    words = "conv 4 3 relu fc 2"
    found = json.loads(cnntool("shape", "8x8x3", "--train", "--optimizer", "sgd", "--json", *words.split()).text)
    pipeline = Pipeline.parse(words)
    assert found.pop("training") == training_memory(pipeline.graph, (8, 8, 3), 32, "sgd", OPTIMISERS["sgd"].arrays)
    assert found == pipeline.shape((8, 8, 3))


@pytest.mark.parametrize("columns", [60, 80])
def test_it_fits_a_terminal(cnntool: Tool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = cnntool("shape", "224x224x3", "--train", "-p", ALEXNET.parent / "resnet18.cnn", terminal=("stdout",)).text
    assert max(map(len, text.splitlines())) <= columns
    assert "│   batchnorm" in text
    assert "└── add x" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--train relu", "--train: nothing can be trained"),
        ("--batch 3 relu", "--batch: expected --train with it"),
        ("--optimizer sgd relu", "--optimizer: expected --train with it"),
        ("--train --batch 0 fc 3", "0 is out of range"),
        ("--train --convention thop fc 3", "--convention: does not go with --train"),
        ("--train --csv fc 3", "--csv: does not go with --train"),
    ],
)
def test_refusals(cnntool: Tool, words: str, said: str) -> None:
    assert said in " ".join(cnntool("shape", "9x9x3", *words.split()).refused().split())
