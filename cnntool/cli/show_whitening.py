"""`cnntool show whitening`: two channels of an image as they are centred, normalised, decorrelated and whitened."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import InputCommand, image_options, overwrite_option, preparation_of, value_option
from cnntool.errors import CnntoolError
from cnntool.files import outputs


def parse_pair(text: str) -> tuple[int, int]:
    """`0,2`: two different channels."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts) or int(parts[0]) == int(parts[1]):
        raise ValueError(f"{text!r}: expected the numbers of two channels, such as 0,1")
    return int(parts[0]), int(parts[1])


def parse_ranges(text: str) -> tuple[float, float]:
    """`20,2`: two positive numbers."""
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = 0.0
    if not (0 < first < 1e6 and 0 < second < 1e6):
        raise ValueError(f"{text!r}: expected two positive numbers, such as 20,2")
    return first, second


@click.command(cls=InputCommand, name="whitening")
@click.argument("input", metavar="IMAGE")
@click.argument("out", metavar="OUT")
@value_option(
    "--channels",
    parse=parse_pair,
    metavar="A,B",
    default=(0, 1),
    help="The channels called A and B.  [default: 0,1]",
    show_default=False,
)
@value_option(
    "--ranges",
    parse=parse_ranges,
    metavar="A,B",
    help="Stretch A to 0..A and B to 0..B first: 20,2 is the example that the method is taught with.",
)
@image_options
@overwrite_option
def whitening(
    input: str, out: str, channels: tuple[int, int], ranges: tuple[float, float] | None, overwrite: bool, **values: Any
) -> None:  # fmt: skip
    """Two channels of an image as scattered points, before and after centring, standardising, decorrelating, whitening.

    \b
    cnntool show whitening photo.jpg scatter.png
    cnntool show whitening photo.jpg scatter.png --channels 0,2 --ranges 20,2

    Each panel tells the two means, deviations and the correlation of all its points, and the matrix W and the shift b
    that make it of the first: [A' B'] = [A B] W + b. Of a gray image, A is a pixel and B its neighbour to the right.
    """
    from cnntool.cli.reading import volume_of
    from cnntool.pictures.figures import check_picture
    from cnntool.pictures.whitening import draw_whitening, two_channels

    check_picture("OUT", out)
    preparation = preparation_of(values)
    with outputs(out, overwrite=overwrite):
        volume = volume_of(input, preparation)
        try:
            pair, names = two_channels(volume, channels, ranges)
        except ValueError as error:
            raise CnntoolError(f"{input}: {error}") from None
        draw_whitening(out, pair, names, command_line())
