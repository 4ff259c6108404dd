"""The names of a table's columns: by the layers and channels that they come from."""

from __future__ import annotations

from cnntool.batches.identity import Identity
from cnntool.images.origins import About
from cnntool.pipeline import Pipeline


def about_of(identity: Identity, pipeline: Pipeline, shape: tuple[int, ...] | None, mirrored: bool = False) -> About:
    """What a table tells of itself."""
    return About(identity.text)
