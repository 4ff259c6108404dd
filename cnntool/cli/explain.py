"""`cnntool explain`: the arithmetic of one output of each layer."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    CHAIN,
    IMAGE,
    ChainCommand,
    chain_options,
    image_options,
    overwrite_option,
    pipeline_of,
    preparation_of,
    value_option,
)
from cnntool.cli.shape import input_shape_of
from cnntool.cli.streams import printable, results, tell
from cnntool.declare import is_integer
from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    import numpy as np

    from cnntool.explaining.data import Explanation
    from cnntool.explaining.language import Language
    from cnntool.explaining.units import Computed
    from cnntool.pipeline import Pipeline

LARGEST_PLACE = 10**7


def parse_place(text: str) -> tuple[int, int, int]:
    """`Y,X,C`, or `Y,X` for channel 0."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3) or not all(is_integer(part) and 0 <= int(part) <= LARGEST_PLACE for part in parts):
        raise ValueError(
            f"{text!r} is no place of an output: expected ROW,COLUMN,CHANNEL counted from 0, such as 1,1,0"
        )
    y, x, *c = (int(part) for part in parts)
    return y, x, c[0] if c else 0


lang_option = click.option(
    "--lang", type=click.Choice(["en", "ro"]), default="en", show_default=True, help="The language of the sentences."
)


@click.command(cls=ChainCommand, name="explain")
@click.argument("input", metavar="HxWxC|IMAGE|FILE.npy")
@chain_options
@image_options
@value_option("--at", parse=parse_place, metavar="Y,X,C",
              help="Which number of the last output, counted from 0; its middle when not given.")  # fmt: skip
@click.option("--row", type=click.IntRange(1), metavar="N", help="Only the layer of this row.")
@click.option("--values", metavar="FILE", help="Typed numbers of the input and the filters, as text.")
@click.option("--terminal", is_flag=True, help="Step through it with the keyboard.")
@click.option("--animate", metavar="OUT", help="The window on its way, as .gif, .svg or .html.")
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@lang_option
def command(
    input: str, words: tuple[str, ...], at: tuple[int, int, int] | None, row: int | None, values: str | None,
    terminal: bool, animate: str | None, overwrite: bool, as_json: bool, lang: str, **others: Any,
) -> int:  # fmt: skip
    """The arithmetic of one output of each layer, with the real numbers: window, filter, products, sum, bias.

    \b
    cnntool explain 5x5x3 conv 2 3 --stride 2 --padding 1
    cnntool explain photo.jpg --at 20,30,5 conv 16 5 relu maxpool 2
    cnntool explain 5x5x3 --animate demo.gif conv 2 3 --stride 2 --padding 1
    cnntool explain 4x4x1 --values typed.txt --at 0,0,0 maxpool 2

    Of the last layer the output at --at is explained, of each layer before it the number that counts most in that.
    All is computed in float64, plainly, and compared with what the kernels give; the exit code is 1 where they differ
    by more than rounding. A shape alone is filled with small whole numbers, and so are its filters, by --seed.

    FILE of --values has rows of numbers below names: x[:,:,0] is channel 0 of the input, w1[:,:,0] of filter 1, b1 its
    bias, and `layer 3` goes on with the layer of row 3, whose other arrays have their own names, such as gamma.
    """
    from cnntool.explaining.language import Language
    from cnntool.explaining.units import compute, explain

    language = Language(lang)
    chain = {name: others.pop(name) for name in CHAIN if name != "words"}
    pipeline = pipeline_of(words, **chain)
    check_forms(terminal=terminal, animate=animate, as_json=as_json)
    volume, drawn = numbers_of(input, pipeline, values, {name: others.pop(name) for name in IMAGE}, chain["model"])
    computed = compute(pipeline, volume)
    found = explain(computed, at)
    if row is not None:
        found = only(found, row)
    differing = [one for one in found if not one.agrees]
    for one in differing:
        tell(f"{one.words} (layer {one.row}): the kernels compute {one.computed}, expected {one.account.value}")
    if animate is not None:
        animation(computed, animate, overwrite, language, row)
    elif terminal:
        from cnntool.cli.stepping import step_through

        step_through(found, language)
    else:
        with results():
            show(found, computed, language, drawn, as_json)
    return 1 if differing else 0


def check_forms(*, terminal: bool, animate: str | None, as_json: bool) -> None:
    """One form at a time, and what can be refused before any work."""
    given = [name for name, there in (("--terminal", terminal), ("--animate", animate), ("--json", as_json)) if there]
    if len(given) > 1:
        raise CnntoolError(f"{given[0]} and {given[1]} exclude each other: give one of them")
    if terminal and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CnntoolError("--terminal reads the keyboard of a terminal, and there is none: leave it out to print all")
    if animate is not None:
        from cnntool.explaining.forms import check_suffix

        check_suffix(animate)


def numbers_of(
    input: str, pipeline: Pipeline, values: str | None, preparation: dict[str, Any], model: str | None
) -> tuple[np.ndarray, bool]:
    """The input's volume, and whether it was drawn; typed and small numbers go into the pipeline."""
    from cnntool.explaining.values import read_values, small_arrays, small_numbers, use_values

    typed = read_values(values) if values is not None else None
    if os.path.exists(input):
        from cnntool.images.read import read_volume

        volume = read_volume(input, preparation_of(preparation, pipeline), tell)
        shape, drawn = volume.shape, False
    else:
        shape = input_shape_of(input, preparation, pipeline)
        drawn = typed is None or typed.input is None
        pipeline.graph.shapes(shape)  # tells what does not fit before anything is drawn
        volume = small_numbers(shape, pipeline.seed)
        if model is None:
            pipeline.set_weights(small_arrays(pipeline, shape))
    if typed is not None:
        if typed.input is not None:
            if typed.input.shape != tuple(shape):
                sizes = ("x".join(map(str, size)) for size in (shape, typed.input.shape))
                raise CnntoolError("{}: INPUT is {}, and x is {}: expected one shape".format(values, *sizes))
            volume = typed.input
        use_values(pipeline, typed, volume.shape)
    return volume, drawn


def only(found: list[Explanation], row: int) -> list[Explanation]:
    """The explanation of one row."""
    kept = [one for one in found if one.row == row]
    if not kept:
        rows = ", ".join(str(one.row) for one in found[:20])
        raise CnntoolError(f"--row {row}: no such row on the way to the output: expected one of {rows}")
    return kept


def show(found: list[Explanation], computed: Computed, language: Language, drawn: bool, as_json: bool) -> None:
    """Prints explanations as text or JSON."""
    from cnntool.explaining.forms import as_object
    from cnntool.explaining.text import explanation_lines, wrapped

    if as_json:
        click.echo(json.dumps(as_object(found, computed, language), indent=1))
        return
    notes = [language.say("head.source")]
    if drawn:
        notes.append(language.say("head.drawn", seed=computed.pipeline.seed))
    click.echo("\n".join(wrapped(" ".join(notes), "")))
    for one in found:
        click.echo()
        for line in explanation_lines(one, language):
            click.echo(printable(line))


def animation(computed: Computed, output: str, overwrite: bool, language: Language, row: int | None) -> None:
    """Writes the window's way over the input."""
    from cnntool.explaining.forms import animated
    from cnntool.files import atomic, outputs

    with outputs(output, overwrite=overwrite):
        content = animated(computed, output, language, row, command_line())
        with atomic(output) as file:
            file.write(content)
