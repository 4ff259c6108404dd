"""The pictures of the pages, as the tool draws them now."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cnntool.images.sheet import Caption, Look, contact_sheet
from docs.examples import DOCS, ROOT, WRITTEN, blocks, commands, slides
from docs.pages import PAGES, drawable

TOLERANCE = 4  # mean difference, of 255: what other versions of the encoders and other processors may change
LONGEST_SIDE = 1300
GALLERY_COLOURS = 256
LONGEST_FIGURE = 2000  # of the gallery, where letters must be read
LARGEST_SHEET = 640


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
