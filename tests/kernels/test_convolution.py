from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntool.kernels import convolution
from cnntool.kernels.arguments import Corner, Size, Window
from cnntool.kernels.convolution import BLOCK, EVERY_BLOCK, NO_LIMIT, NONE, pack_bias, pack_filters, packed
from cnntool.kernels.vectors import LANES, PIXELS
from tests.kernels.volumes import COLUMN, ROW, assert_near, fenced, guarded, noise, roomy, written
from tests.naive import twins

OTHER_ROW = 1  # where what is added begins


def direct(
    x, weight, bias=None, stride=(1, 1), dilation=(1, 1), groups=1, x_row=0, rows=None, low=NO_LIMIT, other=None
):
    """The direct kernel on a padded volume; `rows` output rows from input row `x_row` on, all when None."""
    with np.errstate(invalid="ignore"):
        expected = twins.conv(x[x_row:], weight, bias, stride, dilation=dilation, groups=groups)
    rows, columns, out_channels = rows or expected.shape[0], *expected.shape[1:]
    out = guarded(rows, columns, out_channels)
    convolution.conv_direct_forward(
        Corner(roomy(x, PIXELS * stride[1] * x.shape[2]), x_row, 0), packed(weight, bias, groups),
        Corner(out, ROW, COLUMN), Size(rows, columns), Window(weight.shape[:2], stride, dilation), low, EVERY_BLOCK,
        Corner(out, NONE, 0) if other is None else Corner(other, OTHER_ROW, 0),
    )  # fmt: skip
    expected = expected[:rows] if other is None else expected[:rows] + other[OTHER_ROW : OTHER_ROW + rows]
    return written(out, rows, columns), np.where(expected < low, low, expected)


def depthwise(x, weight, bias, stride=(1, 1), dilation=(1, 1), x_row=0, rows=None):
    """The depthwise kernel; `weight` is (kh, kw, C)."""
    channels = x.shape[2]
    expected = twins.conv(x[x_row:], weight[:, :, None], bias, stride, dilation=dilation, groups=channels)
    rows, columns = rows or expected.shape[0], expected.shape[1]
    out = guarded(rows, columns, channels)
    convolution.conv_depthwise_forward(
        Corner(roomy(x, 4 * stride[1] * channels), x_row, 0), weight, bias, Corner(out, ROW, COLUMN),
        Size(rows, columns), Window(weight.shape[:2], stride, dilation),
    )  # fmt: skip
    return written(out, rows, columns), expected[:rows]


@pytest.mark.parametrize("width", [3, 9, 17, 32])
def test_any_number_of_output_channels(width):
    x = noise(4, width, 3)
    for channels in range(1, 41):
        assert_near(*direct(x, noise(3, 3, 3, channels), noise(channels)), hint=f"{channels} channels")


@pytest.mark.parametrize("channels", [1, LANES, LANES + 1, BLOCK, BLOCK + 3])
def test_any_width(channels):
    for width in range(1, 31):
        assert_near(*direct(noise(3, width + 1, 2), noise(2, 2, 2, channels), noise(channels)), hint=f"width {width}")


def test_any_number_of_input_channels():
    for channels in range(1, 41):
        assert_near(*direct(noise(2, 5, channels), noise(1, 1, channels, 6)), hint=f"{channels} channels")


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("per_group", [1, 2, LANES, LANES + 1, BLOCK + 1])
def test_groups_do_not_mix(groups, per_group):
    channels = groups * per_group
    assert_near(*direct(noise(5, 8, 2 * groups), noise(3, 2, 2, channels), noise(channels), groups=groups))


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (1, 2), (3, 1), (2, 2)])
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 2), (1, 4)])
def test_strides_and_dilations(stride, dilation, kernel_size):
    assert_near(*direct(noise(13, 19, 4), noise(*kernel_size, 4, 5), noise(5), stride, dilation))
    assert_near(*direct(noise(13, 19, 4), noise(*kernel_size, 2, 6), noise(6), stride, dilation, groups=2))


@pytest.mark.parametrize("x_row", [0, 1, 5])
@pytest.mark.parametrize("rows", [1, 2])
def test_rows_from_the_middle(x_row, rows):
    assert_near(*direct(noise(12, 9, 3), noise(3, 3, 3, 5), noise(5), (2, 1), x_row=x_row, rows=rows))
    assert_near(*depthwise(noise(12, 9, 3), noise(3, 3, 3), noise(3), (2, 1), x_row=x_row, rows=rows))


def test_no_rows_write_nothing():
    out = guarded(1, 4, 3)
    convolution.conv_direct_forward(
        Corner(noise(3, 4, 3), 0, 0), packed(noise(1, 1, 3, 3), None), Corner(out, ROW, COLUMN), Size(0, 4), Window(),
        NO_LIMIT, EVERY_BLOCK, Corner(out, NONE, 0),
    )  # fmt: skip
    written(out, 0, 0)


def test_any_number_of_depthwise_channels():
    for channels in [*range(1, 41), 2 * LANES, 2 * LANES + 1, 4 * LANES]:
        assert_near(
            *depthwise(noise(4, 6, channels), noise(3, 2, channels), noise(channels)), hint=f"{channels} channels"
        )


@pytest.mark.parametrize("channels", [1, 5, 2 * LANES, 2 * LANES + 1])
def test_any_depthwise_width(channels):
    for width in range(1, 31):
        assert_near(
            *depthwise(noise(3, width + 2, channels), noise(2, 3, channels), noise(channels)), hint=f"width {width}"
        )


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_depthwise_strides_and_dilations(stride, dilation):
    assert_near(*depthwise(noise(13, 19, 7), noise(3, 3, 7), noise(7), stride, dilation))


@pytest.mark.parametrize("channels", [1, LANES, LANES + 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_windows_of_3x3_reach_into_zeros_beyond_the_input(stride, channels):
    weight, bias = noise(3, 3, channels), noise(channels)
    for height, width in [*itertools.product(range(1, 6), range(1, 6)), (9, 8 * stride), (4, 15), (3, 31)]:
        x = noise(height, width, channels)
        for top, left, bottom, right in [(1, 1, 1, 1), (0, 1, 2, 1), (2, 0, 1, 3), (5, 4, 3, 9)]:
            padded = np.pad(x, ((top, bottom), (left, right), (0, 0)))
            if min(padded.shape[:2]) < 3:
                continue
            expected = twins.conv(padded, weight[:, :, None], bias, (stride, stride), groups=channels)
            for low in (convolution.NO_LIMIT, np.float32(0)):
                out = guarded(*expected.shape)
                source, target = Corner(fenced(x), -top, -left), Corner(out, ROW, COLUMN)
                size = Size(*expected.shape[:2])
                convolution.conv_depthwise_3x3_forward(source, weight, bias, target, size, stride, low)
                found = written(out, *size)
                hint = f"{height}x{width}, border {top}, {left}, {bottom}, {right}, at least {low}"
                assert_near(found, np.maximum(low, expected), hint=hint)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_spoils_its_windows_only(bad):
    x = noise(6, 20, 3)
    x[2, 9, 1] = bad
    found, expected = direct(x, noise(2, 3, 3, 5), noise(5))
    assert np.isfinite(expected).sum() == expected.size - 2 * 3 * 5
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    found, expected = depthwise(x, noise(2, 3, 3), noise(3))
    assert np.isfinite(expected).sum() == expected.size - 2 * 3
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))


@pytest.mark.parametrize(("groups", "out_channels"), [(1, 1), (1, LANES), (1, LANES + 1), (1, BLOCK + 2), (2, 6)])
def test_filters_are_packed_by_group_block_row_column_and_input_channel(groups, out_channels):
    weight, per_group = noise(2, 3, 4, out_channels), out_channels // groups
    packed = pack_filters(weight, groups)
    place = 0
    for group in range(groups):
        for first in range(0, per_group, BLOCK):
            count = min(BLOCK, per_group - first)
            lanes = BLOCK if count > LANES else LANES
            for ky, kx, ic in np.ndindex(2, 3, 4):
                start = group * per_group + first
                np.testing.assert_array_equal(packed[place : place + count], weight[ky, kx, ic, start : start + count])
                assert not packed[place + count : place + lanes].any()
                place += lanes
    assert place == packed.size
    assert packed.dtype == np.float32


def test_the_bias_is_packed_to_whole_blocks_of_each_group():
    bias = noise(6)
    packed = pack_bias(bias, 6, 2).reshape(2, BLOCK)
    np.testing.assert_array_equal(packed[:, :3], bias.reshape(2, 3))
    assert not packed[:, 3:].any()
    assert not pack_bias(None, BLOCK + 1, 1).any()
    assert pack_bias(None, BLOCK + 1, 1).size == 2 * BLOCK


@pytest.mark.parametrize("out_channels", [3, 40])
def test_nothing_less_than_the_limit_is_stored_and_nan_stays(out_channels):
    x, weight = noise(6, 20, 4), noise(3, 3, 4, out_channels)
    found, expected = direct(x, weight, low=np.float32(0))
    assert_near(found, expected, 1e-6)
    assert (found == 0).any()
    x[2, 3, 0] = np.nan
    found, expected = direct(x, weight, low=np.float32(0))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
