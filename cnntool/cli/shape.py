"""`cnntool shape`: the shape calculator, its inverse, two networks side by side, and the memory of training."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import click

from cnntool.cli.options import (
    IMAGE,
    ChainCommand,
    image_options,
    model_option,
    options,
    pipeline_of,
    preparation_of,
    seed_option,
    until_option,
    value_option,
)
from cnntool.cli.streams import tell
from cnntool.declare import Integer, is_integer
from cnntool.errors import CnntoolError
from cnntool.learning.optimisers import OPTIMISERS
from cnntool.limits import LARGEST_SHAPE_SIDE
from cnntool.network.conventions import CONVENTIONS
from cnntool.network.solving import parse_sizes, parse_target
from cnntool.network.templates import LARGEST_COUNT, LARGEST_SIZE
from cnntool.pipeline import Pipeline

# A shape like 3x224x224, where channels come first, as other tools write it: so many rows, and more of the others.
COLOURS, LEAST_SIDE = (1, 3, 4), 8
LISTED, BATCH = 1000, 32  # solutions, images

solve_options = options(
    value_option("--solve", parse=parse_target, metavar="TARGET",
                 help="Find the number for each '?' that gives this output: 27x27, 27x27x64, ?x27 or unchanged."),
    value_option("--up-to", parse=Integer(1),
                 help=f"With --solve, the largest number tried. Default: {LARGEST_SIZE} in sizes, strides, paddings "
                      f"and dilations, {LARGEST_COUNT} elsewhere."),
    value_option("--limit", parse=Integer(1),
                 help=f"With --solve, the most solutions that are listed. Default: {LISTED}."),
)  # fmt: skip


@click.command(cls=ChainCommand, name="shape")
@click.argument("input", metavar="HxWxC|IMAGE")
@click.option("-p", "--pipeline", "pipeline_files", metavar="FILE|-", multiple=True,
              help="Take the layers from a file of words.")  # fmt: skip
@model_option
@until_option
@seed_option
@image_options
@click.option("--json", "form", flag_value="json", help="One JSON object.")
@click.option("--csv", "form", flag_value="csv", help="A line a layer, for spreadsheets.")
@click.option("--markdown", "form", flag_value="markdown", help="A Markdown table.")
@click.option("--convention", type=click.Choice(list(CONVENTIONS)), default="cnntool", show_default=True,
              help="Count the cost as another tool does.")  # fmt: skip
@click.option("--without-sharing", is_flag=True, help="Add: parameters if each position had its own filters.")
@click.option("--as-fc", is_flag=True, help="Add: parameters of a full connection between the same volumes.")
@solve_options
@click.option("--compare", is_flag=True, help="Set two networks side by side: the words, -p or -m, and one more -p.")
@click.option("--train", is_flag=True, help="The memory of a training step, as PyTorch allocates it.")
@value_option("--batch", parse=Integer(1, 2**20), help=f"With --train, the images of a step. Default: {BATCH}.")
@click.option("--optimizer", type=click.Choice(list(OPTIMISERS)), help="With --train. Default: adam.")
def command(
    input: str, words: tuple[str, ...], pipeline_files: tuple[str, ...], form: str | None, **values: Any
) -> None:
    """Shapes, parameters, multiply-adds and receptive fields of a chain of layers, without touching a pixel.

    \b
    cnntool shape 224x224x3 conv 64 7 --stride 2 --padding 3 relu maxpool 2
    cnntool shape photo.jpg -p network.cnn
    cnntool shape 55x55x96 --solve unchanged conv 64 '?' --padding '?'
    cnntool shape 224x224x3 --compare -p vgg16.cnn -p vgg19.cnn
    cnntool shape 224x224x3 --train --batch 64 -p vgg16.cnn

    MACs are multiply-adds of convolutions and full connections. The receptive field is what one output position sees,
    in input pixels; jump the distance of two neighbours' fields; centre that of the first.

    With --solve, each '?' (quoted, or the shell may take it for a file) is one number of a size, a padding or a count:
    '?' is square, '?x3' is a height. Both '?' of an input '?x?x3' are one number.
    """
    prepared = {name: values.pop(name) for name in IMAGE}
    modes = {name: values.pop(name) for name in ("solve", "compare", "train")}
    chosen = [f"--{name}" for name, given in modes.items() if given]
    if len(chosen) > 1:
        raise CnntoolError(f"{chosen[0]} and {chosen[1]} exclude each other: give one of them")
    mode = Mode(input, prepared, form, **{name: values.pop(name) for name in Mode._fields[3:]})
    mode.check(chosen[0] if chosen else "", values["model"])
    files = list(pipeline_files)
    other = files.pop() if modes["compare"] and files else None
    if len(files) > 1:
        raise CnntoolError(f"--pipeline {files[0]} and --pipeline {files[1]} exclude each other: give one of them")
    chain = values | {"words": words, "pipeline_file": files[0] if files else None}
    if modes["solve"] is not None:
        from cnntool.cli.shape_solve import solve

        sizes = open_sizes_of(input) or input_shape_of(input, prepared)
        solve(sizes, modes["solve"], chain, mode.up_to, mode.limit or LISTED, form == "json")
        return
    pipeline = pipeline_of(**chain)
    shape = input_shape_of(input, prepared, pipeline)
    if values["model"] is not None:
        pipeline.weights(shape)  # raises if the model's arrays do not fit the shape
    summary = pipeline.shape(shape, **mode.counted)
    if modes["compare"]:
        from cnntool.cli.shape_compare import Side, show_comparison

        if other is None:
            raise CnntoolError("--compare: expected a second network, as -p FILE")
        second = pipeline_of((), other, values["until"], values["seed"])
        name = chain["pipeline_file"] or values["model"] or "words"
        sides = Side(name, pipeline, summary), Side(other, second, second.shape(shape, **mode.counted))
        show_comparison(*sides, form == "json")
    elif modes["train"]:
        from cnntool.cli.shape_train import show_training

        show_training(pipeline, summary, mode.batch or BATCH, mode.optimizer or "adam", form == "json")
    else:
        from cnntool.cli import report

        report.show_summary(summary, pipeline, form or "table")


class Mode(NamedTuple):
    """Options that belong to some of the ways of using the calculator only."""

    input: str
    prepared: dict[str, Any]
    form: str | None
    convention: str
    without_sharing: bool
    as_fc: bool
    up_to: int | None
    limit: int | None
    batch: int | None
    optimizer: str | None

    @property
    def counted(self) -> dict[str, Any]:
        """What the summary counts."""
        return {"convention": self.convention, "without_sharing": self.without_sharing, "as_fc": self.as_fc}

    def check(self, chosen: str, model: str | None) -> None:
        """Raises a CnntoolError for options that the chosen way does not use."""
        given = {
            "--up-to": (self.up_to, ("--solve",)),
            "--limit": (self.limit, ("--solve",)),
            "--batch": (self.batch, ("--train",)),
            "--optimizer": (self.optimizer, ("--train",)),
            "--model": (model, ("", "--compare", "--train")),
            "--csv": (self.form == "csv", ("",)),
            "--markdown": (self.form == "markdown", ("",)),
            "--convention": (self.convention != "cnntool", ("", "--compare")),
            "--without-sharing": (self.without_sharing, ("", "--compare")),
            "--as-fc": (self.as_fc, ("", "--compare")),
        }
        for name, (value, ways) in given.items():
            if value and chosen not in ways:
                wrong = f"does not go with {chosen}" if chosen else f"expected {ways[0]} with it"
                raise CnntoolError(f"{name}: {wrong}")


def open_sizes_of(text: str) -> tuple[int | None, ...] | None:
    """The sizes of an input of which some are open, such as ?x?x3; None for any other."""
    if "?" not in text or os.path.exists(text):
        return None
    sizes = parse_sizes(text)
    if len(sizes) not in (2, 3) or any(size and size > LARGEST_SHAPE_SIDE for size in sizes):
        raise CnntoolError(f"{text}: expected HEIGHTxWIDTHxCHANNELS, each '?' or 1 to {LARGEST_SHAPE_SIDE}")
    return sizes if len(sizes) == 3 else (*sizes, 1)


def input_shape_of(text: str, preparation: dict[str, Any], pipeline: Pipeline | None = None) -> tuple[int, int, int]:
    """A shape as typed, or that of an image from its header, to which the image options apply."""
    parts = text.lower().split("x")
    if all(is_integer(part) for part in parts) and not os.path.exists(text):
        sizes = [int(part) for part in parts]
        if len(sizes) == 2:
            sizes.append(1)
        if len(sizes) != 3 or not all(1 <= size <= LARGEST_SHAPE_SIDE for size in sizes):
            raise CnntoolError(
                f"{text}: expected HEIGHTxWIDTHxCHANNELS, each from 1 to {LARGEST_SHAPE_SIDE}, such as 224x224x3"
            )
        if any(preparation.values()):
            raise CnntoolError(f"{text} is a shape: --gray, --rgb, --resize, --crop and --normalize need an image")
        height, width, channels = sizes
        if height in COLOURS and min(width, channels) >= LEAST_SIDE:
            last = f"{width}x{channels}x{height}"
            tell(f"cnntool: {text} is height {height} and {channels} channels; channels come last: is it {last}?")
        return height, width, channels
    if not os.path.exists(text):
        blank = "; --solve TARGET finds the sizes that a '?' stands for" if "?" in text else ""
        raise CnntoolError(f"{text}: no such file, and no shape such as 224x224x3{blank}")
    from cnntool.images.read import image_shape

    return image_shape(text, preparation_of(preparation, pipeline))
