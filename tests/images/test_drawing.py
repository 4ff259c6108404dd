"""Drawings as GIF: sizes, colours and time."""

from __future__ import annotations

import io

from PIL import Image

from cnntool.images.colours import rgb
from cnntool.images.drawing import STYLES, Box, Drawing, Frame, Label, as_gif, length


def drawing(width: int = 60) -> Drawing:
    boxes = [Box(10, 10, 20, 20, "input"), Box(30, 10, 20, 20, "input")]
    frames = [Frame([Box(10 + 20 * n, 10, 20, 20, "mark-input")], []) for n in range(2)]
    return Drawing(width, 40, boxes, [Label(20, 35, "1", "input")], frames)


def test_each_frame_marks_its_box() -> None:
    with Image.open(io.BytesIO(as_gif([drawing()], 800, "made by hand"))) as image:
        assert image.size == (60, 40)
        assert image.n_frames == 2
        assert image.info["duration"] == 800
        assert image.info["comment"] == b"made by hand"
        for number in range(2):
            image.seek(number)
            pixels = image.convert("RGB")
            fills = [pixels.getpixel((15 + 20 * place, 15)) for place in range(2)]
            expected = [rgb(STYLES["mark-input" if place == number else "input"][0]) for place in range(2)]
            assert all(
                sum(abs(a - b) for a, b in zip(x, y, strict=True)) < 12 for x, y in zip(fills, expected, strict=True)
            )


def test_drawings_one_after_another_share_one_size() -> None:
    with Image.open(io.BytesIO(as_gif([drawing(), drawing(90)], 100))) as image:
        assert image.size == (90, 40)
        assert image.n_frames == 4


def test_length_grows_with_the_text() -> None:
    assert 0 < length("1", "input") < length("11", "input") < length("11", "head")


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""

    def light(text: str) -> float:
        parts = [part / 255 for part in rgb(text)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_text_can_be_read_on_every_cell() -> None:
    """4.5, as WCAG asks for; the padding's numbers also on marked cells."""
    inks = {STYLES[style][2] for style in ("input", "padding")}
    for fill, _, _ in STYLES.values():
        for ink in inks:
            assert contrast(fill or "#ffffff", ink) >= 4.5
