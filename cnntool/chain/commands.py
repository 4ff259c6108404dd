"""A click command for each declared class, so that click parses, checks and explains a layer's words."""

from __future__ import annotations

import functools
from typing import Any

import click

from cnntool.declare import (
    MISSING,
    Blank,
    Choice,
    File,
    Flag,
    Integer,
    Kind,
    Nested,
    Padding,
    Pair,
    Text,
    did_you_mean,
    fields_of,
    help_of,
    option_name,
)
from cnntool.errors import CnntoolError
from cnntool.network.templates import Template

SOLVING = "solving"  # the object of a context in which a `?` may stand for a number
NUMBERS = (Integer, Pair, Padding)


class KindType(click.ParamType):
    """A kind of value as click's parameter type."""

    def __init__(self, kind: Kind, base: str | None = "") -> None:
        self.kind, self.base, self.name = kind, base, kind.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            if "?" in value and isinstance(self.kind, NUMBERS) and ctx is not None and ctx.obj == SOLVING:
                return Blank(self.kind, value)
            parsed = self.kind.parse(value)
        except ValueError as error:
            self.fail(f"{error}{self.about_blanks(value, ctx)}", param, ctx)
        if isinstance(self.kind, File) and self.base is None:
            self.fail(f"the file {value!r} is not read here: expected layers without files", param, ctx)
        if isinstance(self.kind, File) and self.base:
            from pathlib import Path

            return str(Path(self.base, parsed))
        return parsed

    def about_blanks(self, value: str, ctx: click.Context | None) -> str:
        """What to say of a `?` that is refused."""
        if "?" not in value or isinstance(self.kind, Text | File):
            return ""
        if ctx is not None and ctx.obj == SOLVING:
            return (
                ""
                if isinstance(self.kind, NUMBERS)
                else "; a `?` stands for a whole number of a size, a padding or a count"
            )
        return "; `cnntool shape --solve TARGET` finds the numbers that a `?` stands for"


class LayerCommand(click.Command):
    """Makes an object of a declared class from its words."""

    def __init__(self, name: str, declared: type, base: str | None, nested: type | None = None) -> None:
        self.declared, self.nested = declared, nested
        fields = [
            field
            for declaration in ([nested, declared] if nested else [declared])
            for field in fields_of(declaration)
            if not isinstance(field.metadata["kind"], Nested)
        ]
        self.argument_help = {field.name: field.metadata["help"] for field in fields if field.metadata["argument"]}
        super().__init__(
            name,
            params=[_parameter(field, base) for field in fields],
            help=(nested or declared).__doc__,
            short_help=help_of(nested or declared),
            add_help_option=False,
            no_args_is_help=False,
        )

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = ["[OPTIONS]"] if any(isinstance(p, click.Option) for p in self.params) else []
        for parameter in self.params:
            if isinstance(parameter, click.Argument):
                pieces.append(str(parameter.metavar) if parameter.required else f"[{parameter.metavar}]")
        formatter.write_usage(str(self.name), " ".join(pieces), prefix="")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        arguments = [p for p in self.params if isinstance(p, click.Argument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([(str(p.metavar), self.argument_help[str(p.name)]) for p in arguments])
        super().format_options(ctx, formatter)
        group = group_of(self.declared)
        if group is not None and self.nested is None:
            with formatter.section("Names"):
                formatter.write_dl([(name, help_of(group.load(name))) for name in group.table])

    def make(self, words: list[str]) -> Any:
        """The object that the words describe; raises click's errors."""
        return self.build(self.make_context(self.name, list(words)).params)

    def make_open(self, words: list[str]) -> Any:
        """The same, of words that may have a `?` for a number: then a template of the object."""
        values = self.make_context(self.name, list(words), obj=SOLVING).params
        names = [str(parameter.name) for parameter in self.params]
        blanks = {name: values[name] for name in names if isinstance(values[name], Blank)}
        if not blanks:
            return self.build(values)
        labels = {str(p.name): str(p.metavar if isinstance(p, click.Argument) else p.opts[-1]) for p in self.params}
        return Template(self.declared, self.build, values, blanks, labels)

    def build(self, values: dict[str, Any]) -> Any:
        """The object with these values of its fields."""
        values = dict(values)
        if self.nested is None:
            return self.declared(**values)
        inner = {field.name: values.pop(field.name) for field in fields_of(self.nested)}
        outer = next(f.name for f in fields_of(self.declared) if isinstance(f.metadata["kind"], Nested))
        return self.declared(**{outer: self.nested(**inner)}, **values)


def _parameter(field: Any, base: str | None) -> click.Parameter:
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
    if field.default is not None:
        text = f"{text}  [default: {kind.word(field.default)}]"
    return click.Option(
        names, type=KindType(kind, base), default=field.default, help=text,
        metavar=kind.metavar,
    )  # fmt: skip


@functools.cache
def command_of(word: str, nested: str = "", base: str | None = "") -> LayerCommand:
    """The command of a layer word; `nested` is the name that follows it, where the layer is a group of names."""
    from cnntool.layers.table import load

    declared = load(word)
    group = group_of(declared)
    if group is None:
        return LayerCommand(word, declared, base)
    name = nested if nested in group.table else group.fallback
    return LayerCommand(f"{word} {name}" if nested in group.table else word, declared, base, group.load(name))


def help_page(word: str, nested: str, parent: click.Context) -> str:
    """The help of a layer, or of one name of a group, such as a bank."""
    from cnntool.layers.table import load

    group = group_of(load(word))
    if nested and (group is None or nested not in group.table):
        known = "" if group is None else did_you_mean(nested, group.table) or f"; expected {', '.join(group.table)}"
        raise CnntoolError(f"{word} has no {nested!r}{known}")
    if group is not None and not nested:
        command = LayerCommand(f"{word} {group.metavar}", load(word), "")
    else:
        command = command_of(word, nested)
    ctx = click.Context(command, terminal_width=parent.terminal_width, max_content_width=parent.max_content_width)
    return command.get_help(ctx)


def group_of(declared: type) -> Nested | None:
    """The nested field of a layer that is a group of names, such as `bank`."""
    return next((f.metadata["kind"] for f in fields_of(declared) if isinstance(f.metadata["kind"], Nested)), None)


def is_optional_choice(parameter: click.Parameter) -> bool:
    kind = getattr(parameter.type, "kind", None)
    return isinstance(parameter, click.Argument) and not parameter.required and isinstance(kind, Choice)
