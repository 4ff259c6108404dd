"""Animations as one SVG that runs by itself, and as a page with controls."""

from __future__ import annotations

import html
from collections.abc import Sequence

from cnntool.explaining.language import Language
from cnntool.explaining.pages import Markup, fill, template
from cnntool.images.drawing import Box, Drawing, Frame, Label


def box_text(box: Box) -> str:
    place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
    return f'<rect class="{box.style}" {place}/>'


def label_text(label: Label) -> str:
    style = f"{label.style} left" if label.left else label.style
    return f'<text class="{style}" x="{label.x:g}" y="{label.y:g}">{html.escape(label.text)}</text>'


def group(pieces: Sequence[str], attributes: str = "") -> str:
    return f"<g{attributes}>{''.join(pieces)}</g>"


def inside(drawing: Drawing, frames: Sequence[str]) -> list[str]:
    """What lies in a drawing: cells, the marks of the frames over them, and the numbers on top."""
    return [group([*map(box_text, drawing.boxes)]), *frames, group([*map(label_text, drawing.labels)])]


def frame_text(frame: Frame, attributes: str) -> str:
    return group([*map(box_text, frame.boxes), *map(label_text, frame.labels)], attributes)


def as_svg(drawings: list[Drawing], milliseconds: int, title: str, command: str) -> str:
    """An SVG that shows frame after frame by CSS animations; with reduced motion it shows the first."""
    width, height = max(d.width for d in drawings), max(d.height for d in drawings)
    frames = sum(len(d.frames) for d in drawings)
    timing = f"animation: {frames * milliseconds}ms step-end infinite"
    rules = [template("animation.css"), f".part {{ visibility: hidden; {timing} }}"]
    rules.append("@media (prefers-reduced-motion: reduce) { .part { animation: none } .still { visibility: visible } }")
    pieces, first = [], 0
    for drawing in drawings:
        rules.append(keyframes(f"scene{first}", len(drawing.frames), frames))
        texts = [
            frame_text(frame, part("one", first + place, milliseconds, still=not first + place))
            for place, frame in enumerate(drawing.frames)
        ]
        pieces.append(group(inside(drawing, texts), part(f"scene{first}", first, milliseconds, still=not first)))
        first += len(drawing.frames)
    rules.append(keyframes("one", 1, frames))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{html.escape(title)}">',
        f"<desc>{html.escape(command)}</desc>", f"<style>{chr(10).join(rules)}</style>", *pieces, "</svg>\n",
    ])  # fmt: skip


def keyframes(name: str, shown: int, frames: int) -> str:
    """Visible for so many of all frames."""
    if shown == frames:
        return f"@keyframes {name} {{ from, to {{ visibility: visible }} }}"
    share = 100 * shown / frames
    return f"@keyframes {name} {{ 0% {{ visibility: visible }} {share:.4f}%, 100% {{ visibility: hidden }} }}"


def part(name: str, first: int, milliseconds: int, *, still: bool) -> str:
    """The attributes of a group that appears at its time; the first of all is `still` there without motion."""
    style = f"animation-name:{name};animation-delay:{first * milliseconds}ms"
    return f' class="part{" still" if still else ""}" style="{style}"'


def as_page(drawings: list[Drawing], titles: list[str], milliseconds: int, language: Language, command: str) -> str:
    """A page that plays the frames, with buttons and keys."""
    scenes = []
    for drawing, title in zip(drawings, titles, strict=True):
        texts = [frame_text(frame, ' class="frame" hidden=""') for frame in drawing.frames]
        size = f'viewBox="0 0 {drawing.width} {drawing.height}" width="{drawing.width}" height="{drawing.height}"'
        head = f'<svg {size} role="img" aria-label="{html.escape(title)}" data-time="{milliseconds}" hidden="">'
        scenes.append("\n".join([head, *inside(drawing, texts), "</svg>"]))
    frames = sum(len(d.frames) for d in drawings)
    says = {key: language.say(f"animation.{key}") for key in ("play", "pause", "back", "forward", "position", "keys")}
    return fill(
        "animation.html", lang=language.name, title=titles[0], command=command, last=str(frames - 1),
        frame=language.say("animation.frame", number="@n", count="@m"), style=Markup(template("animation.css")),
        script=Markup(template("animation.js")), scenes=Markup("\n".join(scenes)), **says,
    )  # fmt: skip
