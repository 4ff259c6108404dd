"""`cnntool layers`: every layer word, with its options."""

from __future__ import annotations

import click

from cnntool.chain.commands import group_of, help_page
from cnntool.declare import help_of
from cnntool.layers.table import LAYERS, load


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For completion: the layers, or the names that follow one."""
    if parameter.name == "name":
        return list(LAYERS)
    group = group_of(load(ctx.args[0]))
    return [] if group is None else list(group.table)


@click.command(name="layers")
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_names)
@click.argument("bank", metavar="[BANK]", required=False, shell_complete=_names)
@click.pass_context
def command(ctx: click.Context, name: str | None, bank: str | None) -> None:
    """The layer words, or all about one of them: `cnntool layers conv`, `cnntool layers bank gabor`."""
    if name is not None:
        click.echo(help_page(name, bank or "", ctx))
        return
    formatter = ctx.make_formatter()
    formatter.write_dl([(word, help_of(load(word))) for word in LAYERS])
    click.echo(formatter.getvalue() + "\n`cnntool layers NAME` explains one of them.")
