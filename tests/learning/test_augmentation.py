from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import CnntoolError
from cnntool.learning.augmentation import AUGMENTATIONS, augmented, parse_augmentation


def batch() -> np.ndarray:
    return np.random.default_rng(0).random((40, 16, 24, 3), np.float32)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_pictures_keep_their_shape_change_and_are_the_same_for_a_seed(name):
    before = batch()
    given = before.copy()
    out = augmented(given, [name], np.random.default_rng(1))
    assert out.shape == before.shape
    assert out.dtype == np.float32
    np.testing.assert_array_equal(given, before)
    changed = sum(not np.array_equal(a, b) for a, b in zip(out, before, strict=True))
    assert changed >= 10
    np.testing.assert_array_equal(out, augmented(given, [name], np.random.default_rng(1)))


def test_a_flip_is_the_picture_or_its_mirror():
    out = augmented(batch(), ["flip"], np.random.default_rng(1))
    for a, b in zip(out, batch(), strict=True):
        assert np.array_equal(a, b) or np.array_equal(a, b[:, ::-1])


def test_a_shift_moves_by_an_eighth_at_most_and_brings_zeros_in():
    out = augmented(np.ones((200, 16, 16, 1), np.float32), ["shift"], np.random.default_rng(1))
    zeros = (out == 0).all(axis=2)[..., 0].sum(axis=1)  # whole rows
    assert zeros.max() == 2
    assert (out == 0).any()


def test_a_crop_brings_no_new_values():
    out = augmented(batch(), ["crop"], np.random.default_rng(1))
    assert all(np.isin(a, b).all() for a, b in zip(out, batch(), strict=True))


def test_pictures_of_one_pixel():
    for name in AUGMENTATIONS:
        assert augmented(np.ones((2, 1, 1, 1), np.float32), [name], np.random.default_rng(0)).shape == (2, 1, 1, 1)


def test_names():
    assert parse_augmentation("flip,crop") == ("flip", "crop")
    assert parse_augmentation("") == ()
    with pytest.raises(CnntoolError, match="did you mean flip"):
        parse_augmentation("flpi")
    with pytest.raises(CnntoolError, match="expected some of flip"):
        parse_augmentation("rotate90")
