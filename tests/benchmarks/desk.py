"""What the whole processes read, made from the samples into a temporary folder: photos, models, filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnntool import Pipeline
from tests.benchmarks.graph import with_statistics

ROOT = Path(__file__).parents[2]
PHOTOS = 64
SIZE = (1600, 1200)
SIDE = 512
EDGES = "conv 64 7 --stride 2 --padding 3 relu maxpool 2"
FEATURES = "conv 64 7 --stride 2 --padding 3 batchnorm relu maxpool 2 globalpool avg"


def photos(folder: Path) -> None:
    """64 JPEG files of 1600x1200: pieces of the samples, no two alike."""
    from PIL import Image

    target = folder / "photos"
    if target.exists():
        return
    target.mkdir()
    rng = np.random.default_rng(0)
    samples = sorted((ROOT / "samples" / "images").iterdir())
    for number in range(PHOTOS):
        with Image.open(samples[number % len(samples)]) as sample:
            image = sample.convert("RGB")
        left, top = (rng.uniform(0, 0.3) * size for size in image.size)
        box = (left, top, left + 0.7 * image.width, top + 0.7 * image.height)
        image.resize(SIZE, Image.Resampling.BICUBIC, box=box).save(target / f"{number:02}.jpg", quality=90)


def model(words: str, path: Path) -> None:
    """A saved model with random filters, and statistics as training would leave them."""
    pipeline = Pipeline.parse(words)
    shape = (SIDE, SIDE, 3)
    pipeline.set_weights(with_statistics(pipeline, shape, np.random.default_rng(0)))
    pipeline.input_shape = shape
    pipeline.save(path)


def edges(folder: Path) -> None:
    model(EDGES, folder / "edges.npz")


def features(folder: Path) -> None:
    photos(folder)
    model(FEATURES, folder / "features.npz")


def texture(folder: Path) -> None:
    """The Gabor filters, number x height x width, as a script of others would have them."""
    photos(folder)
    pipeline = Pipeline.parse("bank gabor")
    (arrays,) = pipeline.weights((SIDE, SIDE, 1))
    np.save(folder / "gabor.npy", np.ascontiguousarray(arrays["weight"][:, :, 0].transpose(2, 0, 1)))
