from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins

SHAPE = (12, 12, 16)


def deviation(words: str, shape=SHAPE) -> float:
    return float(Pipeline.parse(words).weights(shape)[0]["weight"].std())


HE, GLOROT, LECUN = (2 / (9 * 16)) ** 0.5, (2 / (9 * 16 + 9 * 64)) ** 0.5, (1 / (9 * 16)) ** 0.5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("conv 64 3", GLOROT),
        ("conv 64 3 relu", HE),
        ("conv 64 3 leaky-relu", HE),
        ("conv 64 3 batchnorm relu", HE),
        ("conv 64 3 batchnorm dropout 0.1 maxpool 2 prelu", HE),
        ("conv 64 3 tanh", GLOROT),
        ("conv 64 3 batchnorm sigmoid relu", GLOROT),
        ("conv 64 3 conv 64 3 relu", GLOROT),
        ("conv 64 3 mark s from s relu", HE),
        ("conv 64 3 mark s abs add s relu", GLOROT),
        ("conv 64 3 --init he", HE),
        ("conv 64 3 --init glorot relu", GLOROT),
        ("conv 64 3 --init lecun relu", LECUN),
    ],
)
def test_filters_before_a_rectifier_are_drawn_as_he_others_as_glorot(words, expected):
    assert deviation(words) == pytest.approx(expected, rel=0.05)


def test_a_convolution_that_joins_another_is_drawn_for_what_follows_the_sum():
    assert deviation("conv 16 3 --padding 1 mark x conv 64 1 relu") == pytest.approx(
        (2 / (2 * 9 * 16)) ** 0.5, rel=0.05
    )
    words = "mark x conv 16 3 --padding 1 add x relu"
    assert deviation(words) == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.05)


def test_full_connections_count_their_inputs():
    assert deviation("fc 64 relu", (4, 4, 9)) == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    assert deviation("fc 64 softmax", (4, 4, 9)) == pytest.approx((2 / (144 + 64)) ** 0.5, rel=0.05)


def test_groups_count_their_own_inputs():
    assert deviation("conv 64 3 --groups 4 relu") == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.05)


def test_zeros_and_biases_are_zero():
    assert not Pipeline.parse("conv 8 3 --init zeros").weights(SHAPE)[0]["weight"].any()
    assert not Pipeline.parse("conv 8 3").weights(SHAPE)[0]["bias"].any()


def test_activations_keep_their_size_through_many_layers():
    x = noise(20, 20, 16)
    words = " ".join(["conv 32 3 --padding same relu"] * 8)
    assert 0.2 < Pipeline.parse(words).run(x)[6:14, 6:14].std() < 3


def test_a_seed_gives_the_same_and_another_others():
    first, same, other = (Pipeline.parse("conv 8 3", seed=seed).weights(SHAPE)[0]["weight"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.isclose(first, other).any()


def test_layers_of_one_shape_are_drawn_apart():
    first, second = Pipeline.parse("conv 16 3 --padding 1 conv 16 3").weights(SHAPE)
    assert np.abs(np.corrcoef(first["weight"].ravel(), second["weight"].ravel())[0, 1]) < 0.1


def test_the_size_of_the_pictures_does_not_change_the_weights():
    words = "conv 8 3 relu conv 8 3 globalpool avg fc 5"
    sizes = (Pipeline.parse(words).weights(shape) for shape in ((9, 9, 3), (30, 20, 3)))
    for small, large in zip(*sizes, strict=True):
        assert small.keys() == large.keys()
        for name in small:
            np.testing.assert_array_equal(small[name], large[name])


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8])
def test_filters_of_a_file(tmp_path, suffix, dtype):
    path, weight, bias = tmp_path / f"w.{suffix}", (4 * noise(3, 2, 3, 5)).clip(0, 9).astype(dtype), noise(5)
    if suffix == "npy":
        np.save(path, weight)
        bias = None
    else:
        np.savez(path, weight=weight, bias=bias)
    x = noise(7, 8, 3)
    found = Pipeline.parse(["conv", "5", "3x2", "--weights", str(path)]).run(x)
    assert_near(found, twins.conv(x, weight, bias))


def test_a_bias_that_the_file_leaves_out_is_zero(tmp_path):
    np.savez(tmp_path / "w.npz", weight=noise(3, 3, 2, 4))
    arrays = Pipeline.parse(["conv", "4", "3", "--weights", str(tmp_path / "w.npz")]).weights((8, 8, 2))[0]
    np.testing.assert_array_equal(arrays["bias"], np.zeros(4))


def test_a_bias_that_is_not_wanted_is_left_out(tmp_path):
    np.savez(tmp_path / "w.npz", weight=noise(3, 3, 2, 4), bias=noise(4))
    words = ["conv", "4", "3", "--no-bias", "--weights", str(tmp_path / "w.npz")]
    assert set(Pipeline.parse(words).weights((8, 8, 2))[0]) == {"weight"}


def test_a_matrix_of_a_file(tmp_path):
    weight, x = noise(24, 5), noise(2, 3, 4)
    np.save(tmp_path / "m.npy", weight)
    found = Pipeline.parse(["fc", "5", "--weights", str(tmp_path / "m.npy")]).run(x)
    assert_near(found, twins.fc(x, weight), 1e-6)


def refused(path, match: str, words: str = "relu conv 4 3") -> None:
    pipeline = Pipeline.parse([*words.split(), "--weights", str(path)])
    with pytest.raises(CnntoolError, match=match) as error:
        pipeline.run(np.zeros((8, 8, 2)))
    assert str(error.value).startswith("conv (layer 2): --weights ")
    assert str(path) in str(error.value)


def test_wrong_shapes_are_refused_with_the_right_one(tmp_path):
    np.save(tmp_path / "w.npy", noise(4, 2, 3, 3))
    refused(tmp_path / "w.npy", r"`weight` is float32 of shape \(4, 2, 3, 3\), expected real numbers of \(3, 3, 2, 4\)")
    np.savez(tmp_path / "w.npz", weight=noise(3, 3, 2, 4), bias=noise(3))
    refused(tmp_path / "w.npz", r"`bias` is float32 of shape \(3,\), expected real numbers of \(4,\)")


@pytest.mark.parametrize("dtype", ["complex64", "S4", "datetime64[s]", "bool"])
def test_wrong_types_are_refused(tmp_path, dtype):
    np.save(tmp_path / "w.npy", np.zeros((3, 3, 2, 4), dtype))
    refused(tmp_path / "w.npy", "expected real numbers")


def test_files_that_are_missing_damaged_or_dangerous_are_refused(tmp_path):
    refused(tmp_path / "none.npy", "no such file")
    (tmp_path / "empty.npy").write_bytes(b"")
    refused(tmp_path / "empty.npy", "not a file of arrays that can be read")
    (tmp_path / "text.npz").write_text("weights")
    refused(tmp_path / "text.npz", "not a file of arrays that can be read")
    np.save(tmp_path / "whole.npy", noise(3, 3, 2, 4))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-20])
    refused(tmp_path / "cut.npy", "not a file of arrays that can be read")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    refused(tmp_path / "objects.npy", "`weight` is object of shape")
    np.savez(tmp_path / "names.npz", filters=noise(3, 3, 2, 4))
    refused(tmp_path / "names.npz", "no array `weight` in it, only filters")


def test_a_damaged_member_of_an_archive_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, weight=noise(3, 3, 2, 4))
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    refused(path, "not a file of arrays that can be read")


def test_a_file_of_another_suffix_is_refused_at_the_option():
    with pytest.raises(CnntoolError, match=r"conv \(layer 1\): .*\.npy or \.npz"):
        Pipeline.parse("conv 4 3 --weights w.txt")


def test_shapes_are_told_without_the_file():
    assert Pipeline.parse("conv 4 3 --weights none.npy").shape((8, 8, 2))["totals"]["parameters"] == 76
