"""`cnntool show compare`: fully connected against convolutional, and batch normalisation."""

from __future__ import annotations

import sys
from typing import Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import InputCommand, image_options, overwrite_option, preparation_of, seed_option
from cnntool.cli.streams import results
from cnntool.errors import CnntoolError
from cnntool.files import outputs

SMALLEST = 8  # pixels a side that the convolutions need


@click.command(cls=InputCommand, name="compare")
@click.argument("input", metavar="IMAGE")
@click.argument("out", metavar="OUT")
@seed_option
@image_options
@overwrite_option
def compare(input: str, out: str, seed: int, overwrite: bool, **values: Any) -> None:
    """A fully connected layer against a convolution, and batch normalisation before and after, on an image.

    \b
    cnntool show compare photo.jpg compare.png

    The parameters of both as the image grows, also as a table on stdout; what each makes of the same pattern at
    another place, and of pixels in another order; activations before and after batch normalisation, and the gamma and
    beta that give them back. All numbers come from layers with the weights of --seed.
    """
    from cnntool.cli.reading import volume_of
    from cnntool.pictures.compare import draw_compare
    from cnntool.pictures.comparison import CONV, FC
    from cnntool.pictures.figures import check_picture

    check_picture("OUT", out)
    preparation = preparation_of(values)
    with outputs(out, overwrite=overwrite):
        volume = volume_of(input, preparation)
        if min(volume.shape[:2]) < SMALLEST:
            size = "x".join(map(str, volume.shape[:2]))
            raise CnntoolError(f"{input}: {size} pixels are too few: expected at least {SMALLEST}x{SMALLEST}")
        rows = draw_compare(out, volume, seed, command_line())
    from cnntool.cli.report import console_of, table_of_numbers

    table = table_of_numbers("image", FC, CONV, "ratio")
    for row in rows:
        ratio = row.fc / row.conv
        table.add_row(f"{row.side}x{row.side}", f"{row.fc:,}", f"{row.conv:,}", f"{ratio:,.1f}")
    with results():
        console_of(sys.stdout).print(table)
