"""Receptive fields, parameters and cost of known networks, as the literature and the usual libraries give them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.network.summary import Field
from tests.network import architectures

ALEXNET_V2 = architectures.ALEXNET_FEATURES.replace("--stride 4 --padding 2", "--stride 4")


@pytest.mark.parametrize(
    ("words", "size", "parameters"),
    [
        (architectures.LENET, (32, 32, 1), 61_706),
        (architectures.ALEXNET, (224, 224, 3), 61_100_840),
        (architectures.vgg(2, 2, 3, 3, 3) + architectures.VGG_HEAD, (224, 224, 3), 138_357_544),
        (architectures.vgg(2, 2, 4, 4, 4) + architectures.VGG_HEAD, (224, 224, 3), 143_667_240),
        (architectures.squeezenet(), (224, 224, 3), 1_248_424),
        (architectures.mobilenet() + architectures.HEAD, (224, 224, 3), 4_231_976),
        (architectures.resnet_basic(2, 2, 2, 2) + architectures.HEAD, (224, 224, 3), 11_689_512),
        (architectures.resnet_bottleneck(3, 4, 6, 3) + architectures.HEAD, (224, 224, 3), 25_557_032),
        ("conv 96 11 --stride 4", (227, 227, 3), 34_944),
    ],
    ids=["lenet", "alexnet", "vgg16", "vgg19", "squeezenet", "mobilenet", "resnet18", "resnet50", "lecture"],
)
def test_parameters(words, size, parameters):
    assert Pipeline.parse(words).shape(size)["totals"]["parameters"] == parameters


@pytest.mark.parametrize(
    ("words", "field", "center"),
    [
        (ALEXNET_V2, 195, 33),
        (architectures.ALEXNET_FEATURES, 195, 31),
        (architectures.vgg(2, 2, 3, 3, 3), 212, 15.5),
        (architectures.vgg(2, 2, 3, 3, 3).removesuffix("maxpool 2"), 196, None),
        (architectures.vgg(2, 2, 4, 4, 4), 268, None),
        (architectures.mobilenet(), 315, None),
        (architectures.resnet_basic(2, 2, 2, 2), 435, None),
        (architectures.resnet_basic(3, 4, 6, 3), 899, None),
        (architectures.resnet_bottleneck(3, 4, 6, 3), 427, None),
        (architectures.resnet_bottleneck(3, 4, 23, 3), 971, None),
        (architectures.resnet_bottleneck(3, 8, 36, 3), 1451, None),
        (architectures.resnet_bottleneck(3, 4, 6, 3, stride_first=True), 483, None),
        (architectures.resnet_bottleneck(3, 4, 23, 3, stride_first=True), 1027, None),
        (architectures.resnet_bottleneck(3, 8, 36, 3, stride_first=True), 1507, None),
        ("conv 1 3 --dilation 2 --padding 2", 5, 0),
    ],
)
def test_receptive_fields(words, field, center):
    row = Pipeline.parse(words).shape((224, 224, 3))["layers"][-1]
    assert row["receptive_field"] == [field, field]
    if center is not None:
        assert row["center"] == [center, center]


def test_branches_meet_in_the_hull_of_their_fields():
    words = "mark x conv 1 3 --padding 1 mark a from x conv 1 1x7 --padding 0x3 concat a"
    row = Pipeline.parse(words).shape((9, 9, 1))["layers"][-1]
    assert row["receptive_field"] == [3, 7]
    assert row["center"] == [0, 0]
    shifted = "mark x conv 1 3 --padding 0,0,2,2 mark a from x conv 1 3 --padding 2,2,0,0 add a"
    row = Pipeline.parse(shifted).shape((9, 9, 1))["layers"][-1]
    assert row["receptive_field"] == [5, 5]  # pixels 0 to 2 and -2 to 0
    assert row["center"] == [0, 0]


def test_the_hull_of_two_intervals():
    assert Field(3, 1, 1.0).hull(Field(3, 1, 4.0)) == Field(6, 1, 2.5)
    assert Field(7, 2, 0.0).hull(Field(3, 2, 1.0)) == Field(7, 2, 0.0)
    assert Field(2, 1, 0.5).hull(Field(1, 1, 0.0)) == Field(2, 1, 0.5)


@pytest.mark.parametrize(
    "words",
    [
        "conv 2 3 --stride 2 --padding 1 relu maxpool 2",
        "conv 2 2x3 --dilation 2x1 conv 2 3 --stride 1x2 avgpool 3x2 --stride 2",
        "maxpool 3 --stride 2 --padding 1 conv 2 3 --padding 1",
        "mark x conv 2 1 mark a from x conv 2 5 --padding 2 add a conv 2 2",
    ],
)
def test_an_output_changes_with_the_pixels_of_its_field_and_no_others(words):
    pipeline = Pipeline.parse(words)
    row = pipeline.shape((31, 33, 1))["layers"][-1]
    place = [size // 2 for size in row["output_shape"][:2]]
    low, high = ([], [])
    for axis in (0, 1):
        middle = row["center"][axis] + place[axis] * row["jump"][axis]
        low.append(int(middle - (row["receptive_field"][axis] - 1) / 2))
        high.append(int(middle + (row["receptive_field"][axis] - 1) / 2))
    x = np.random.default_rng(0).random((31, 33, 1), np.float32)
    around = np.full_like(x, 5)
    field = slice(low[0], high[0] + 1), slice(low[1], high[1] + 1)
    around[field] = x[field]
    at = tuple(place)
    np.testing.assert_allclose(pipeline.run(around)[at], pipeline.run(x)[at], rtol=1e-5, atol=1e-6)
    for edge in (low[0], high[0]):
        spoilt = x.copy()
        spoilt[edge, field[1]] = np.nan
        assert np.isnan(pipeline.run(spoilt)[at]).all()
    for edge in (low[1], high[1]):
        spoilt = x.copy()
        spoilt[field[0], edge] = np.nan
        assert np.isnan(pipeline.run(spoilt)[at]).all()


def test_the_rows_and_their_sums():
    words = "mark x conv 8 3 --padding 1 batchnorm relu mark y abs from y whiten maxpool 2 fc 10"
    found = Pipeline.parse(words).shape((10, 12, 3))
    rows = found["layers"]
    assert found["input"] == [10, 12, 3]
    assert [row["row"] for row in rows] == [1, 2, 3, 5, 6, 7]
    assert [row["buffers"] for row in rows] == [0, 16, 0, 8 + 64, 0, 0]
    assert rows[0]["macs"] == 10 * 12 * 8 * 27
    assert rows[-1]["macs"] == 5 * 6 * 8 * 10
    for row in rows:
        assert row["output_bytes"] == 4 * math.prod(row["output_shape"])
    for key in ("parameters", "macs"):
        assert found["totals"][key] == sum(row[key] for row in rows)
    assert found["totals"]["activation_bytes"] == sum(row["output_bytes"] for row in rows)
    assert json.loads(json.dumps(found)) == found


def test_what_sharing_saves():
    row = Pipeline.parse("conv 96 11 --stride 4").shape((227, 227, 3), without_sharing=True)["layers"][0]
    assert row["parameters"] == 34_944
    assert row["parameters_without_sharing"] == 105_705_600


def test_what_a_full_connection_would_need():
    found = Pipeline.parse("conv 4 3 relu").shape((5, 5, 2), as_fc=True)
    assert [row["parameters_as_fc"] for row in found["layers"]] == [51 * 36, 0]
    assert found["totals"]["parameters_as_fc"] == 51 * 36
