"""The pages that are written by hand, and the commands that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
