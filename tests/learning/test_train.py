from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import BadInput, CnntoolError
from cnntool.learning.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from cnntool.learning.data import Images
from cnntool.learning.train import Options, Trainer, check_classes, merit

WORDS = "conv 6 3 --padding 1 --no-bias batchnorm relu maxpool 2 dropout 0.2 fc 3"
SHAPE = (8, 8, 1)


class Quiet:
    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, Any], bool]] = []

    def batch(self, *_: Any) -> None: ...
    def epoch(self, row: dict[str, Any], best: bool) -> None:
        self.rows.append((row, best))


def trainer(options: Options, words: str = WORDS, threads: int = 1, noise: float = 0.2) -> Trainer:
    """Three classes: a bright bar above, in the middle, below."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = Images(60, SHAPE)
    for place, label in enumerate(labels):
        image = noise * rng.random(SHAPE, np.float32)
        image[3 * label : 3 * label + 2] += 0.5
        images.put(place, image)
    pipeline = Pipeline.parse(words, seed=options.seed)
    return Trainer(pipeline.graph, pipeline.weights(SHAPE), images, labels, options, threads)


def run(made: Trainer, finished: Any = None) -> Quiet:
    watcher = Quiet()
    made.run(watcher, finished or (lambda best: None))
    return watcher


def bits(made: Trainer) -> list[bytes]:
    state = made.optimiser.state
    return [a.tobytes() for node in made.arrays for a in node.values()] + [state[n].tobytes() for n in sorted(state)]


@pytest.mark.parametrize("options", [
    Options(8, 16), Options(8, 16, "adam", 0.01), Options(8, 16, schedule="step", weight_decay=1e-3, l1=1e-4),
    Options(8, 16, schedule="constant", augment=("flip",)),
])  # fmt: skip
def test_it_learns(options):
    made = trainer(options)
    rows = run(made).rows
    assert len(rows) == 8
    assert rows[-1][0]["loss"] < 0.5 * rows[0][0]["loss"]
    assert rows[-1][0]["validation_accuracy"] == 1
    assert made.best is not None


def test_training_does_not_change_the_arrays_it_was_given():
    pipeline = Pipeline.parse(WORDS)
    before = [{name: array.copy() for name, array in node.items()} for node in pipeline.weights(SHAPE)]
    run(trainer(Options(1, 16)))
    for node, kept in zip(pipeline.weights(SHAPE), before, strict=True):
        for name, array in kept.items():
            np.testing.assert_array_equal(node[name], array)


def test_the_seed_gives_the_result_whatever_the_threads():
    results = []
    for threads in (1, 2, 4):
        made = trainer(Options(3, 16, augment=("shift",)), threads=threads)
        run(made)
        results.append(bits(made))
    assert results[0] == results[1] == results[2]
    other = trainer(Options(3, 16, augment=("shift",), seed=1))
    run(other)
    assert bits(other) != results[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_resumed_training_reaches_the_bits_of_uninterrupted_training(tmp_path, optimizer):
    options = Options(5, 16, optimizer, 0.01, augment=("crop", "flip"), seed=4)
    whole = trainer(options)
    run(whole)

    class Stop(Exception):
        pass

    first, path = trainer(options), tmp_path / "c.npz"

    def stop(best: bool) -> None:
        write_checkpoint(path, first)
        if len(first.history) == 2:
            raise Stop

    with pytest.raises(Stop):
        run(first, stop)
    second = trainer(options)
    read_checkpoint(path, second)
    assert len(second.history) == 2
    run(second)
    assert bits(second) == bits(whole)
    assert second.best_epoch == whole.best_epoch
    kept = ("epoch", "rate", "loss", "accuracy", "validation_loss", "validation_accuracy")
    assert [[row[k] for k in kept] for row in second.history] == [[row[k] for k in kept] for row in whole.history]


def test_a_checkpoint_of_other_training_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    made = trainer(Options(1, 16))
    run(made)
    write_checkpoint(path, made)
    with pytest.raises(CnntoolError, match=r"made with rate None, and now it is 0\.5"):
        read_checkpoint(path, trainer(Options(1, 16, rate=0.5)))
    with pytest.raises(CnntoolError, match="made with layers"):
        read_checkpoint(path, trainer(Options(1, 16), "fc 3"))
    with pytest.raises(CnntoolError, match="no checkpoint"):
        read_checkpoint(tmp_path / "none.npz", made)
    for content in (b"", b"PK\x03\x04", path.read_bytes()[:300], path.read_bytes()[:-200]):
        broken = tmp_path / "b.npz"
        broken.write_bytes(content)
        with pytest.raises(CnntoolError, match="no checkpoint that can be read"):
            read_checkpoint(broken, made)


def test_the_checkpoint_lies_beside_the_model():
    assert checkpoint_path("a/b.npz").as_posix() == "a/b.checkpoint.npz"
    assert checkpoint_path("b.safetensors").name == "b.checkpoint.npz"


def test_training_stops_when_no_epoch_is_better():
    made = trainer(Options(50, 16, rate=1e-9, schedule="constant", early_stop=2, validation=0.3))
    run(made)
    assert len(made.history) < 50
    assert len(made.history) == made.best_epoch + 2


def test_the_best_epoch_is_kept():
    made = trainer(Options(6, 8, rate=0.3, schedule="constant", validation=0.3))
    run(made)
    best = max(range(6), key=lambda place: merit(made.history[place]))
    assert made.best_epoch == best + 1


def test_a_loss_that_is_no_number_ends_training_with_advice():
    with pytest.raises(BadInput, match="expected a smaller --lr than 0"), np.errstate(all="ignore"):
        run(trainer(Options(9, 16), noise=np.nan))


def test_the_outputs_must_be_as_many_as_the_classes():
    graph = Pipeline.parse(WORDS).graph
    check_classes(graph, SHAPE, ["a", "b", "c"])
    check_classes(Pipeline.parse("conv 3 8").graph, SHAPE, ["a", "b", "c"])
    with pytest.raises(CnntoolError, match=r"3 outputs, and there are 4 classes \(a, b, c, \.\.\.\).*`fc 4`"):
        check_classes(graph, SHAPE, ["a", "b", "c", "d"])
