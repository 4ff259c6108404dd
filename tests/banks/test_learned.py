"""The words of learned banks: their shapes, their limits, and what they say when they are not fitted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.banks.learned import KMeans, Patches, PrincipalComponents, Stored
from cnntool.banks.table import BANKS, LEARNED
from cnntool.declare import help_of
from cnntool.errors import CnntoolError
from cnntool.layers.table import load

WORDS = {
    "kmeans": "kmeans 4 3 --patches 99 --eps-contrast 0.5 --eps-zca 0.25 --iterations 7 --spherical",
    "pca": "pca 4 3x2 --patches 99",
    "patches": "patches 4 3 --eps-zca 0.25",
    "stored": "stored 4 3x5",
}


def test_each_has_a_row():
    assert set(WORDS) == set(LEARNED)
    assert not set(LEARNED) & set(BANKS)


@pytest.mark.parametrize("words", WORDS.values())
def test_words_make_the_bank_again(words):
    layer = Pipeline.parse(f"bank {words}").layers[0]
    assert " ".join(layer.words()) == f"bank {words}"
    assert help_of(type(layer.bank))


@pytest.mark.parametrize("name", WORDS)
def test_padding_is_valid_where_filters_are_learned(name):
    row = Pipeline.parse(f"bank {WORDS[name]}").shape((12, 12, 2))["layers"][0]
    assert row["options"]["padding"] == ("same" if name == "stored" else "valid")
    assert row["output_shape"][0] == (12 if name == "stored" else 10)
    assert Pipeline.parse(f"bank {WORDS[name]} --padding 1").shape((12, 12, 2))["layers"][0]["output_shape"][0] == 12


def test_buffers_and_cost():
    kmeans, pca, patches = KMeans(5, (3, 2)), PrincipalComponents(5, (3, 2)), Patches(5, (3, 2))
    assert kmeans.buffer_shapes(2) == {"mean": (12,), "whitening": (12, 12), "weight": (3, 2, 2, 5)}
    assert pca.buffer_shapes(2) == {"weight": (3, 2, 2, 5)}
    assert patches.buffer_shapes(2) == {"weight": (3, 2, 2, 5), "bias": (5,)}
    row = Pipeline.parse("bank kmeans 5 3x2 --stride 2").shape((9, 8, 2))["layers"][0]
    assert row["output_shape"] == [4, 4, 5]
    assert row["macs"] == 16 * 12 * (12 + 5)
    assert row["buffers"] == 12 + 12 * 12 + 12 * 5
    assert row["parameters"] == 0


def test_the_contrast_of_the_paper_is_in_levels_of_255():
    assert math.isclose(KMeans(1, (6, 6)).eps_contrast, 10 / 255**2)


@pytest.mark.parametrize(
    ("words", "channels", "message"),
    [
        ("pca 28 3", 3, "27 principal components: expected K of at most 27, not 28"),
        ("kmeans 2 64", 3, "expected at most 4096; make SIZE smaller"),
        ("kmeans 0 3", 3, "at least 1"),
        ("kmeans 4", 3, "missing"),
        ("kmeans 4 3 --per-channel", 3, "--per-channel: learned filters go through all channels"),
    ],
)
def test_limits(words, channels, message):
    with pytest.raises(CnntoolError, match=f"(?i)^bank.*{message}"):
        Pipeline.parse(f"bank {words}").shape((70, 70, channels))


@pytest.mark.parametrize("words", WORDS.values())
def test_not_fitted(words):
    pipeline = Pipeline.parse(f"relu bank {words}")
    for attempt in (pipeline.require_fitted, lambda: pipeline.run(np.zeros((9, 9, 2), np.float32))):
        with pytest.raises(CnntoolError, match=r"^bank \(layer 2\): needs (data: `cnntool fit|its filters).*-m MODEL$"):
            attempt()
    pipeline.until("1").require_fitted()


def test_a_stored_bank_stands_for_a_file(tmp_path):
    np.save(tmp_path / "mine.npy", np.zeros((3, 5, 7), np.float32))
    layer = Pipeline.parse(["bank", str(tmp_path / "mine.npy"), "--stride", "2"]).layers[0]
    assert layer.without_files() == load("bank")(Stored(7, (3, 5)), stride=(2, 2))
    gabor = Pipeline.parse("bank gabor").layers[0]
    assert gabor.without_files() == gabor
