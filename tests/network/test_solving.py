"""The inverse of the calculator, against what the calculator says of each filling, and on networks that are known."""

from __future__ import annotations

import itertools
import time

import pytest

from cnntool import Pipeline
from cnntool.chain.grammar import parse_open_words
from cnntool.cli.shape_solve import solver_of
from cnntool.errors import CnntoolError, Unfit
from cnntool.network.solving import Solver, Target, parse_sizes, parse_target


def solver(size: str, target: str, words: str, up_to: int | None = None) -> Solver:
    return solver_of(parse_open_words(words.split()), parse_sizes(size), parse_target(target), None, up_to)


def solutions(size: str, target: str, words: str, up_to: int | None = None) -> list[tuple[int, ...]]:
    solved = solver(size, target, words, up_to)
    found = list(solved.solutions())
    assert solved.count == len(found)
    return found


def brute(
    size: tuple[int, int, int], output: tuple[int, int], words: str, ranges: list[range]
) -> list[tuple[int, ...]]:
    """The fillings of words whose calculated output has this height and width."""
    found = []
    for numbers in itertools.product(*ranges):
        filled = words
        for number in numbers:
            filled = filled.replace("?", str(number), 1)
        try:
            row = Pipeline.parse(filled).shape(size)["layers"][-1]
        except CnntoolError:
            continue
        if tuple(row["output_shape"][:2]) == output:
            found.append(numbers)
    return found


def test_a_kernel_and_a_padding_that_keep_the_size() -> None:
    assert solutions("55x55x96", "unchanged", "conv 64 ? --padding ?") == [
        (k, (k - 1) // 2) for k in (1, 3, 5, 7, 9, 11)
    ]


def test_a_stride_that_halves() -> None:
    words, ranges = "conv 64 ? --stride ? --padding ?", [range(1, 12), range(1, 12), range(12)]
    assert solutions("55x55x3", "27x27", words) == brute((55, 55, 3), (27, 27), words, ranges)


@pytest.mark.parametrize(
    ("size", "target", "words"),
    [
        ((20, 13, 4), (5, 3), "conv 4 ?x3 --stride ?x? relu maxpool ? --ceil --stride 2"),
        ((17, 17, 4), (6, 6), "avgpool ? --stride ? --padding ? --ceil"),
        ((17, 19, 4), (9, 10), "conv 4 ? --stride ? --padding same --dilation ?"),
        ((17, 17, 4), (8, 8), "bank dct --size ?x? --stride ? --padding 0,?,1,0"),
        ((12, 12, 4), (12, 12), "mark x conv 4 ? --padding ? relu conv 4 3 --padding ? add x"),
        ((12, 12, 4), (3, 3), "bank kmeans 7 ? --stride ? triangle gridpool ?"),
    ],
)
def test_all_kinds_of_layers_and_a_branch(size: tuple[int, int, int], target: tuple[int, int], words: str) -> None:
    up_to, ranges = 5, []
    layers = parse_open_words(words.split())
    for hole in solver_of(layers, size, Target(), None, up_to).holes:
        ranges.append(hole.range)
        assert hole.range.stop == up_to + 1
    expected = brute(size, target, words, ranges)
    assert expected
    assert solutions("x".join(map(str, size)), "x".join(map(str, target)), words, up_to) == expected


def test_channels_and_groups() -> None:
    assert solutions("8x8x12", "8x8x18", "conv ? 1 --groups ?", 20) == [(18, 1), (18, 2), (18, 3), (18, 6)]
    assert solutions("8x8x12", "1x1x?", "fc ?", 3) == [(1,), (2,), (3,)]
    assert solutions("8x8x12", "1x1x768", "flatten conv ? 1") == [(768,)]


def test_the_input_of_alexnet() -> None:
    """Between 223 and 254 its last pool leaves 6x6, of which 224 and 227 are in use."""
    words = (
        "conv 64 11 --stride 4 --padding 2 maxpool 3 --stride 2 conv 192 5 --padding 2 maxpool 3 --stride 2 "
        "conv 256 3 --padding 1 maxpool 3 --stride 2"
    )
    assert solutions("?x?x3", "6x6", words) == [(size,) for size in range(223, 255)]
    assert solutions("?x224x3", "6x6", words) == [(size,) for size in range(223, 255)]
    assert not solutions("?x222x3", "6x6", words)


def test_millions_of_solutions_are_counted_without_being_made() -> None:
    solved = solver("32x32x1", "?x?", "relu" + " conv 1 ? --padding ?" * 6, 4)
    first = list(itertools.islice(solved.solutions(), 3))
    assert solved.count == 4**6 * 5**6
    assert first == [(1, 0) * 5 + (1, padding) for padding in range(3)]


def test_a_chain_with_six_open_numbers_is_quick() -> None:
    """Trying its 2 million fillings one by one would take a minute."""
    words = "conv 64 ? --stride ? --padding ? relu maxpool ? --stride ? --padding ?"
    start = time.process_time()
    solved = solver("224x224x3", "27x27", words)
    assert solved.count == len(list(solved.solutions())) == 5537
    assert time.process_time() - start < 2


def test_padding_of_pools_is_at_most_half() -> None:
    assert solutions("9x9x1", "?x?", "maxpool ? --padding ?", 3) == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]


def test_a_marked_input_is_the_input_itself() -> None:
    assert solutions("9x9x2", "unchanged", "mark x conv 2 ? --padding ? add x", 3) == [(1, 0), (3, 1)]


def test_nothing_fits() -> None:
    with pytest.raises(Unfit, match=r"maxpool \(layer 2\): no solution within the range: kernel 99x99 does not fit"):
        solver("9x9x3", "3x3", "conv 3 ? maxpool 99")
    with pytest.raises(Unfit, match=r"conv \(layer 1\): no solution within the range: --groups 2 does not divide"):
        solver("9x9x3", "3x3", "conv 3 ? --groups 2")


def test_too_many_ways_are_refused() -> None:
    with pytest.raises(CnntoolError, match=r"conv \(layer 1\): its `\?` can be filled in .* give --up-to N"):
        solver("9x9x3", "3x3", "conv ? 3 --groups ?")
    with pytest.raises(CnntoolError, match="can be filled in"):
        solver("99x99x3", "3x3", "conv 3 ? --stride ? --padding ?", 1000)
    with pytest.raises(CnntoolError, match="too many possibilities"):
        solver("300x200x3", "3x3", "conv 3 ?x? --stride ?x? --padding ?x? maxpool ?x? --stride ?x? conv 3 ?x?")


def test_a_layer_without_influence_is_refused() -> None:
    with pytest.raises(CnntoolError, match=r"conv \(layer 2\): the output does not depend on this layer"):
        solver("9x9x3", "3x3", "mark x conv 3 3 conv 3 ? from x relu")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("27x27", (27, 27, None)), ("27", (27, 27, None)), ("?x9x64", (None, 9, 64)), ("?", (None, None, None))],
)
def test_targets(text: str, sizes: tuple[int | None, ...]) -> None:
    assert parse_target(text) == Target(sizes)
    assert parse_target("unchanged") == Target(unchanged=True)


@pytest.mark.parametrize("text", ["", "x", "0x3", "27x", "1x2x3x4", "-3", "same", "²x3", "2e3"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_target(text)
