"""One table of cases for all banks whose filters follow from their options.

A new bank needs a row here; the tests of `test_table.py` and of `tests/layers/test_bank.py` then run on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cnntool.banks.base import FilterBank
from cnntool.banks.table import BANKS, load
from cnntool.declare import words_of


class Case(NamedTuple):
    """A bank's word and options, the size of its filters, how many they are, and how many maps come out."""

    word: str
    options: dict[str, Any]
    kernel_size: tuple[int, int]
    count: int
    outputs: int

    def bank(self) -> FilterBank:
        return load(self.word)(**self.options)

    def __str__(self) -> str:
        return " ".join(["bank", self.word, *words_of(self.bank())])


MADE_BY_DEFAULT = [word for word in BANKS if word != "file"]

CASES = [
    Case("gabor", {}, (39, 39), 40, 40),
    Case("gabor", {"scales": 2, "orientations": 3, "size": (8, 11)}, (8, 11), 6, 6),
    Case("gabor", {"scales": 2, "orientations": 3, "quadrature": True}, (39, 39), 12, 12),
    Case("gabor", {"scales": 2, "orientations": 3, "energy": True}, (39, 39), 12, 6),
    Case("gabor", {"scales": 2, "quadrature": True, "energy": True, "keep_mean": True}, (39, 39), 32, 16),
    Case("lm", {}, (49, 49), 48, 48),
    Case("lm", {"size": (20, 31)}, (20, 31), 48, 48),
    Case("rfs", {}, (49, 49), 38, 38),
    Case("rfs", {"size": (11, 8)}, (11, 8), 38, 38),
    Case("mr8", {}, (49, 49), 38, 8),
    Case("mr8", {"size": (25, 25)}, (25, 25), 38, 8),
    Case("schmid", {}, (49, 49), 13, 13),
    Case("schmid", {"size": (30, 3)}, (30, 3), 13, 13),
    Case("gaussian-derivatives", {}, (17, 17), 4, 4),
    Case("gaussian-derivatives", {"sigma": 1.2, "order": 3, "orientations": 5}, (11, 11), 5, 5),
    Case("gaussian-derivatives", {"size": (12, 15), "order": 2}, (12, 15), 4, 4),
    Case("sobel", {}, (3, 3), 2, 2),
    Case("sobel", {"magnitude": True}, (3, 3), 2, 1),
    Case("prewitt", {}, (3, 3), 2, 2),
    Case("prewitt", {"magnitude": True}, (3, 3), 2, 1),
    Case("scharr", {}, (3, 3), 2, 2),
    Case("scharr", {"magnitude": True}, (3, 3), 2, 1),
    Case("laplacian", {}, (3, 3), 1, 1),
    Case("laplacian", {"neighbours": "8"}, (3, 3), 1, 1),
    Case("laws", {}, (5, 5), 25, 25),
    Case("laws", {"size": "3"}, (3, 3), 9, 9),
    Case("laws", {"level": False}, (5, 5), 24, 24),
    Case("laws", {"pairs": True}, (5, 5), 25, 15),
    Case("laws", {"pairs": True, "level": False, "integers": True}, (5, 5), 24, 14),
    Case("laws", {"size": "3", "pairs": True}, (3, 3), 9, 6),
    Case("dct", {}, (8, 8), 64, 64),
    Case("dct", {"size": (3, 5)}, (3, 5), 15, 15),
    Case("dct", {"size": (4, 4), "constant": False}, (4, 4), 15, 15),
    Case("morlet", {}, (41, 41), 49, 49),
    Case("morlet", {"scales": 2, "orientations": 2}, (11, 11), 9, 9),
    Case("morlet", {"scales": 2, "orientations": 4, "size": (16, 21), "modulus": True}, (16, 21), 17, 9),
    Case("random", {}, (7, 7), 32, 32),
    Case("random", {"number": 5, "size": (2, 6), "seed": 3, "keep_mean": True}, (2, 6), 5, 5),
]
