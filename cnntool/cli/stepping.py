"""`cnntool explain --terminal`: one step after another, by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cnntool.cli.streams import printable, results

if TYPE_CHECKING:
    from cnntool.explaining.data import Explanation
    from cnntool.explaining.language import Language

NEXT = {" ", "\r", "\n", "j", "\x1b[C", "\x1b[B"}  # arrows to the right and down
BACK = {"b", "k", "\x7f", "\x1b[D", "\x1b[A"}
QUIT = {"q", "\x1b", "\x03", "\x04"}


def step_through(found: list[Explanation], language: Language) -> None:
    """Shows the steps of all layers on cleared screens until a key ends it."""
    from cnntool.explaining.text import heading, steps_of

    pages = [(heading(one, language), list(steps_of(one, language))) for one in found]
    layer, step = 0, 0
    while True:
        with results():
            show(pages, layer, step, language)
        try:
            key = click.getchar()
        except (KeyboardInterrupt, EOFError):
            return
        if key in QUIT:
            return
        layer, step = moved(key, layer, step, [len(steps) for _, steps in pages])


def moved(key: str, layer: int, step: int, counts: list[int]) -> tuple[int, int]:
    """Where a key leads; past the ends it stays."""
    last = len(counts) - 1
    if key in NEXT:
        if step + 1 < counts[layer]:
            return layer, step + 1
        return (layer + 1, 0) if layer < last else (layer, step)
    if key in BACK:
        if step:
            return layer, step - 1
        return (layer - 1, counts[layer - 1] - 1) if layer else (layer, step)
    if key == "n":
        return min(layer + 1, last), 0 if layer < last else step
    if key == "p":
        return max(layer - 1, 0), 0
    return layer, step


def show(pages: list[tuple[list[str], list[list[str]]]], layer: int, step: int, language: Language) -> None:
    """One screen: the layer, its steps so far, the keys."""
    head, steps = pages[layer]
    click.clear()
    for line in (*head, "", *(line for lines in steps[: step + 1] for line in lines)):
        click.echo(printable(line))
    place = language.say("terminal.place", layer=layer + 1, layers=len(pages), step=step + 1, steps=len(steps))
    click.echo(f"\n{click.style(place, bold=True)}\n{click.style(language.say('terminal.keys'), dim=True)}")
