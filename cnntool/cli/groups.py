"""Groups of commands that are imported when they are asked for, so that a help page waits for none of them."""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMAND_LINE = "cnntool.command_line"  # in the `meta` of a context


def command_line() -> str:
    """The command that is running, as it was typed: for the metadata of pictures."""
    from cnntool.images.names import as_text

    return as_text(str(click.get_current_context().meta.get(COMMAND_LINE, "cnntool")))


class LateGroup(click.Group):
    """The commands of `table` (name -> line of help), each in a module of its own.

    `place` is `module:attribute`, with `{0}` for the command's name.
    """

    def __init__(self, *arguments: Any, table: dict[str, str], place: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.table, self.place = table, place

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        module, _, attribute = self.place.format(name).partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            from cnntool.declare import did_you_mean

            near = did_you_mean(args[0], self.table) or f"; the commands are {', '.join(self.table)}"
            raise click.UsageError(f"no command is called {args[0]!r}{near}", ctx)
        return super().resolve_command(ctx, args)
