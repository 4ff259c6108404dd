"""One image or volume for commands that look at one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnntool.cli.streams import tell
from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.preparation import Preparation


def volume_of(path: str, preparation: Preparation) -> np.ndarray:
    """float32 H x W x C of an image, prepared, or of a .npy volume as it is."""
    from cnntool.images.sources import open_source

    if os.path.isdir(path):
        raise CnntoolError(f"{path}: a folder: expected one image or .npy volume")
    with open_source(path) as source:
        if len(source) != 1:
            raise CnntoolError(f"{path}: {len(source)} inputs: expected one image or .npy volume")
        return source[0].read(preparation, lambda text: tell(f"cnntool: {text}"))
