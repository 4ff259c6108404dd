"""TIFF and PNG files of every kind, and what becomes of them.

`python -m tests.images.combinations` reads all of them and counts what came out right, refused and wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from unittest import mock

import numpy as np

from cnntool.errors import BadInput
from cnntool.images.read import image_shape, read_image
from cnntool.images.rows import open_rows
from tests.images.png_combinations import pngs
from tests.images.tiff_combinations import Case, coded_tiffs, lossy_tiffs, odd_tiffs, plain_tiffs


def outcome(case: Case) -> str:
    """`right`, `refused`, or what is wrong; read whole, by its header and in bands of rows."""
    file = "case.png" if case.name.startswith("png") else "case.tif"
    try:
        volume = read_image(case.content, name=file)
    except BadInput as error:
        ways = ("expected", "pip install", "convert it")
        told = str(error).startswith(f"{file}: ") and any(way in str(error) for way in ways)
        return "refused" if told else f"badly refused: {error}"
    if volume.shape != case.expected.shape:
        return f"shape {volume.shape} for {case.expected.shape}"
    off = np.abs(volume - case.expected) > case.tolerance + 2e-7 * np.maximum(1, np.abs(case.expected))
    if off.any():
        return f"{off.sum()} of {off.size} numbers are wrong"
    if image_shape(case.content, name=file) != volume.shape:
        return "another shape by the header"
    with open_rows(case.content, name=file) as rows:
        bands = np.concatenate([rows[top : top + 7] for top in range(0, len(volume), 7)])
    return "right" if np.array_equal(bands, volume) else "other numbers in bands"


def without_extra() -> mock._patch:
    """As where tifffile and imagecodecs are not installed."""
    return mock.patch("cnntool.images.pages.importlib.util.find_spec", return_value=None)


def main() -> int:
    """Prints how many combinations came out how, and those that are wrong."""
    wrong = 0
    for source in (plain_tiffs, odd_tiffs, lossy_tiffs, coded_tiffs, pngs):
        counts: Counter[str] = Counter()
        for case in source():
            found = outcome(case)
            counts[found] += found in ("right", "refused")
            with without_extra():
                bare = outcome(case)
            counts[f"{bare} without the extra"] += bare in ("right", "refused")
            for text in {found, bare} - {"right", "refused"}:
                wrong += 1
                if wrong < 60:
                    print(f"{case.name}: {text}")
            if found == "refused":
                print("refused", case.name)
        print(source.__name__, {kind: count for kind, count in counts.items() if count})
    print(wrong, "wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
