"""Blocks of layers: what stands in one box, and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntool import Pipeline
from cnntool.network.blocks import Block, blocks_of
from cnntool.network.graph import INPUT

PIPELINES = sorted((Path(__file__).parents[2] / "samples" / "pipelines").glob("*.cnn"))


def blocks(words: str) -> list[Block]:
    pipeline = Pipeline.parse(words)
    return blocks_of(pipeline.graph, pipeline.shape((16, 16, 3)))


def test_normalisation_and_activation_stand_with_their_layer() -> None:
    found = blocks("conv 4 3 batchnorm relu maxpool 2 fc 2 softmax")
    assert [block.lines for block in found] == [
        ["conv 4 3", "batchnorm", "relu"], ["maxpool 2"], ["fc 2", "softmax"]
    ]  # fmt: skip
    assert [block.parameters for block in found] == [4 * 28 + 8, 0, 7 * 7 * 4 * 2 + 2]
    assert [block.inputs for block in found] == [[INPUT], [0], [1]]
    assert [(block.level, block.lane) for block in found] == [(1, 0), (2, 0), (3, 0)]


def test_branches_stand_beside_and_what_is_marked_ends_a_block() -> None:
    found = blocks("conv 4 1 mark x relu conv 4 3 --padding 1 mark y from x conv 4 1 add y relu")
    assert [block.lines for block in found] == [
        ["conv 4 1"], ["relu"], ["conv 4 3 --padding 1"], ["conv 4 1"], ["add y", "relu"]
    ]  # fmt: skip
    assert [block.inputs for block in found] == [[INPUT], [0], [1], [0], [3, 2]]
    assert [(block.level, block.lane) for block in found] == [(1, 0), (2, 0), (3, 0), (2, 1), (4, 0)]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_of_real_networks_nothing_is_lost_and_nothing_covers_another(path: Path) -> None:
    pipeline = Pipeline.read(path)
    summary = pipeline.shape((224, 224, 3)) if "lenet" not in path.stem else pipeline.shape((32, 32, 1))
    found = blocks_of(pipeline.graph, summary)
    assert sorted(node for block in found for node in block.nodes) == pipeline.graph.needed()
    assert sum(block.parameters for block in found) == summary["totals"]["parameters"]
    assert len({(block.level, block.lane) for block in found}) == len(found)
    for block in found:
        assert all(source == INPUT or found[source].level < block.level for source in block.inputs)
