"""Words of other frameworks, bare names of banks and misspellings get the words to type."""

from __future__ import annotations

import pytest

from cnntool.chain.text import split_text
from cnntool.errors import CnntoolError
from cnntool.layers.elsewhere import ELSEWHERE, MEANT, plain
from cnntool.layers.table import LAYERS, load
from cnntool.pipeline import Pipeline


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("gabor", "bank gabor"),
        ("kmeans", "bank kmeans"),
        ("gaussian_derivatives", "bank gaussian-derivatives"),
        ("swish", "silu"),
        ("dense", "fc"),
        ("Linear", "fc"),
        ("Conv2d", "conv"),
        ("CONV2D", "conv"),
        ("conv2d_layer", "conv"),
        ("BatchNorm2d", "batchnorm"),
        ("BatchNormalization", "batchnorm"),
        ("MaxPool2D", "maxpool"),
        ("MaxPooling2D", "maxpool"),
        ("AveragePooling2D", "avgpool"),
        ("GlobalAveragePooling2D", "globalpool avg"),
        ("AdaptiveAvgPool2d", "globalpool avg"),
        ("ReLU", "relu"),
        ("LeakyReLU", "leaky-relu"),
        ("leakyrelu", "leaky-relu"),
        ("Hardswish", "hard-swish"),
        ("Concatenate", "concat"),
    ],
)
def test_the_message_says_what_is_meant(word: str, here: str) -> None:
    with pytest.raises(CnntoolError) as error:
        load(word)
    assert str(error.value) == f"no layer is called {word!r}; did you mean {here}?"


def test_every_name_is_written_plainly_and_leads_to_a_layer() -> None:
    assert len(MEANT) == sum(map(len, ELSEWHERE.values()))
    for name, here in MEANT.items():
        assert plain(name) == name
        assert name not in LAYERS
        assert here.split()[0] in LAYERS or here.startswith("--padding")


def test_what_has_values_is_a_chain() -> None:
    for here in ELSEWHERE:
        if "C" in here:
            Pipeline.parse(split_text(here.replace("C", "3").replace("SIZE", "3"))).shape((9, 9, 3))


@pytest.mark.parametrize("word", ["laplace", "gausian-derivative", "gabro"])
def test_a_misspelt_bank_alone_is_offered_with_its_layer(word: str) -> None:
    with pytest.raises(CnntoolError, match=r"did you mean bank (laplacian|gaussian-derivatives|gabor)\b"):
        load(word)
