"""Files of typed numbers: what they give, and the errors that name the line; small numbers for a shape alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.explaining.values import read_values, small_arrays, small_numbers, use_values

SAMPLES = Path(__file__).parents[2] / "samples/values"


def written(folder: Path, text: str) -> str:
    path = folder / "values.txt"
    path.write_text(text)
    return str(path)


def test_the_arrays_of_a_file(tmp_path: Path) -> None:
    text = (
        "# typed\nx[:,:,0]\n1 2 3\n4, 5, 6\nx[ :, :, 1]\n7 8 9 # here\n0 0 -1.5\n\nw0\n2\nb0\n1\nlayer 3\ngamma\n1 2\n"
    )
    values = read_values(written(tmp_path, text))
    np.testing.assert_array_equal(values.input, np.dstack([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 0, -1.5]]]))
    assert {row: sorted(arrays) for row, arrays in values.layers.items()} == {0: ["b0", "w0"], 3: ["gamma"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n", "line 1: '1 2' belongs to no array"),
        ("x\n1 two\n", "line 2: 'two' is no number"),
        ("x\n1 inf\n", "line 2: 'inf': expected finite"),
        ("x\n1 2\n3\n", "x: expected rows of one length"),
        ("x[:,:,0]\n1\nx[:,:,2]\n1\n", "x: expected the channels 0 to 1"),
        ("x[:,:,0]\n1\nx[:,:,0]\n1\n", "line 3: x.* is there already"),
        ("x\n1\nx[:,:,0]\n1\n", "both with and without a channel"),
        ("x\n", "x: expected rows of one length"),
        ("# nothing\n", "no numbers"),
        ("layer 2\n", "no numbers"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CnntoolError, match=message):
        read_values(written(tmp_path, text))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CnntoolError, match="no such file"):
        read_values(str(tmp_path / "none.txt"))
    with pytest.raises(CnntoolError, match="can be read"):
        read_values(str(tmp_path))
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CnntoolError, match="can be read"):
        read_values(str(tmp_path / "b.txt"))
    (tmp_path / "large.txt").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(CnntoolError, match="over 1 MiB"):
        read_values(str(tmp_path / "large.txt"))


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        ("conv 2 1", "w0\n1\n", "w1 is missing: expected w0 to w1"),
        ("conv 1 2", "w0\n1\n", "w0 has 1 x 1 x 1 numbers: expected 2 x 2 x 1"),
        ("conv 1 1", "w0\n1\nw1\n1\n", "w1: the layer has 1 such: expected at most w0"),
        ("conv 1 1", "w0\n1\nb1\n1\n", "b1: the layer has 1 such"),
        ("conv 1 1 --no-bias", "w0\n1\nb0\n1\n", "b0: the layer has no such"),
        ("relu", "w0\n1\n", "no layer has filters"),
        ("relu", "layer 1\nw0\n1\n", "w0: the layer has no such"),
        ("relu", "layer 2\nw0\n1\n", "layer 2: there is no such row"),
        ("batchnorm", "layer 1\nomega\n1\n", "omega: the layer has no such array: expected one of gamma, beta"),
        ("batchnorm", "layer 1\ngamma\n1 2\n", "gamma has 2 numbers: expected 1"),
    ],
)
def test_values_that_do_not_fit_are_named(tmp_path: Path, words: str, text: str, message: str) -> None:
    with pytest.raises(CnntoolError, match=message):
        use_values(Pipeline.parse(words), read_values(written(tmp_path, text)), (2, 2, 1))


def test_typed_arrays_take_their_places(tmp_path: Path) -> None:
    text = "w0[:,:,0]\n1\nw0[:,:,1]\n2\nlayer 2\ngamma\n3\nbeta\n-1\nlayer 3\nw0\n1 2\n3 4\nw1\n5\n6\n7\n8\n"
    pipeline = Pipeline.parse("conv 1 1 batchnorm fc 2")
    use_values(pipeline, read_values(written(tmp_path, text)), (2, 2, 2))
    conv, norm, full = pipeline.weights((2, 2, 2))
    np.testing.assert_array_equal(conv["weight"], np.reshape([1, 2], (1, 1, 2, 1)))
    np.testing.assert_array_equal(conv["bias"], [0])  # a missing bias is zero
    assert (norm["gamma"], norm["beta"]) == (3, -1)
    np.testing.assert_array_equal(full["weight"], [[1, 5], [2, 6], [3, 7], [4, 8]])


def test_the_matrix_of_the_slide() -> None:
    """[A' B'] = [A B] W + b of the slide on batch normalisation."""
    values = read_values(str(SAMPLES / "lecture-whitening.txt"))
    pipeline = Pipeline.parse("conv 2 1")
    use_values(pipeline, values, (1, 1, 2))
    assert values.input is not None
    expected = values.input[0, 0] @ np.array([[0.05, 0.12], [0.61, -1.23]]) + [-1.45, 0.12]
    np.testing.assert_allclose(pipeline.run(values.input)[0, 0], expected, atol=1e-6)


def test_a_shape_alone_has_small_whole_numbers() -> None:
    """And its seed draws them, whatever else the chain holds; files and buffers stay as they are."""
    assert set(np.unique(small_numbers((9, 9, 3), 0))) == {0, 1, 2}
    pipeline = Pipeline.parse("conv 4 3 bank sobel fc 3")
    conv, bank, full = small_arrays(pipeline, (9, 9, 3))
    for arrays in (conv, full):
        assert set(np.unique(arrays["weight"])) == {-1, 0, 1}
        assert set(np.unique(arrays["bias"])) <= {0, 1}
    np.testing.assert_array_equal(bank["weight"], pipeline.weights((9, 9, 3))[1]["weight"])
    np.testing.assert_array_equal(small_arrays(Pipeline.parse("conv 4 3 relu"), (9, 9, 3))[0]["weight"], conv["weight"])
    other = small_arrays(Pipeline.parse("conv 4 3", seed=1), (9, 9, 3))[0]["weight"]
    assert (other != conv["weight"]).any()
