"""Whether code that decides a number has changed since NUMERICS was last thought about.

python -m tests.batches.numerics       records the present code, beside the present NUMERICS
"""

from __future__ import annotations

import hashlib
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from cnntool.batches.identity import NUMERICS

PACKAGE = Path(__file__).parents[2] / "cnntool"
RECORD = Path(__file__).with_name("numerics.txt")
# What decides the numbers of a row: from the file of an image to the last volume.
DECIDING = (
    "algorithms/*.py", "banks/*.py", "kernels/sources/*.py", "layers/*.py", "steps/*.py",
    *(f"engine/{name}.py" for name in ("folding", "plan")),
    *(f"network/{name}.py" for name in ("graph", "parameters")),
    *(f"images/{name}.py" for name in (
        "decode", "float_tiff", "heif", "inspection", "jpeg2000", "orientation", "pages", "plain", "png", "pnm",
        "preparation", "read", "resizing", "samples", "segments", "tiff", "volumes",
    )),
)  # fmt: skip
ONLY_TRAINED = "_backward.py"
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
BLOCKS = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}


def code_of(source: str) -> str:
    """The code without what decides nothing: comments, docstrings and layout. The same for all versions of Python."""
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in LAYOUT]
    parts: list[str] = []
    statement: list[tokenize.TokenInfo] = []
    for token in tokens:
        statement.append(token)
        if token.type in BLOCKS:
            if [one.type for one in statement] != [tokenize.STRING, tokenize.NEWLINE]:  # else a docstring
                parts += [BLOCKS.get(one.type) or one.string for one in statement]
            statement = []
    return "".join("".join(parts).split()).replace("{{", "{").replace("}}", "}")


def digests() -> Iterator[str]:
    """A line a file."""
    for pattern in DECIDING:
        for path in sorted(PACKAGE.glob(pattern)):
            if not path.name.endswith(ONLY_TRAINED):
                code = code_of(path.read_text(encoding="utf-8"))
                digest = hashlib.blake2b(code.encode(), digest_size=8).hexdigest()
                yield f"{path.relative_to(PACKAGE).as_posix()} {digest}"


def lines() -> list[str]:
    return [f"NUMERICS {NUMERICS}", *digests()]


def changed() -> list[str]:
    """The files that are not as they were recorded; `NUMERICS` if it is another."""
    recorded = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
    return sorted({line.split()[0] for line in set(lines()) ^ set(recorded)})


if __name__ == "__main__":
    RECORD.write_text("\n".join(lines()) + "\n", encoding="utf-8")
    sys.exit(0)
