"""ResNet-50 at 224 x 224 as other tools count it."""

from __future__ import annotations

import pytest

from cnntool import Pipeline
from cnntool.network.conventions import CONVENTIONS
from tests.network import architectures

RESNET_50 = architectures.resnet_bottleneck(3, 4, 6, 3) + architectures.HEAD
SIZE = (224, 224, 3)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_total_is_the_tool_s(convention):
    found = Pipeline.parse(RESNET_50).shape(SIZE, convention=convention)
    assert found["totals"]["macs"] == CONVENTIONS[convention].resnet50
    assert sum(row["macs"] for row in found["layers"]) == CONVENTIONS[convention].resnet50


def test_the_stride_of_the_paper_costs_less():
    words = architectures.resnet_bottleneck(3, 4, 6, 3, stride_first=True) + architectures.HEAD
    assert Pipeline.parse(words).shape(SIZE)["totals"]["macs"] == 3_857_973_248


def test_a_convention_that_is_not_ours_is_named():
    assert "convention" not in Pipeline.parse("relu").shape((3, 3, 1))
    assert Pipeline.parse("relu").shape((3, 3, 1), convention="thop")["convention"] == "thop"


@pytest.mark.parametrize("words", ["conv 8 3 --groups 2", "fc 10", "batchnorm", "relu", "maxpool 2", "bank sobel"])
def test_conventions_differ_in_cost_alone(words):
    ours = Pipeline.parse(words).shape((9, 8, 4))["layers"]
    for convention in CONVENTIONS:
        theirs = Pipeline.parse(words).shape((9, 8, 4), convention=convention)["layers"]
        assert [row | {"macs": 0} for row in theirs] == [row | {"macs": 0} for row in ours]
