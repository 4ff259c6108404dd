"""Commands that take a bank by its name, with the bank's own options among theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cnntool.banks.table import LEARNED
from cnntool.chain.commands import command_of, group_of
from cnntool.declare import Nested, did_you_mean, fields_of
from cnntool.errors import CnntoolError
from cnntool.layers.table import load


def banks() -> Nested:
    """The banks that the layer `bank` takes."""
    group = group_of(load("bank"))
    assert group is not None
    return group


def options_of_bank(name: str) -> list[click.Option]:
    """The options of a bank itself, without those of the layer."""
    own = {field.name for field in fields_of(banks().load(name))}
    return [p for p in command_of("bank", name).params if p.name in own and isinstance(p, click.Option)]


class BankCommand(click.Command):
    """The first argument is a bank's name (or a .npy file of filters); its options are then known as well.

    The bank comes as `ctx.obj`; None where the first argument is no bank, which `others` then must allow.
    """

    others = False

    def offered(self, words: Sequence[str]) -> tuple[list[str], list[click.Option]]:
        """For completion after `words`: the names of banks, if none stands there yet, else the options of that one."""
        group = banks()
        name = next((word for word in words if word in group.table), None)
        if name is not None:
            return [], options_of_bank(name)
        fixed = [name for name in group.table if name not in LEARNED]
        return ([], []) if any(not word.startswith("-") for word in words) else (fixed, [])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        group = banks()
        name = next((word for word in args if word in group.table), None)
        first = next((word for word in args if not word.startswith("-")), None)
        is_file = first is not None and first.lower().endswith(".npy")
        if name is None and not is_file:
            if first is not None and not self.others:
                near = did_you_mean(first, group.table) or f"; expected {', '.join(group.table)}, or a .npy file"
                raise CnntoolError(f"{first!r} is no bank{near}")
            return super().parse_args(ctx, args)
        declared = group.load(name or group.fallback)
        own = {field.name: field for field in fields_of(declared)}
        extra = options_of_bank(name or group.fallback)
        plain = self.params
        self.params = [*plain, *extra]
        try:
            rest = super().parse_args(ctx, args)
        finally:
            self.params = plain
        values: dict[str, Any] = {str(p.name): ctx.params.pop(str(p.name)) for p in extra}
        required = [field for field in own.values() if field.metadata["argument"]]
        if is_file and name is None:
            values[required[0].name] = first
        elif required:
            raise CnntoolError(f"bank {name}: its filters come from data: expected a fixed bank, or a model")
        ctx.obj = declared(**values)
        return rest
