"""The pages that are written from the declarations of layers, banks and commands."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from typing import Any

import click

from cnntool.chain.commands import group_of
from cnntool.cli.main import COMMANDS, cnntool
from cnntool.declare import MISSING, Flag, fields_of, option_name
from cnntool.layers import table as layers

BANKS = group_of(layers.load("bank"))  # all the names that `bank` takes
assert BANKS is not None

NOTICE = "<!-- Written by docs/generate.py from the declarations: change those, not this page. -->"


def escaped(text: str) -> str:
    """Text whose special characters stand for themselves, outside of `code`."""
    pieces = text.split("`")
    return "`".join(piece if i % 2 else re.sub(r"([*_<|])", r"\\\1", piece) for i, piece in enumerate(pieces))


def code(text: str) -> str:
    """Code in a cell of a table, where a bar would end the cell."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def text_of(declared: Any) -> str:
    """The docstring as Markdown: a paragraph after click's backspace is a block of code."""
    paragraphs = (inspect.getdoc(declared) or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{p.removeprefix(chr(8)).strip()}\n```" if p.startswith("\b") else escaped(p) for p in paragraphs
    )


def rows(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    if not lines:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ("---",) * len(head), *lines]) + "\n"


def field_rows(declared: type) -> str:
    """A table of the arguments and options of a declaration."""
    lines = []
    for field in fields_of(declared):
        kind, required = field.metadata["kind"], field.default is MISSING
        default = "" if required or field.default is None or isinstance(kind, Flag) else code(kind.word(field.default))
        if field.metadata["argument"]:
            name = kind.metavar if required else f"[{kind.metavar}]"
        else:
            name = f"{option_name(field)} {kind.metavar}".strip()
        lines.append((code(name), escaped(field.metadata["help"]), default))
    return rows(("word", "meaning", "default"), lines)


def usage(word: str, declared: type) -> str:
    arguments = []
    for field in fields_of(declared):
        if field.metadata["argument"]:
            kind = field.metadata["kind"]
            arguments.append(kind.metavar if field.default is MISSING else f"[{kind.metavar}]")
    options = any(not field.metadata["argument"] for field in fields_of(declared))
    return " ".join([word, *arguments, *(["[OPTIONS]"] if options else [])])


def joined(parts: list[str]) -> str:
    return "\n\n".join(wrapped(part.strip()) for part in parts if part.strip()) + "\n"


def wrapped(part: str) -> str:
    """A long line of prose in lines of the usual length."""
    if "\n" in part or part.startswith(("#", "<", "!")):
        return part
    return textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False)


def layers_page() -> str:
    """All layer words, in the order of their table, under the heading of the module they live in."""
    parts = [
        NOTICE,
        "# Layers",
        "The words of a chain, in the order of `cnntool layers`; `cnntool layers NAME` shows the same text at the "
        "shell. `SIZE` is `3` or `3x5` (height x width). `PADDING` is `0`, `3`, `1x2` (rows x columns), "
        "`top,left,bottom,right`, `same` (output = input / stride, rounded up) or `valid` (none).",
        " · ".join(f"[`{word}`](#{word})" for word in layers.LAYERS),
    ]
    module = ""
    for word, (home, _) in layers.LAYERS.items():
        if home != module:
            module = home
            heading = (importlib.import_module(home).__doc__ or "").splitlines()[0].rstrip(".")
            parts.append(f"## {heading}")
        declared = layers.load(word)
        parts += [f"### {word}", f"`{usage(word, declared)}`", text_of(declared), field_rows(declared)]
        if group_of(declared) is not None:
            names = ", ".join(f"[`{name}`](banks.md#{name})" for name in BANKS.table)
            parts.append(f"Names: {names}. Each has [options of its own](banks.md).")
    return joined(parts)


def banks_page() -> str:
    """All banks with their options and a picture of their filters."""
    parts = [
        NOTICE,
        "# Filter banks",
        "A bank is a layer of filters that training leaves alone: `bank NAME`, followed by the options of the bank and "
        "those of [`bank`](layers.md#bank) itself. It turns an image into as many maps as it has filters:",
        "```sh\ncnntool run samples/images/brick.png maps.png bank gabor --scales 2 --orientations 4\n```",
        "In the pictures, red is positive, blue negative and near white zero, each filter by its own scale. "
        "`cnntool run` draws maps with negative numbers in the same colours.",
    ]
    drawn: dict[bytes, str] = {}
    for name in BANKS.table:
        declared = BANKS.load(name)
        parts += [f"## {name}", f"`{usage(f'bank {name}', declared)}`", text_of(declared), field_rows(declared)]
        bank = drawable(name)
        if bank is None:
            continue
        height, width = bank.kernel_size
        maps = "" if bank.outputs == bank.count else f", {bank.outputs} maps"
        parts.append(f"By default {bank.count} filter{'s' * (bank.count > 1)} of {height}x{width} pixels{maps}.")
        same = drawn.setdefault(bank.filters().tobytes(), name)
        if same == name:
            parts.append(f"![The filters of {name}](pictures/bank-{name}.png)")
        else:
            parts.append(f"The filters are those of [{same}](#{same}).")
    return joined(parts)


def drawable(name: str) -> Any:
    """The bank of that name with its defaults, or None for one that needs arguments."""
    declared = BANKS.load(name)
    if any(field.default is MISSING for field in fields_of(declared)):
        return None
    return declared()


def commands_page() -> str:
    """All commands with their help and options."""
    parts = [
        NOTICE,
        "# Commands",
        escaped(click.unstyle(COMMANDS_TEXT)),
        rows(
            ("command", "what it gives"), [(f"[`{name}`](#{name})", escaped(text)) for name, text in COMMANDS.items()]
        ),
    ]
    group = click.Context(cnntool, info_name="cnntool", **cnntool.context_settings)
    for name in COMMANDS:
        parts += command_parts(name, group, "##")
    return joined(parts)


def command_parts(name: str, parent: click.Context, level: str) -> list[str]:
    """Usage, help and options of a command, and below it those of its sub-commands."""
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    ctx = click.Context(command, info_name=name, parent=parent)
    pieces = " ".join(command.collect_usage_pieces(ctx))
    options = [p for p in command.params if isinstance(p, click.Option)]
    lines = [(code(names_of(p)), escaped(p.help or ""), default_of(p)) for p in options]
    title = ctx.command_path.removeprefix("cnntool ")
    parts = [f"{level} {title}", f"`{ctx.command_path} {pieces}`", text_of(command.callback)]
    parts.append(rows(("option", "meaning", "default"), lines))
    if isinstance(command, click.Group):
        for inner in command.list_commands(ctx):
            parts += command_parts(inner, ctx, f"{level}#")
    return parts


COMMANDS_TEXT = """
Options may stand anywhere before the first layer. `-h` or `--help` explains a command; `cnntool --version` tells the
version. Results go to stdout or OUTPUT, everything else to stderr. Nothing is overwritten without `--overwrite`.

Exit codes: 0 all done; 1 some inputs failed, each named in one line, and the rest is written; 2 wrong usage, or an
INPUT that is not there.

Compiled kernels are kept in the user's cache folder; the environment variable `CNNTOOL_CACHE_DIR` names another.
"""


def names_of(option: click.Option) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag:
        return names
    choices = "|".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
    return f"{names} {option.metavar or choices or 'TEXT'}"


def default_of(option: click.Option) -> str:
    return code(str(option.default)) if option.show_default else ""


PAGES = {"layers.md": layers_page, "banks.md": banks_page, "commands.md": commands_page}
