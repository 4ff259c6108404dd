"""Names of maps, and their places in a grid, through layers and branches."""

from __future__ import annotations

import pytest

from cnntool import Pipeline
from cnntool.network.maps import maps_of

SHAPE = (24, 24, 3)


def maps(words: str, shape: tuple[int, int, int] = SHAPE):
    return maps_of(Pipeline.parse(words).graph, shape)


def test_of_a_bank_through_what_keeps_its_channels() -> None:
    found = maps(
        "whiten bank gabor --scales 2 --orientations 3 relu standardize maxpool 2 lrn dropout 0.1 globalpool avg"
    )
    assert found.names == [f"gabor {scale} {degrees}deg" for scale in (0, 1) for degrees in (0, 60, 120)]
    assert found.places == [(s, o) for s in (0, 1) for o in (0, 1, 2)]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("relu", ["channel 0", "channel 1", "channel 2"]),
        ("conv 2 3 batchnorm relu", ["conv 0", "conv 1"]),
        ("bank sobel conv 2 3", ["conv 0", "conv 1"]),
        ("bank sobel --magnitude", ["sobel"]),
        ("bank sobel --per-channel", [f"sobel {axis} c{c}" for c in range(3) for axis in "xy"]),
        ("bank gabor --scales 1 --orientations 2 --energy", ["gabor 0 0deg", "gabor 0 90deg"]),
        ("bank laws --size 3 --pairs --no-level", ["L3E3/E3L3", "L3S3/S3L3", "E3E3", "E3S3/S3E3", "S3S3"]),
        ("mark a conv 2 3 --padding 1 concat a", ["conv 0", "conv 1", "channel 0", "channel 1", "channel 2"]),
        ("bank sobel mark x relu concat x", ["sobel x", "sobel y", "sobel x (x)", "sobel y (x)"]),
        ("mark a conv 3 3 --padding 1 add a", ["conv 0", "conv 1", "conv 2"]),
        ("fc 2 softmax", ["fc 0", "fc 1"]),
        ("bank sobel globalpool avg flatten", ["sobel x", "sobel y"]),
        ("bank sobel avgpool 24x12 flatten", [f"sobel {axis} y0 x{x}" for x in (0, 1) for axis in "xy"]),
        ("conv 2 24 flatten", ["flatten 0", "flatten 1"]),
    ],
)
def test_names(words: str, names: list[str]) -> None:
    assert maps(words).names == names


def test_places() -> None:
    lm = maps("bank lm").places
    assert lm is not None
    assert len(set(lm)) == 48
    assert lm[7] == (1, 1), "the second edge of the second scale"
    assert lm[18] == (0, 6), "bars stand beside edges"
    assert lm[36:] == [(3, column) for column in range(12)]
    assert maps("bank mr8").places == [(0, 0), (1, 0), (2, 0), (0, 2), (1, 2), (2, 2), (3, 0), (3, 1)]
    schmid = maps("bank schmid").places
    assert schmid is not None
    assert schmid[0] == (0, 0)
    assert schmid[-1] == (4, 3), "sigma 10, tau 4"
    assert maps("bank sobel mark x relu concat x").places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert maps("bank sobel --per-channel").places == [(c, axis) for c in range(3) for axis in range(2)]
    assert maps("conv 4 3").places is None


BANKS = ("gabor --quadrature", "lm", "rfs", "mr8", "schmid", "morlet", "morlet --modulus", "dct", "laws",
         "laws --no-level", "sobel", "gaussian-derivatives", "laplacian", "random")  # fmt: skip


@pytest.mark.parametrize("bank", BANKS)
def test_each_map_has_its_name_and_its_place(bank: str) -> None:
    pipeline = Pipeline.parse(f"bank {bank}")
    channels = pipeline.shape((64, 64, 1))["layers"][-1]["output_shape"][2]
    names, places, named = maps_of(pipeline.graph, (64, 64, 1))
    assert named
    assert len(set(names)) == len(names) == channels
    assert places is None or len(set(places)) == len(places) == channels
