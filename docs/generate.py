"""Writes the pages and pictures that come from the declarations; `--check` only tells which are not as they should be.

    python docs/generate.py [--check]

`layers.md`, `commands.md` and `banks.md` are written from the classes and commands themselves. A picture of the bank
pages shows the bank's filters; every other picture is what a command of the README or the guide writes: the command
whose OUTPUT has the picture's name.
"""

from __future__ import annotations

import importlib
import inspect
import io
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from PIL import Image

from cnntool.chain.commands import group_of
from cnntool.cli.main import COMMANDS, cnntool
from cnntool.declare import MISSING, Flag, fields_of, option_name
from cnntool.images.sheet import Caption, Look, contact_sheet
from cnntool.layers import table as layers

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PICTURES = DOCS / "pictures"
GALLERY = ROOT / "samples" / "gallery"
WRITTEN = [
    ROOT / "README.md",
    DOCS / "guide.md",
    DOCS / "design.md",
    DOCS / "lecture.md",
]  # by hand; their commands make pictures

BANKS = group_of(layers.load("bank"))  # all the names that `bank` takes
assert BANKS is not None

NOTICE = "<!-- Written by docs/generate.py from the declarations: change those, not this page. -->"
TOLERANCE = 4  # mean difference, of 255: what other versions of the encoders and other processors may change
LONGEST_SIDE = 1300
GALLERY_COLOURS = 256
LONGEST_FIGURE = 2000  # of the gallery, where letters must be read
LARGEST_SHEET = 640


# Markdown in


class Block(NamedTuple):
    """A fenced block of a page: its language, the rest of the fence's line, its text, and the heading above it."""

    language: str
    info: str
    text: str
    section: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown page, in order."""
    section, lines = "", iter(page.splitlines())
    for line in lines:
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith("```"):
            language, _, info = line[3:].strip().partition(" ")
            inside = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                inside.append(inner)
            yield Block(language, info, "\n".join(inside), section)


def commands(block: Block) -> list[str]:
    """The command lines of a block that can be run here: without installing, and without running the tests."""
    text = block.text.replace("\\\n", " ")
    lines = [re.sub(r"^pip install [^&]*(&& |$)", "", line.strip()) for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "python -m pytest", ".ci/", "git ", "cd "))]


class Slide(NamedTuple):
    """A row of the lecture's table: the slide, the command that shows it, and its picture or output."""

    title: str
    command: str
    shown: str


def slides() -> list[Slide]:
    """The rows of the table of `lecture.md`."""
    text = (DOCS / "lecture.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    cells = (line.strip("|").split(" | ") for line in lines)
    return [Slide(title.strip(), command.strip().strip("`"), shown.strip()) for title, command, shown in cells]


# Markdown out


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


# Pictures


def drawable(name: str) -> Any:
    """The bank of that name with its defaults, or None for one that needs arguments."""
    declared = BANKS.load(name)
    if any(field.default is MISSING for field in fields_of(declared)):
        return None
    return declared()


def referenced() -> set[str]:
    """The pictures that the pages show."""
    pages = [path.read_text() for path in (*WRITTEN, *(DOCS / name for name in PAGES)) if path.exists()]
    return {name for page in pages for name in re.findall(r"\(?(?:docs/)?pictures/([\w.-]+)\)", page)}


def gallery() -> set[str]:
    """The pictures of the gallery that the pages show."""
    pages = [path.read_text() for path in WRITTEN if path.exists()]
    return {name for page in pages for name in re.findall(r"samples/gallery/([\w.-]+)\)", page)}


def picture_command(stem: str) -> list[str] | None:
    """The words of the command whose OUTPUT is called `stem`, without `cnntool`."""
    found = [block for path in WRITTEN for block in blocks(path.read_text()) if block.language == "sh"]
    lines = [line for block in found for line in commands(block)] + [slide.command for slide in slides()]
    for line in lines:
        words = shlex.split(line)
        if words[0] == "cnntool" and words[1] in ("run", "show") and any(is_file_of(word, stem) for word in words):
            return words[1:]
    return None


def is_file_of(word: str, stem: str) -> bool:
    return Path(word).stem == stem and Path(word).suffix != ""


def picture(name: str) -> Image.Image:
    """The picture as the tool makes it now, not larger than a page needs."""
    stem = Path(name).stem
    if stem.startswith("bank-"):
        bank_name = stem.removeprefix("bank-")
        bank = drawable(bank_name)
        sheet = contact_sheet(bank.filters(), Look(scale="symmetric"), Caption(places=bank.places())).image
        return smaller(sheet, LARGEST_SHEET)
    words = picture_command(stem)
    if words is None:
        raise SystemExit(f"{name}: no command of the pages has an OUTPUT called {stem}")
    with tempfile.TemporaryDirectory() as folder:
        words = [str(Path(folder, word)) if is_file_of(word, stem) else word for word in words]
        subprocess.run([sys.executable, "-m", "cnntool", *words], cwd=ROOT, check=True, capture_output=True)
        made = next(Path(word) for word in words if Path(word).parent == Path(folder))
        with Image.open(made) as image:
            figure = words[0] == "show"
            return smaller(image.convert("RGB"), LONGEST_FIGURE if figure else LONGEST_SIDE)


def smaller(image: Image.Image, side: int) -> Image.Image:
    factor = -(-max(image.size) // side)
    return image if factor == 1 else image.reduce(factor)


def encoded(image: Image.Image, suffix: str, colours: int = 64) -> bytes:
    stream = io.BytesIO()
    if suffix == ".jpg":
        image.save(stream, "JPEG", quality=75, optimize=True)
    else:
        image.quantize(colours).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def alike(one: bytes, other: bytes) -> bool:
    """Whether two encoded pictures show the same."""
    a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) for data in (one, other))
    return a.shape == b.shape and float(np.abs(a - b).mean()) <= TOLERANCE


# What is not as it should be


def stale_pages() -> Iterator[tuple[Path, bytes]]:
    """The generated pages that are missing or out of date, with what should stand there."""
    for name, page in PAGES.items():
        path, content = DOCS / name, page().encode()
        if not path.exists() or path.read_bytes() != content:
            yield path, content


def stale_pictures() -> Iterator[tuple[Path, bytes | None]]:
    """The pictures that are missing or out of date, with what should stand there; None where no page shows one."""
    shown = {PICTURES / name for name in referenced()} | {GALLERY / name for name in gallery()}
    for path in sorted(shown | set(PICTURES.glob("*")) | set(GALLERY.glob("*"))):
        colours = GALLERY_COLOURS if path.parent == GALLERY else 64
        content = encoded(picture(path.name), path.suffix, colours) if path in shown else None
        if content is None or not path.exists() or not alike(path.read_bytes(), content):
            yield path, content


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    check, found = bool(sys.argv[1:]), 0
    for stale in (stale_pages, stale_pictures):
        for path, content in stale():
            found += 1
            print(f"{path.relative_to(ROOT)} {'is out of date' if check else 'is brought up to date'}")
            if check:
                continue
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
