"""Image feature extraction with convolutional pipelines, at the shell and from Python.

>>> import cnntool
>>> pipeline = cnntool.Pipeline.parse("conv 64 3 --padding same relu maxpool 2")
>>> pipeline.shape((224, 224, 3))["layers"][-1]["output_shape"]
[112, 112, 64]
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Pipeline", "__version__", "load", "read_image"]

TYPE_CHECKING = False  # but for type checkers; importing it takes longer than all else here
if TYPE_CHECKING:
    from cnntool.images.read import read_image
    from cnntool.pipeline import Pipeline, load

_MODULES = {"Pipeline": "cnntool.pipeline", "load": "cnntool.pipeline", "read_image": "cnntool.images.read"}


def __getattr__(name: str) -> object:
    """Imports public names on first use, so that `cnntool --help` starts fast."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
