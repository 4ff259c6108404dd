from __future__ import annotations

import numpy as np
import pytest

from cnntool.learning.data import ImageStore, batches, digest_of, split


def test_bytes_stay_bytes_and_come_out_as_they_went_in():
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (5, 4, 3, 2)).astype(np.float32) / 255
    images = ImageStore(5, (4, 3, 2))
    for place, volume in enumerate(volumes):
        images.put(place, volume)
    assert images._values.dtype == np.uint8
    np.testing.assert_array_equal(images[np.array([3, 1])], volumes[[3, 1]])


def test_other_values_make_them_float32():
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (3, 4, 3, 1)).astype(np.float32) / 255
    volumes[1] -= 0.5
    volumes[2, 0, 0, 0] = np.nan
    images = ImageStore(4, (4, 3, 1))
    for place, volume in enumerate(volumes):
        images.put(place, volume)
    images.shorten(3)
    assert len(images) == 3
    np.testing.assert_array_equal(images[:], volumes)


def test_the_same_share_of_each_class_is_held_back():
    labels = np.repeat([0, 1, 2, 3], [100, 50, 2, 1])
    kept, held = split(labels, 0.1, seed=3)
    assert np.bincount(labels[held], minlength=4).tolist() == [10, 5, 1, 0]  # a class of one has none to spare
    assert sorted([*kept, *held]) == list(range(len(labels)))
    np.testing.assert_array_equal(held, split(labels, 0.1, seed=3)[1])
    assert not np.array_equal(held, split(labels, 0.1, seed=4)[1])
    assert len(split(labels, 0.0, seed=3)[1]) == 0


@pytest.mark.parametrize(("images", "size", "expected"), [
    (128, 128, [128]), (129, 128, [65, 64]), (10, 4, [4, 3, 3]), (3, 2, [3]), (5, 2, [3, 2]), (2, 2, [2]), (1, 2, [1]),
    (3, 1, [1, 1, 1]), (9, 100, [9]),
])  # fmt: skip
def test_no_batch_is_much_smaller_than_the_others(images, size, expected):
    places = np.random.default_rng(0).permutation(images)
    found = batches(places, size)
    assert [len(batch) for batch in found] == expected
    np.testing.assert_array_equal(np.concatenate(found), places)


def test_a_digest_tells_values_shapes_types_and_order():
    a, b = np.arange(6.0), np.arange(6.0)[::-1]
    different = [[a], [b], [a, b], [b, a], [a.reshape(2, 3)], [a.astype(np.float32)], []]
    assert len({digest_of(arrays) for arrays in different}) == len(different)
    assert digest_of([b]) == digest_of([b.copy()])
