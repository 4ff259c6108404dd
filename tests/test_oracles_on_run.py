"""The pipeline, and the shell, directly against implementations of others: no naive twin stands between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.cli.main import main
from tests.cases.configurations import Configuration, chains, configurations, convolutions, others, pools
from tests.cases.test_configurations import quick
from tests.kernels.volumes import assert_near
from tests.oracles import registry


def quick_oracles(one: Configuration) -> list[str]:
    """Those installed oracles that can compute the configuration, and soon."""
    return [name for name in one.oracles if name in registry.installed() and all(quick(name, row) for row in one.rows)]


CHECKED = [one for one in configurations() if quick_oracles(one)]


def test_there_are_many():
    if not registry.installed():
        pytest.skip("none of the oracles' libraries is installed")
    assert len(CHECKED) >= 500


@pytest.mark.parametrize(("number", "one"), list(enumerate(CHECKED)), ids=str)
def test_run_equals_an_oracle(number: int, one: Configuration):
    """Each configuration by one of its oracles, in turn."""
    known = quick_oracles(one)
    oracle = known[number % len(known)]
    volume, weights = one.volume(), one.weights()
    pipeline = Pipeline.parse(one.words)
    pipeline.set_weights(weights)
    expected = one.reference(volume, weights, registry.load(oracle))
    assert_near(pipeline.run(volume), expected, hint=oracle)


def for_the_shell() -> list[Configuration]:
    """Some of each kind, whose arrays can all be given by --weights."""

    def fits(one: Configuration) -> bool:
        return all(row.operation in ("conv", "fc") or not row.weight_shapes for row in one.rows)

    kinds = [([*filter(fits, kind)], number) for kind, number in
             ((convolutions(), 8), (pools(), 6), (others(), 6), (chains(), 10))]  # fmt: skip
    return [kind[place * len(kind) // number] for kind, number in kinds for place in range(number)]


def words_with_files(one: Configuration, folder: Path) -> list[str]:
    """The words of the chain, where each layer with weights takes them from a file."""
    words, left = [], one.weights()
    for layer in one.layers:
        pairs = [word for option in layer.options.items() for word in option if word]
        words += [layer.word, *layer.arguments, *pairs]
        if layer.word in ("mark", "from"):
            continue
        arrays = left.pop(0)
        if arrays:
            file = folder / f"{len(words)}.npz"
            np.savez(file, **arrays)
            words += ["--weights", str(file)]
    return words


def test_the_shell_is_given_convolutions_pools_and_branches():
    words = {layer.word for one in for_the_shell() for layer in one.layers}
    assert {"conv", "maxpool", "fc", "mark"} <= words
    assert len(set(for_the_shell())) == 30


@pytest.mark.parametrize("one", for_the_shell(), ids=str)
def test_the_shell_computes_what_the_twins_do(one: Configuration, tmp_path: Path):
    np.save(tmp_path / "volume.npy", one.volume())
    out = tmp_path / "out.npy"
    words = words_with_files(one, tmp_path)
    assert main(["run", "--quiet", str(tmp_path / "volume.npy"), str(out), *words]) == 0
    found = np.load(out)
    assert found.dtype == np.float32
    assert_near(found, one.reference(one.volume(), one.weights()))
    assert main(["run", "--quiet", str(tmp_path / "volume.npy"), str(out), *words]) == 2  # nothing is overwritten
