from __future__ import annotations

import numpy as np
import pytest

from cnntool.layers.affine import Moments
from cnntool.learning.statistics import PIECE, StreamedMoments, partial_moments, piece_of

ORDERS = ("mean", "variance", "covariance")


def volumes(channels: int = 4, offset: float = 0.0, count: int = 7) -> list[np.ndarray]:
    dice = np.random.default_rng(channels)
    mix = dice.standard_normal((channels, channels))
    return [
        (dice.standard_normal((3 + i, 5, channels)) @ mix + offset + i / 3).astype(np.float32) for i in range(count)
    ]


def streamed(parts: list[np.ndarray], order: str) -> StreamedMoments:
    moments = StreamedMoments()
    for volume in parts:
        moments.add(partial_moments(volume, order))
    return moments


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("order", ORDERS)
def test_one_after_another_is_as_all_together(order, offset):
    parts = volumes(offset=offset)
    moments = streamed(parts, order)
    pixels = np.concatenate([v.reshape(-1, 4) for v in parts]).astype(np.float64)
    assert moments.count == len(pixels)
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=0), rtol=1e-12)
    if order != "mean":
        np.testing.assert_allclose(moments.variance(), pixels.var(axis=0), rtol=1e-9)
    if order == "covariance":
        np.testing.assert_allclose(moments.covariance(), np.cov(pixels.T, bias=True), rtol=1e-8, atol=1e-10)


def test_the_same_as_those_of_a_batch():
    batch = np.stack([v[:3] for v in volumes()])
    moments, whole = streamed(list(batch), "covariance"), Moments(batch, lambda f, items: [f(i) for i in items])
    assert moments.count == whole.count
    np.testing.assert_allclose(moments.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance(), whole.variance(), rtol=1e-10)
    np.testing.assert_allclose(moments.covariance(), whole.covariance(), rtol=1e-9, atol=1e-12)


def test_a_large_volume_is_looked_at_in_pieces():
    large = np.random.default_rng(0).random((2 * PIECE // 500 + 3, 250, 2), np.float32)
    part = partial_moments(large, "variance")
    assert part.positions == large.shape[0] * 250
    np.testing.assert_allclose(part.second / part.positions, large.reshape(-1, 2).var(axis=0, dtype=np.float64))


def test_other_channels_and_nothing_at_all():
    moments = streamed(volumes(3), "mean")
    with pytest.raises(ValueError, match="2 channels, and the images before have 3"):
        moments.add(partial_moments(volumes(2)[0], "mean"))
    with pytest.raises(ValueError, match="no image"):
        StreamedMoments().variance()


def test_pieces_smaller_than_their_covariance_are_gathered():
    dice = np.random.default_rng(0)
    sizes = [(1, 3), (9, 9), (1, 1), (2, 2), (4, 4), (1, 5), (1, 2)]
    parts = [dice.standard_normal((*size, 8)).astype(np.float32) for size in sizes]
    moments = StreamedMoments()
    for volume in parts:
        moments.add(piece_of(volume, "covariance"))
        volume[:] = 0 * volume if volume.shape[0] * volume.shape[1] < 8 else volume  # no view of memory used again
    dice = np.random.default_rng(0)
    pixels = np.concatenate([dice.standard_normal((*s, 8)).astype(np.float32).reshape(-1, 8) for s in sizes])
    assert moments.count == len(pixels)
    np.testing.assert_allclose(moments.covariance(), np.cov(pixels.T.astype(np.float64), bias=True), rtol=1e-9)
    np.testing.assert_allclose(moments.mean, pixels.astype(np.float64).mean(axis=0), rtol=1e-9)
    with pytest.raises(ValueError, match="7 channels, and the images before have 8"):
        moments.add(np.zeros((1, 1, 7), np.float32))
