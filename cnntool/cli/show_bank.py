"""`cnntool show bank`: a bank of filters in space and in frequency."""

from __future__ import annotations

import click

from cnntool.cli.banks import BankCommand
from cnntool.cli.groups import command_line
from cnntool.cli.options import overwrite_option
from cnntool.files import outputs


@click.command(cls=BankCommand, name="bank")
@click.argument("name", metavar="NAME|FILE.npy")
@click.argument("out", metavar="OUT")
@overwrite_option
@click.pass_obj
def bank(filters: object, name: str, out: str, overwrite: bool) -> None:
    """A bank of filters in space and in frequency, and what all of them together let through.

    \b
    cnntool show bank gabor bank.png
    cnntool show bank gabor --scales 3 --orientations 6 bank.svg

    The bank's own options may be given, as `cnntool layers bank NAME` tells them. In frequency, black is no response
    and the middle is the mean; every filter has its own scale.
    """
    from cnntool.banks.base import FilterBank
    from cnntool.pictures.figures import check_picture
    from cnntool.pictures.responses import draw_bank

    assert isinstance(filters, FilterBank)
    check_picture("OUT", out)
    with outputs(out, overwrite=overwrite):
        draw_bank(out, filters, f"bank {name}", command_line())
