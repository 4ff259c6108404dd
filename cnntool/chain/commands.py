"""A click command for each declaration, so that click parses, checks and explains a layer's words."""

from __future__ import annotations

import functools
from typing import Any

import click

from cnntool.declare import MISSING, Choice, File, Flag, Kind, Nested, fields_of, help_of, option_name


class KindType(click.ParamType):
    """A kind of value as click's parameter type."""

    def __init__(self, kind: Kind, base: str = "") -> None:
        self.kind, self.base, self.name = kind, base, kind.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = self.kind.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(self.kind, File) and self.base:
            from pathlib import Path

            return str(Path(self.base, parsed))
        return parsed


class LayerCommand(click.Command):
    """Makes an object of the declared class from its words."""

    def __init__(self, name: str, declared: type, base: str, nested: type | None = None) -> None:
        self.declared, self.nested = declared, nested
        declarations = [nested, declared] if nested else [declared]
        super().__init__(
            name,
            params=[
                _parameter(field, base)
                for declaration in declarations
                for field in fields_of(declaration)
                if not isinstance(field.metadata["kind"], Nested)
            ],
            help=(nested or declared).__doc__,
            short_help=help_of(nested or declared),
            add_help_option=False,
            no_args_is_help=False,
        )

    def make(self, words: list[str]) -> Any:
        """The object of the words; click's errors when they do not fit."""
        values = self.make_context(self.name, list(words)).params
        if self.nested is None:
            return self.declared(**values)
        inner = {field.name: values.pop(field.name) for field in fields_of(self.nested)}
        outer = next(f.name for f in fields_of(self.declared) if isinstance(f.metadata["kind"], Nested))
        return self.declared(**{outer: self.nested(**inner)}, **values)


def _parameter(field: Any, base: str) -> click.Parameter:
    kind, text = field.metadata["kind"], field.metadata["help"]
    if field.metadata["argument"]:
        optional = field.default is not MISSING
        default = {"default": field.default} if optional else {}
        return click.Argument(
            [field.name], type=KindType(kind, base), required=not optional, metavar=kind.metavar, **default
        )
    names = [field.name, option_name(field)]
    if isinstance(kind, Flag):
        return click.Option(names, is_flag=True, flag_value=not field.default, default=field.default, help=text)
    shown = kind.word(field.default) if field.default is not None else None
    return click.Option(
        names, type=KindType(kind, base), default=field.default, help=text, show_default=shown or False,
        metavar=kind.metavar,
    )  # fmt: skip


@functools.cache
def command_of(word: str, nested: str = "", base: str = "") -> LayerCommand:
    """The command of a layer word; `nested` is the name that follows it, where the layer is a group of names."""
    from cnntool.layers.table import load

    declared = load(word)
    group = group_of(declared)
    if group is None:
        return LayerCommand(word, declared, base)
    name = nested if nested in group.table else group.fallback
    return LayerCommand(f"{word} {name}" if nested in group.table else word, declared, base, group.load(name))


def group_of(declared: type) -> Nested | None:
    """The nested field of a layer that is a group of names, such as `bank`."""
    return next((f.metadata["kind"] for f in fields_of(declared) if isinstance(f.metadata["kind"], Nested)), None)


def is_optional_choice(parameter: click.Parameter) -> bool:
    kind = getattr(parameter.type, "kind", None)
    return isinstance(parameter, click.Argument) and not parameter.required and isinstance(kind, Choice)
