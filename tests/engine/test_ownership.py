from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.network.graph import INPUT
from tests.kernels.volumes import noise

FLATTENED = [  # views in the middle, at the end, of the input, of marks, of Python's results, several of one value
    ("conv 6 5 relu maxpool 2 conv 16 5 relu maxpool 2 flatten fc 120 relu fc 84 relu fc 10", (32, 32, 1)),
    ("conv 16 3 flatten conv 128 1 relu conv 8 1", (6, 4, 3)),
    ("conv 8 3 relu maxpool 2 flatten", (20, 20, 3)),
    ("flatten", (4, 5, 2)),
    ("flatten flatten flatten fc 3", (4, 5, 2)),
    ("mark x flatten mark f from x conv 4 3 --padding 1 flatten concat f fc 5", (5, 4, 3)),
    ("conv 4 3 mark c flatten mark f from c relu conv 4 3 flatten fc 6 mark g from f fc 6 add g", (9, 8, 2)),
    ("whiten flatten fc 7", (9, 8, 3)),
    ("conv 4 3 globalpool avg flatten mark g fc 4 add g", (9, 8, 3)),
    ("conv 4 3 standardize flatten lrn flatten fc 4", (9, 8, 3)),
    ("dropout 0.5 flatten", (4, 5, 2)),
    ("mark a relu from a", (4, 5, 2)),
]


@pytest.mark.parametrize(("words", "shape"), FLATTENED)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_views_live_as_long_as_they_are_read(words, shape, threads):
    batch = np.stack([noise(*shape) * (number + 1) for number in range(4)])
    expected = [Pipeline.parse(words).run(image, 1) for image in batch]
    pipeline = Pipeline.parse(words)
    kept = [pipeline.run(batch, threads) for _ in range(12)] + [pipeline.run(image, threads)[None] for image in batch]
    for result in kept[:12]:
        assert result.tobytes() == np.stack(expected).tobytes()
    for result, right in zip(kept[12:], expected, strict=True):
        assert result.tobytes() == right.tobytes()
    for number, result in enumerate(kept):
        assert not np.shares_memory(result, batch)
        assert not any(np.shares_memory(result, other) for other in kept[:number])


def test_a_view_lies_in_the_memory_of_its_source():
    plan = Pipeline.parse("conv 4 3 flatten flatten fc 2").plan((9, 8, 2))
    owner = plan.ownership.owner
    convolution, once, twice, full = (run.result for run in plan.runs)
    assert (owner[once], owner[twice], owner[full]) == (convolution, convolution, full)


def test_memory_ends_with_the_last_reader_of_any_view():
    plan = Pipeline.parse("conv 4 3 mark c flatten fc 2 mark f from c globalpool max fc 2 add f").plan((9, 8, 2))
    readers = {place for place, run in enumerate(plan.runs) if run.uses() & {plan.runs[0].result}}
    ends = next(place for place in range(len(plan.runs)) if plan.runs[0].result in plan.ownership.ends_after(place))
    assert ends == max(readers) > min(readers)


def test_the_output_is_never_taken_back():
    plan = Pipeline.parse("conv 4 3 mark x relu flatten fc 3 from x flatten").plan((9, 8, 2))
    ended = {owner for place in range(len(plan.runs)) for owner in plan.ownership.ends_after(place)}
    assert plan.ownership.owner[plan.output] not in ended
    assert INPUT in ended
