from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import BadInput, CnntoolError
from cnntool.learning.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from cnntool.learning.data import ImageStore
from cnntool.learning.optimisers import OPTIMISERS
from cnntool.learning.train import Options, Trainer, check_classes, merit, share_of_rate

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
    images = ImageStore(60, SHAPE)
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


@pytest.mark.parametrize("optimizer", OPTIMISERS)
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
    with pytest.raises(CnntoolError, match=r"made with rate 0\.01, and now it is 0\.5"):
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
    advice = r"learning rate 0\.\d+: the loss is not finite, since the images hold values .* --lr than 0\.01"
    with pytest.raises(BadInput, match=advice):
        run(trainer(Options(9, 16), noise=np.nan))


def test_the_outputs_must_be_as_many_as_the_classes():
    graph = Pipeline.parse(WORDS).graph
    check_classes(graph, SHAPE, ["a", "b", "c"])
    check_classes(Pipeline.parse("conv 3 8").graph, SHAPE, ["a", "b", "c"])
    with pytest.raises(CnntoolError, match=r"3 outputs, and there are 4 classes \(a, b, c, \.\.\.\).*`fc 4`"):
        check_classes(graph, SHAPE, ["a", "b", "c", "d"])


@pytest.mark.parametrize("batch_size", [64, 53])
def test_running_statistics_are_those_of_the_data_whatever_the_last_batch(batch_size):
    """54 images to train on, so that batches of 53 would leave one: its variance of nothing would count as a tenth."""
    made = trainer(Options(60, batch_size, schedule="constant"), "globalpool avg batchnorm fc 3")
    run(made)
    pooled = made.images[made.training].mean(axis=(1, 2))
    np.testing.assert_allclose(made.arrays[1]["running_var"], pooled.var(axis=0, ddof=1), rtol=0.05)
    np.testing.assert_allclose(made.arrays[1]["running_mean"], pooled.mean(axis=0), rtol=0.02)


def test_running_statistics_describe_the_data_after_a_few_steps():
    made = trainer(Options(2, 64), "globalpool avg batchnorm fc 3")
    run(made)
    pooled = made.images[made.training].mean(axis=(1, 2))
    np.testing.assert_allclose(made.arrays[1]["running_var"], pooled.var(axis=0, ddof=1), rtol=1e-3)


def test_one_value_a_channel_is_refused():
    with pytest.raises(CnntoolError, match=r"batchnorm \(layer 2\): one image at 1x1 .* a larger --batch-size"):
        run(trainer(Options(1, 1), "globalpool avg batchnorm fc 3"))
    run(trainer(Options(1, 1)))  # 8x8 values a channel are enough


def test_a_checkpoint_of_other_contents_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    made = trainer(Options(1, 16))
    run(made)
    write_checkpoint(path, made)
    for change, message in [
        (lambda new: setattr(new, "classes", ["a", "b", "z"]), r"classes \[\], and now it is \['a', 'b', 'z'\]"),
        (lambda new: new.contents.update(pictures=trainer(Options(1, 16), noise=0.1).contents["pictures"]), "other im"),
        (lambda new: new.contents.update(labels="x"), "other labels"),
        (lambda new: new.contents.update(start=trainer(Options(1, 16, seed=1)).contents["start"]), "other weights"),
    ]:
        other = trainer(Options(1, 16))
        change(other)
        with pytest.raises(CnntoolError, match=message):
            read_checkpoint(path, other)
    read_checkpoint(path, trainer(Options(1, 16), threads=2))


def test_a_checkpoint_before_the_first_epoch_leads_to_the_same_result(tmp_path):
    options, path = Options(2, 16, early_stop=1), tmp_path / "c.npz"
    whole = trainer(options)
    write_checkpoint(path, whole)
    run(whole)
    again = trainer(options, threads=2)
    read_checkpoint(path, again)
    assert (again.history, again.best, again.best_epoch) == ([], None, 0)
    run(again)
    assert bits(again) == bits(whole)


def test_a_checkpoint_whose_arrays_do_not_fit_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    made = trainer(Options(1, 16))
    run(made)
    write_checkpoint(path, made)
    arrays = dict(np.load(path))
    for change in ({"now.1.weight": np.zeros((3, 3, 1, 5), np.float32)}, {"best.2.gamma": None}):
        kept = {name: array for name, array in (arrays | change).items() if array is not None}
        np.savez(path, **kept)
        with pytest.raises(CnntoolError, match="no checkpoint that can be read"):
            read_checkpoint(path, trainer(Options(1, 16)))


def test_a_nan_in_validation_is_never_the_best():
    made = trainer(Options(3, 16))
    evaluate, calls = made.evaluate, []

    def nan_first(places):
        calls.append(1)
        return (np.nan, 1.0) if len(calls) == 1 else evaluate(places)

    made.evaluate = nan_first
    rows = run(made).rows
    assert [best for _, best in rows][:2] == [False, True]
    assert made.best_epoch >= 2


def test_only_nan_in_validation_leaves_no_model():
    made = trainer(Options(2, 16))
    made.evaluate = lambda places: (np.nan, 1.0)
    with pytest.raises(BadInput, match=r"none of 2 epochs .* expected a smaller --lr than 0\.01"):
        run(made)
    assert made.best is None


@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_a_rate_that_is_too_large_is_named_with_the_layer(optimizer, recwarn):
    with pytest.raises(BadInput, match=r"learning rate .*\(layer \d\) is not finite.* --lr than 1e\+30"):
        run(trainer(Options(3, 16, optimizer, 1e30, schedule="constant"), "conv 4 3 relu fc 3"))
    assert not [str(warning.message) for warning in recwarn]


def test_the_rate_warms_up_and_then_follows_the_schedule():
    options = Options(schedule="constant", warmup=0.1)
    shares = [share_of_rate(options, step, 40) for step in range(40)]
    np.testing.assert_allclose(shares[:5], [0.25, 0.5, 0.75, 1, 1])
    assert set(shares[4:]) == {1.0}
    assert share_of_rate(Options(warmup=0.0), 0, 40) == 1.0
    np.testing.assert_allclose(share_of_rate(Options(warmup=0.1), 20, 40), 0.5)
