"""Simple drawings, of rectangles and text, frame by frame, and how they become an animated GIF."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image, ImageDraw

from cnntool.images.captions import font
from cnntool.images.colours import rgb

# Fill, outline and ink of each style; an empty text is none. The styles are also the classes of the vector form.
STYLES = {
    "input": ("#dbe9f6", "#b3c7dc", "#1c1c20"),
    "padding": ("#ececee", "#d4d4d8", "#3f3f47"),
    "filter": ("#fbe3df", "#e3bcb5", "#1c1c20"),
    "output": ("#dff2e1", "#b5d3b9", "#1c1c20"),
    "mark-input": ("#7fb2e5", "#1d5c9c", "#1c1c20"),
    "mark-filter": ("#f2a297", "#a9372a", "#1c1c20"),
    "mark-output": ("#7fcb8a", "#1f7a33", "#1c1c20"),
    "head": ("", "", "#1c1c20"),
    "title": ("", "", "#55555e"),
    "work": ("", "", "#1c1c20"),
}
PAPER = "#ffffff"
SIZES = {"head": 18, "title": 13, "work": 15}  # pixels of text; 14 for others
COLOURS = 64  # of the GIF's palette


class Box(NamedTuple):
    """A rectangle in pixels, in one of STYLES."""

    x: float
    y: float
    width: float
    height: float
    style: str


class Label(NamedTuple):
    """Text in one of STYLES; `x`, `y`: its middle, or with `left` the middle of its left end."""

    x: float
    y: float
    text: str
    style: str
    left: bool = False


class Frame(NamedTuple):
    """What one frame adds: boxes under the labels of the drawing, and labels of its own."""

    boxes: list[Box]
    labels: list[Label]


class Drawing(NamedTuple):
    """What all frames share, from the first to be drawn to the last, and the frames."""

    width: int
    height: int
    boxes: list[Box]
    labels: list[Label]
    frames: list[Frame]


def length(text: str, style: str) -> float:
    """Pixels across."""
    return float(font(SIZES.get(style, 14)).getlength(text))


def picture(drawing: Drawing, frame: Frame, size: tuple[int, int]) -> Image.Image:
    """One frame."""
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    for box in (*drawing.boxes, *frame.boxes):
        fill, outline, _ = STYLES[box.style]
        corners = (box.x, box.y, box.x + box.width, box.y + box.height)
        draw.rectangle(corners, fill or None, outline or None, 2 if box.style.startswith("mark") else 1)
    for label in (*drawing.labels, *frame.labels):
        anchor = "lm" if label.left else "mm"
        ink = rgb(STYLES[label.style][2])
        draw.text((label.x, label.y), label.text, ink, font(SIZES.get(label.style, 14)), anchor)
    return image


def as_gif(drawings: list[Drawing], milliseconds: int, comment: str = "") -> bytes:
    """All frames of all drawings one after another, over and over."""
    size = max(d.width for d in drawings), max(d.height for d in drawings)
    pictures = [picture(drawing, frame, size) for drawing in drawings for frame in drawing.frames]
    palette = pictures[0].quantize(COLOURS, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in pictures]
    stream = io.BytesIO()
    frames[0].save(
        stream, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, comment=comment.encode()
    )
    return stream.getvalue()
