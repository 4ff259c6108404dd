from __future__ import annotations

import itertools

import pytest

from cnntool.errors import CnntoolError
from cnntool.kernels.arguments import Window
from cnntool.steps.geometry import counted_sizes, output_size, place_window, same_padding
from tests.naive import geometry as naive


def window(kernel, stride=1, dilation=1, before=0, after=0) -> Window:
    return Window((kernel, kernel), (stride, stride), (dilation, dilation), (before, before, after, after))


@pytest.mark.parametrize("ceil", [False, True])
def test_output_sizes_are_those_of_the_twin(ceil):
    checked = 0
    for size, kernel, stride, dilation, before, after in itertools.product(
        range(1, 12), range(1, 6), range(1, 5), (1, 2, 3), range(3), range(3)
    ):
        expected = naive.output_size(size, kernel, stride, dilation, before, after, ceil)
        one = window(kernel, stride, dilation, before, after)
        if expected >= 1 and (ceil or size + before + after >= one.extent[0]):
            assert output_size(one, (size, size), ceil) == (expected, expected)
            checked += 1
        elif expected < 1:
            with pytest.raises(CnntoolError, match="does not fit"):
                output_size(one, (size, size), ceil)
    assert checked > 4000


@pytest.mark.parametrize(
    ("size", "one", "expected"),
    [
        (9, window(4, 4, 1, 2, 2), 3),
        (32, window(1, 2), 16),
        (5, window(2, 2), 3),
        (5, window(3, 2), 2),
        (6, window(3, 2), 3),
    ],
)
def test_rounding_up_is_as_in_pytorch(size, one, expected):
    assert output_size(one, (size, size), ceil=True) == (expected, expected)


def test_same_padding_gives_the_input_over_the_stride_rounded_up():
    for size, kernel, stride, dilation in itertools.product(range(1, 15), range(1, 8), range(1, 5), range(1, 4)):
        before, after = same_padding(size, kernel, stride, dilation)
        assert (before, after) == naive.same_padding(size, kernel, stride, dilation)
        assert after - before in (0, 1)
        assert output_size(window(kernel, stride, dilation, before, after), (size, size)) == (-(-size // stride),) * 2


@pytest.mark.parametrize(("kernel", "expected"), [(2, (0, 1)), (3, (1, 1)), (4, (1, 2)), (7, (3, 3))])
def test_the_odd_pixel_of_same_lies_at_the_end(kernel, expected):
    assert same_padding(10, kernel, 1, 1) == expected


def test_place_window_makes_numbers_of_words():
    assert place_window("valid", (5, 6), (3, 3), (1, 1), (1, 1)).padding == (0, 0, 0, 0)
    assert place_window("same", (5, 6), (2, 5), (1, 1), (1, 1)).padding == (0, 2, 1, 2)
    assert place_window((4, 3, 2, 1), (5, 6), (2, 5), (1, 1), (1, 1)).padding == (4, 3, 2, 1)


@pytest.mark.parametrize(
    ("one", "size", "words"),
    [
        (window(7), (5, 5), ["kernel 7x7", "5x5", "at most 5x5", "at least 1x1 a side", "--padding same"]),
        (window(3, dilation=3), (4, 9), ["dilation 3x3 spans 7x7", "at most 2x3", "at least 2x0 a side"]),
        (window(9, before=1, after=1), (5, 5), ["7x7 with padding", "at most 7x7", "at least 2x2 a side"]),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(one, size, words):
    with pytest.raises(CnntoolError) as error:
        output_size(one, size)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("count_padding", [False, True])
def test_counted_sizes_are_the_elements_of_each_window(count_padding):
    for size, kernel, stride, dilation, before, after in itertools.product(
        range(1, 9), range(1, 5), (1, 2, 3), (1, 2), range(3), range(3)
    ):
        outputs = naive.output_size(size, kernel, stride, dilation, before, after, ceil=True)
        low, high = (0, before + size + after) if count_padding else (before, before + size)
        expected = [
            len([tap for tap in range(kernel) if low <= place * stride + tap * dilation < high])
            for place in range(max(0, outputs))
        ]
        assert counted_sizes(size, kernel, stride, dilation, before, after, max(0, outputs), count_padding) == expected


def test_counting_takes_no_longer_for_long_windows():
    """One step an output: of a million windows of half a million elements, 5e11 could not be counted one by one."""
    sizes = counted_sizes(10**6, 5 * 10**5, 1, 1, 2 * 10**5, 0, 700_001, False)
    assert (sizes[0], sizes[200_000], sizes[-1]) == (300_000, 500_000, 500_000)
