"""Netpbm files whose largest value is not 255: right to the last bit, or refused."""

import numpy as np
import pytest

from cnntool.errors import BadInput
from cnntool.images.read import read_image


def read(path, content):
    path = path / "a.pnm"
    path.write_bytes(content)
    return read_image(str(path))


@pytest.mark.parametrize("largest", [1, 100, 254, 256, 1000, 65534, 65535])
@pytest.mark.parametrize(("kind", "channels"), [(b"P5", 1), (b"P6", 3)])
def test_numbers_are_divided_by_the_largest(tmp_path, kind, channels, largest):
    numbers = np.random.default_rng(largest).integers(0, largest, (3, 5, channels), endpoint=True)
    numbers[0, 0], numbers[0, 1] = 0, largest
    data = numbers.astype(">u2" if largest > 255 else "u1").tobytes()
    volume = read(tmp_path, b"%s\n5 3\n%d\n" % (kind, largest) + data)
    assert volume.shape == (3, 5, channels)
    assert np.allclose(volume, numbers / largest, rtol=1e-6, atol=0)


def test_comments_in_the_header(tmp_path):
    volume = read(tmp_path, b"P5\n# a comment\n2 # width\n1\n# 7 8 9\n100\n" + bytes([50, 100]))
    assert np.array_equal(volume[0, :, 0], [0.5, 1])


@pytest.mark.parametrize(("header", "size"), [(b"P5 4 2 100\n", 8), (b"P5 4 2 1000\n", 16), (b"P6 4 2 1000\n", 48)])
def test_truncated(tmp_path, header, size):
    assert read(tmp_path, header + bytes(size)).max() == 0
    with pytest.raises(BadInput, match="truncated, 1 bytes are missing"):
        read(tmp_path, header + bytes(size - 1))


@pytest.mark.parametrize("content", [b"P5 1 1 100\n\x65", b"P5 1 1 1000\n\x03\xe9"])
def test_numbers_above_the_largest_are_refused(tmp_path, content):
    with pytest.raises(BadInput, match="a number above 100"):
        read(tmp_path, content)


@pytest.mark.parametrize("largest", [0, 65536, 100000])
@pytest.mark.parametrize("kind", [b"P5", b"P6"])
def test_a_largest_value_out_of_range_is_refused(tmp_path, kind, largest):
    with pytest.raises(BadInput):
        read(tmp_path, b"%s 1 1 %d\n" % (kind, largest) + bytes(6))


@pytest.mark.parametrize("largest", [1, 7, 100, 1000, 65534])
@pytest.mark.parametrize("kind", [2, 3])
def test_numbers_in_words(tmp_path, kind, largest):
    dice = np.random.default_rng(largest)
    pixels = dice.integers(0, largest + 1, (5, 4) if kind == 2 else (5, 4, 3))
    words = " # a comment\n".join(map(str, pixels.reshape(-1)))
    (tmp_path / "a.pnm").write_text(f"P{kind} 4 5\n{largest}\n{words}\n")
    expected = (pixels / np.float32(largest)).astype(np.float32).reshape(5, 4, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.pnm"), expected)


@pytest.mark.parametrize("words", ["1 2 3", "1 2 3 x", "1 2 3 -4", "1 2 3 101", "1 2 3 99999999999"])
def test_words_that_are_no_pixels_are_refused(tmp_path, words):
    (tmp_path / "a.pgm").write_text(f"P2 2 2 100 {words}")
    with pytest.raises(BadInput):
        read_image(tmp_path / "a.pgm")
