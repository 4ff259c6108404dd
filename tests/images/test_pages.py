"""Pages that Pillow does not open are read here."""

import numpy as np
import pytest

from cnntool.images.read import read_image

tifffile = pytest.importorskip("tifffile")


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_in_a_bigtiff(tmp_path, order):
    numbers = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers, bigtiff=True, byteorder=order, photometric="rgb")
    assert np.array_equal(read_image(str(path)), numbers / np.float32(255))
