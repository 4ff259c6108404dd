"""Inputs that are volumes in memory."""

from __future__ import annotations

import io

import numpy as np

from cnntool.images.items import Item


def item_of(volume: np.ndarray, name: str = "volume.npy") -> Item:
    """An input that reads as this volume."""
    buffer = io.BytesIO()
    np.save(buffer, volume)
    return Item(name, content=buffer.getvalue)
