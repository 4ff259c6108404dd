"""Names of inputs, and of the outputs made from them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cnntool.errors import CnntoolError

PLACEHOLDER = "%s"


def is_for_many(output: str) -> bool:
    """Whether OUTPUT can take several inputs: a folder (ending in `/`) or a template with `%s`."""
    return output.endswith(("/", "\\")) or PLACEHOLDER in output


def composed(name: str) -> str:
    """The name in Unicode's form NFC; macOS stores accents as separate characters (NFD)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def as_text(name: str) -> str:
    r"""The name with what UTF-8 does not have, such as the bytes of a name that is no text, as `\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode()


def on_disk(path: str) -> str:
    """The path as it exists on disk, where each part may be in another Unicode normalisation than typed."""
    if path.isascii() or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    if folder == path:
        return path
    folder = on_disk(folder)
    forms = (os.path.join(folder, unicodedata.normalize(form, name)) for form in ("NFC", "NFD"))
    return next((form for form in forms if os.path.lexists(form)), path)


def clean_name(name: str) -> str:
    """A relative path with forward slashes that cannot lead out of the folder it is put in.

    Drives, leading slashes, `.` and `..` are dropped; "_" stands for a name of which nothing is left.
    """
    parts = re.sub(r"^[A-Za-z]:(?=[\\/])", "", name).replace("\0", "").replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "_"


def output_paths(names: Iterable[str], output: str, suffix: str = ".npy") -> list[Path]:
    """One output path an input name, in order.

    `output` ending in `/` is a folder: `cats/1.jpg` becomes `output/cats/1` + `suffix`. Otherwise each `%s` in it
    stands for the input's path without suffix, and `output` brings its own suffix. Names are cleaned by `clean_name`.
    Raises CnntoolError, naming both, when two inputs would have one output, and when `output` is neither form.
    """
    if not is_for_many(output):
        raise CnntoolError(
            f"{output}: one output for many inputs: expected a folder ending in / or a template with %s, "
            f"such as maps/ or maps/%s{suffix}"
        )
    template = output if PLACEHOLDER in output else f"{output}{PLACEHOLDER}{suffix}"
    taken: dict[Path, str] = {}
    paths = []
    for name in names:
        path = Path(template.replace(PLACEHOLDER, _without_suffix(clean_name(name))))
        if path in taken:
            raise CnntoolError(
                f"{taken[path]} and {name} would both be written to {path}: rename one, or run them apart"
            )
        taken[path] = name
        paths.append(path)
    return paths


def _without_suffix(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return folder + slash + (stem if dot and stem else last)
