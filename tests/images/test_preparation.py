from __future__ import annotations

import pytest

from cnntool.images.preparation import (
    IMAGENET,
    MAX_PIXELS,
    Preparation,
    parse_crop,
    parse_normalize,
    parse_resize,
    to_json,
)


def test_words_are_read():
    assert parse_resize("256") == 256
    assert parse_resize("256x320") == (256, 320)
    assert parse_crop("224") == (224, 224)
    assert parse_crop("224X320") == (224, 320)
    assert parse_normalize("imagenet") == IMAGENET
    assert parse_normalize("0.5/0.25") == ((0.5,), (0.25,))
    assert parse_normalize("0.485,0.456,0.406/0.229,0.224,0.225") == IMAGENET


@pytest.mark.parametrize("text", ["", "x", "3x", "-1", "0", "1.5", "1x2x3", "70000", "٣", "0x5"])
def test_sizes_that_are_none_are_refused(text):
    for parse in (parse_resize, parse_crop):
        with pytest.raises(ValueError, match="expected"):
            parse(text)


@pytest.mark.parametrize("text", ["", "0.5", "0.5/0", "1/-1", "nan/1", "1/inf", "1,2/1,2,3", "a/b", "1/2/3"])
def test_statistics_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"expected|above 0"):
        parse_normalize(text)


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((480, 640), 256, (256, 341)),  # torchvision: int(256 * 640 / 480)
        ((640, 480), 256, (341, 256)),
        ((100, 100), 7, (7, 7)),
        ((480, 640), (30, 20), (30, 20)),
        ((480, 640), None, (480, 640)),
    ],
)
def test_resized(size, resize, expected):
    assert Preparation(resize=resize).resized(*size) == expected


def test_a_resize_that_would_be_too_large_is_refused():
    with pytest.raises(ValueError, match=str(MAX_PIXELS)):
        Preparation(resize=60000).size(1, 60000)


def test_crop():
    assert Preparation(resize=256, crop=(224, 224)).size(480, 640) == (224, 224)
    assert Preparation(crop=(3, 4)).corner(10, 9) == (4, 2)
    with pytest.raises(ValueError, match="too few"):
        Preparation(crop=(11, 3)).size(10, 9)


def test_channels():
    assert Preparation().channels(7) == 7
    assert Preparation(gray=True).channels(3) == 1
    assert Preparation(rgb=True).channels(1) == 3
    assert Preparation(normalize=((0.5,), (0.5,))).channels(7) == 7
    assert Preparation(rgb=True, normalize=IMAGENET).channels(1) == 3
    for preparation, channels in [(Preparation(gray=True), 7), (Preparation(normalize=IMAGENET), 1)]:
        with pytest.raises(ValueError, match="channel"):
            preparation.channels(channels)
    with pytest.raises(ValueError, match="exclude"):
        Preparation(gray=True, rgb=True)


def test_channels_that_are_fixed():
    assert Preparation(crop=(3, 3)).fixed_to(1) == Preparation(crop=(3, 3), gray=True)
    assert Preparation().fixed_to(3) == Preparation(rgb=True)
    assert Preparation(gray=True).fixed_to(3) == Preparation(gray=True)
    assert Preparation().fixed_to(5) == Preparation()


def test_the_limit_on_pixels_decides_no_number() -> None:
    limited = Preparation(gray=True, max_pixels=100)
    assert to_json(limited) == to_json(Preparation(gray=True))
    limited.check_pixels(10, 10)
    with pytest.raises(ValueError, match="10 x 11 pixels are too many: at most 100 are read"):
        limited.check_pixels(10, 11)
