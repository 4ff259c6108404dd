"""The words that name a bank, and where each bank lives. Only the bank that is asked for gets imported."""

from __future__ import annotations

import importlib

from cnntool.banks.base import FilterBank
from cnntool.declare import did_you_mean
from cnntool.errors import CnntoolError

BANKS = {
    "gabor": ("cnntool.banks.gabor", "Gabor"),
    "lm": ("cnntool.banks.texture", "LeungMalik"),
    "rfs": ("cnntool.banks.texture", "RootFilterSet"),
    "mr8": ("cnntool.banks.texture", "MaximumResponse"),
    "schmid": ("cnntool.banks.texture", "Schmid"),
    "gaussian-derivatives": ("cnntool.banks.derivatives", "GaussianDerivatives"),
    "sobel": ("cnntool.banks.derivatives", "Sobel"),
    "prewitt": ("cnntool.banks.derivatives", "Prewitt"),
    "scharr": ("cnntool.banks.derivatives", "Scharr"),
    "laplacian": ("cnntool.banks.derivatives", "Laplacian"),
    "laws": ("cnntool.banks.laws", "Laws"),
    "dct": ("cnntool.banks.dct", "Cosine"),
    "morlet": ("cnntool.banks.morlet", "Morlet"),
    "random": ("cnntool.banks.random", "Random"),
    "file": ("cnntool.banks.file", "FileBank"),
}

# Their filters come from data, or from a model: there is nothing to draw before.
LEARNED = {
    "kmeans": ("cnntool.banks.learned", "KMeans"),
    "pca": ("cnntool.banks.learned", "PrincipalComponents"),
    "patches": ("cnntool.banks.learned", "Patches"),
    "stored": ("cnntool.banks.learned", "Stored"),
}


def load(word: str) -> type[FilterBank]:
    """The class of the bank called `word`."""
    if word not in BANKS:
        raise CnntoolError(
            f"no bank is called {word!r}{did_you_mean(word, BANKS)}; the banks are {', '.join(BANKS)}; "
            "filters of your own go by the name of their .npy file"
        )
    module, name = BANKS[word]
    return getattr(importlib.import_module(module), name)
