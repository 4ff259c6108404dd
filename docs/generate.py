"""Writes the pages and pictures that come from the declarations; `--check` only tells which are not as they should be.

    python docs/generate.py [--check]

`layers.md`, `commands.md` and `banks.md` are written from the classes and commands themselves. A picture of the bank
pages shows the bank's filters; every other picture is what a command of the README or the guide writes: the command
whose OUTPUT has the picture's name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the other modules of this folder

from docs.drawing import GALLERY_COLOURS, alike, encoded, gallery, picture, referenced
from docs.examples import DOCS, GALLERY, PICTURES, ROOT
from docs.pages import PAGES


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
