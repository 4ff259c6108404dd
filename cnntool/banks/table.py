"""The words that name a bank, and the module and class of each. Only the bank in use is imported."""

from __future__ import annotations

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

# Their filters come from data or from a saved model, not from a formula.
LEARNED = {
    "kmeans": ("cnntool.banks.learned", "KMeans"),
    "pca": ("cnntool.banks.learned", "PrincipalComponents"),
    "patches": ("cnntool.banks.learned", "Patches"),
    "stored": ("cnntool.banks.learned", "Stored"),
}
