"""NumPy as a module that is imported when it is first used: what computes nothing does not wait for it."""

from __future__ import annotations

import importlib
import types
from typing import TYPE_CHECKING, Any

__all__ = ["np"]


class _Late(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(self.__name__)
        self.__dict__.update(vars(module))  # from now on a lookup here is as fast as one in the module
        return getattr(module, name)


if TYPE_CHECKING:
    import numpy as np
else:
    np = _Late("numpy")
