"""What the configurations promise: pairs counted from their words, sizes, repeatability, agreement with oracles."""

from __future__ import annotations

import itertools
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.cases import factors
from tests.cases.configurations import Configuration, chains, configurations, convolutions, others, pools
from tests.cases.evaluation import POOLS, Row
from tests.cases.pairwise import all_pairs, pairs_of
from tests.cases.words import ARGUMENTS
from tests.oracles import registry

# ONNX pools in Python, window by window; SciPy convolves without stride, and with the zeros of a dilated kernel.
MOST_POOLING_OF_ONNX = 10_000
MOST_WORK_OF_ORACLES = 3_000_000


def covered(configurations, choice_of):
    return set(itertools.chain.from_iterable(pairs_of(choice_of(one)) for one in configurations))


def convolution_choice(configuration: Configuration) -> factors.Choice:
    (layer,), (height, width, in_channels) = configuration.layers, configuration.shape
    groups, out_channels = int(layer.options.get("--groups", 1)), int(layer.arguments[0])
    depthwise = "depthwise" if out_channels == in_channels else "multiplied"
    return {
        "size": f"{height}x{width}",
        "in_channels": in_channels,
        "out_channels": out_channels,
        "kernel": layer.arguments[1],
        **{name: layer.options.get(f"--{name}", "") for name in ("stride", "padding", "dilation")},
        "grouping": "one" if groups == 1 else depthwise if groups == in_channels else "some",
        "bias": "--no-bias" not in layer.options,
    }


def pooling_choice(configuration: Configuration) -> factors.Choice:
    (layer,), (height, width, channels) = configuration.layers, configuration.shape
    return {
        "pool": layer.word + (" --count-padding" if "--count-padding" in layer.options else ""),
        "size": f"{height}x{width}",
        "channels": channels,
        "kernel": layer.arguments[0],
        **{name: layer.options.get(f"--{name}", "") for name in ("stride", "padding", "dilation")},
        "ceil": "--ceil" in layer.options,
    }


def other_choice(configuration: Configuration) -> factors.Choice:
    height, width, channels = configuration.shape
    return {"layer": configuration.words, "size": f"{height}x{width}", "channels": channels}


def test_there_are_many():
    assert len(configurations()) >= 600
    assert len(convolutions()) + len(pools()) >= 500
    assert len(configurations()) == len(set(map(str, configurations())))


def test_all_pairs_of_convolutions_occur_but_groupings_no_channels_have():
    missing = set(all_pairs(factors.CONVOLUTION)) - covered(convolutions(), convolution_choice)
    assert {second[0] for _, second in missing} == {"grouping"}
    for (name, channels), (_, grouping) in missing:
        for other in factors.CHANNELS:
            pair = {"in_channels": other, "out_channels": other, name: channels}
            assert factors.channels_of({**pair, "grouping": grouping})[0] == 0


def test_all_pairs_of_pools_occur_but_paddings_wider_than_half_the_kernel():
    missing = set(all_pairs(factors.POOLING)) - covered(pools(), pooling_choice)
    explicit = [padding for padding in factors.POOLING["padding"] if padding not in ("", "same", "valid")]
    assert missing == {
        (("kernel", kernel), ("padding", padding))
        for kernel in factors.POOLING["kernel"]
        for padding in explicit
        if not factors.padding_fits(kernel, padding)
    }


def test_all_pairs_of_the_other_layers_occur():
    assert covered(others(), other_choice) == set(all_pairs(factors.OTHERS))


def test_every_word_occurs():
    assert {layer.word for one in configurations() for layer in one.layers} == set(ARGUMENTS)


def test_every_width_and_height_below_16_occurs():
    for axis in (0, 1):
        assert set(range(1, 16)) <= {one.shape[axis] for one in (*convolutions(), *pools())}


def test_chains_have_two_layers_or_more():
    assert all(2 <= len(one.rows) <= 8 for one in chains())


@pytest.mark.parametrize("one", configurations(), ids=str)
def test_the_twins_compute_it_and_the_oracles_agree(one):
    assert one.work <= factors.LARGEST_WORK
    x, weights = one.volume(), one.weights()
    y = one.reference(x, weights)
    assert y.shape == one.output_shape
    assert min(y.shape) >= 1
    assert np.isfinite(y).all()
    for oracle in one.oracles:
        if oracle in registry.installed() and all(quick(oracle, row) for row in one.rows):
            tolerance = 10 * registry.TOLERANCE[oracle]
            expected = one.reference(x, weights, registry.load(oracle))
            np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance, err_msg=oracle)


def quick(oracle: str, row: Row) -> bool:
    if oracle == "onnx" and row.operation in POOLS:
        return row.work <= MOST_POOLING_OF_ONNX
    if oracle == "scipy" and row.operation == "conv":
        return row.work * np.prod(row.options["stride"]) * np.prod(row.options["dilation"]) <= MOST_WORK_OF_ORACLES
    return oracle == "torch" or row.work <= MOST_WORK_OF_ORACLES


def test_nearly_all_have_an_oracle():
    counted = [len(one.oracles) for one in (*convolutions(), *pools())]
    assert min(counted) >= 1
    assert sum(count >= 2 for count in counted) >= 0.9 * len(counted)


def checksum() -> int:
    """Of all words and shapes, and of some of the numbers."""
    text = "\n".join(map(str, configurations()))
    some = [array for one in chains() for array in (one.volume(), *(a for row in one.weights() for a in row.values()))]
    return zlib.crc32(b"".join([text.encode(), *(np.round(array, 3).tobytes() for array in some)]))


def test_another_process_makes_the_same():
    script = "from tests.cases.test_configurations import checksum; print(checksum())"
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": str(root), "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, check=True)
    assert int(other.stdout) == checksum()


def test_reference_wants_the_configuration_s_own_shape():
    with pytest.raises(ValueError, match=r"expected a volume of \(4, 4, 1\)"):
        Configuration("relu", (4, 4, 1)).reference(np.zeros((1, 4, 4)), [{}])
