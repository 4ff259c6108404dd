"""`cnntool shape`: the shape calculator."""

from __future__ import annotations

import os
from typing import Any

import click

from cnntool.cli.options import IMAGE, ChainCommand, chain_options, image_options, pipeline_of, preparation_of
from cnntool.cli.streams import tell
from cnntool.declare import is_integer
from cnntool.errors import CnntoolError
from cnntool.limits import LARGEST_SHAPE_SIDE
from cnntool.network.conventions import CONVENTIONS
from cnntool.pipeline import Pipeline

# A shape like 3x224x224, where channels come first, as other tools write it: so many rows, and more of the others.
COLOURS, LEAST_SIDE = (1, 3, 4), 8


@click.command(cls=ChainCommand, name="shape")
@click.argument("input", metavar="HxWxC|IMAGE")
@chain_options
@image_options
@click.option("--json", "form", flag_value="json", help="One JSON object.")
@click.option("--csv", "form", flag_value="csv", help="A line a layer, for spreadsheets.")
@click.option("--markdown", "form", flag_value="markdown", help="A Markdown table.")
@click.option("--convention", type=click.Choice(list(CONVENTIONS)), default="cnntool", show_default=True,
              help="Count the cost as another tool does.")  # fmt: skip
@click.option("--without-sharing", is_flag=True, help="Add: parameters if each position had its own filters.")
@click.option("--as-fc", is_flag=True, help="Add: parameters of a full connection between the same volumes.")
def command(input: str, words: tuple[str, ...], form: str | None, convention: str, **values: Any) -> None:
    """Shapes, parameters, multiply-adds and receptive fields of a chain of layers, without touching a pixel.

    \b
    cnntool shape 224x224x3 conv 64 7 --stride 2 --padding 3 relu maxpool 2
    cnntool shape photo.jpg -p network.cnn

    MACs are multiply-adds of convolutions and full connections. The receptive field is what one output position sees,
    in input pixels; jump the distance of two neighbours' fields; centre that of the first.
    """
    from cnntool.cli import report

    counted = {name: values.pop(name) for name in ("without_sharing", "as_fc")}
    preparation_values = {name: values.pop(name) for name in IMAGE}
    model = values["model"]
    pipeline = pipeline_of(words, **values)
    shape = input_shape_of(input, preparation_values, pipeline)
    if model is not None:
        pipeline.weights(shape)  # raises if the model's arrays do not fit the shape
    summary = pipeline.shape(shape, convention=convention, **counted)
    report.show_summary(summary, pipeline, form or "table")


def input_shape_of(text: str, preparation: dict[str, Any], pipeline: Pipeline) -> tuple[int, int, int]:
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
        raise CnntoolError(f"{text}: no such file, and no shape such as 224x224x3")
    from cnntool.images.read import image_shape

    return image_shape(text, preparation_of(preparation, pipeline))
