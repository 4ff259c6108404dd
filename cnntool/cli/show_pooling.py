"""`cnntool show pooling`: kinds of pooling side by side, and a convolution that can take their place."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    image_options,
    overwrite_option,
    pipeline_of,
    preparation_of,
    refuse_layer_as_output,
    value_option,
)
from cnntool.declare import Integer
from cnntool.errors import CnntoolError
from cnntool.files import outputs
from cnntool.late import np


@click.command(cls=ChainCommand, name="pooling")
@click.argument("input", metavar="IMAGE")
@click.argument("out", metavar="OUT")
@value_option("--size", parse=Integer(1, 64), default=2, help="Height and width of the windows.")
@value_option("--stride", parse=Integer(1, 64), help="Step between windows: their size.")
@value_option("--channel", parse=Integer(0), help="Which map of the layers is pooled. Default: the strongest.")
@chain_options
@image_options
@overwrite_option
def pooling(
    input: str, out: str, size: int, stride: int | None, channel: int | None, overwrite: bool, **values: Any
) -> None:  # fmt: skip
    """Max, average and L2 pooling of an image, and a convolution of the same stride, with the numbers of a few windows.

    \b
    cnntool show pooling photo.jpg pools.png
    cnntool show pooling photo.jpg pools.png --size 3 --stride 2 bank sobel --magnitude

    It tells which share of the activations is left. With layers, a map of theirs is pooled; without, the gray image.
    The filter of the convolution is drawn from --seed: training would find a better one.
    """
    from cnntool.cli.reading import volume_of
    from cnntool.images.sheet import chosen
    from cnntool.pictures.figures import check_picture
    from cnntool.pictures.pooling import draw_pooling

    refuse_layer_as_output(out)
    check_picture("OUT", out)
    chain = {name: values.pop(name) for name in CHAIN}
    layers = bool(chain["words"] or chain["pipeline_file"] or chain["model"])
    pipeline = pipeline_of(**chain) if layers else None
    preparation = preparation_of(values, pipeline)
    with outputs(out, overwrite=overwrite):
        volume = volume_of(input, preparation)
        if pipeline is None:
            maps, title = volume.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32), "the gray image"
        else:
            pipeline.require_fitted()
            maps, title = pipeline.run(volume), " ".join(chain["words"]) or "the layers"
        if channel is not None and channel >= maps.shape[2]:
            raise CnntoolError(f"--channel {channel}: expected 0 to {maps.shape[2] - 1}")
        number = chosen(maps, 1, 1)[0] if channel is None else channel
        if maps.shape[2] > 1:
            title += f", map {number}"
        draw_pooling(out, maps[:, :, number], size, stride or size, title, chain["seed"], command_line())
