"""What an output sees: exactly the pixels whose change can change it, found by changing each."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.explaining.seen import seen_of

# words, input shape; weights are random and inputs positive, so that what can change does
CHAINS = [
    ("conv 3 3 --stride 2 --padding 1", (9, 8, 2)),
    ("conv 3 3 --dilation 2 conv 2 2 --stride 3", (13, 12, 1)),
    ("conv 4 3 --padding same --stride 3 avgpool 2 --stride 1", (14, 13, 2)),
    ("mark a conv 2 3 --padding 1 add a", (7, 7, 2)),
    ("mark a conv 2 5 --padding 2 --dilation 1 mark b from a conv 3 1 concat b", (9, 9, 2)),
    ("mark a conv 2 1 mark b from a conv 3 5 --padding 2 concat b", (8, 7, 2)),
    ("conv 4 3 --padding 1 --groups 2 conv 4 2 --groups 4 lrn --size 3 --alpha 1", (8, 7, 2)),
    ("avgpool 3 --ceil conv 2 2", (10, 11, 1)),
    ("gridpool 3", (11, 8, 2)),
    ("conv 2 5 --padding 4 --border reflect --stride 3", (7, 6, 1)),
    ("conv 2 3 --padding 2 --border mirror avgpool 3 --padding 1 --stride 2 --border replicate", (6, 7, 1)),
    ("conv 2 3 --padding 1 --border wrap", (5, 4, 2)),
    ("conv 2 3 flatten", (6, 5, 2)),
    ("flatten fc 3", (4, 5, 2)),
    ("globalpool avg fc 2", (5, 5, 2)),
    ("bank random --count 3 --size 3 --per-channel softplus", (8, 8, 2)),
    ("bank random --count 4 --size 5 --stride 2", (9, 9, 3)),
    ("mark a conv 2 3 --stride 2 --padding 1 mark b from a avgpool 2 concat b conv 3 3 --padding 1", (10, 10, 2)),
]


@pytest.mark.parametrize(("words", "shape"), CHAINS)
def test_seen_is_what_a_change_of_a_pixel_changes(words: str, shape: tuple[int, int, int]) -> None:
    pipeline = Pipeline.parse(words, seed=3)
    volume = np.random.default_rng(0).random(shape, np.float32) + 0.5
    pipeline.use_algorithm("direct")
    output = pipeline.run(volume)
    changed = {place: pipeline.run(perturbed(volume, place)) != output for place in np.ndindex(*shape)}
    dice = np.random.default_rng(1)
    places = list(np.ndindex(*output.shape))
    for index in dice.choice(len(places), min(12, len(places)), replace=False):
        at = places[index]
        graph = pipeline.graph
        mask = np.zeros(shape, bool)
        for part in seen_of(graph, graph.shapes(shape), graph.output, at).parts:
            mask[np.ix_(sorted(part.rows), sorted(part.columns), range(part.first, part.last))] = True
        found = np.array([changed[place][at] for place in np.ndindex(*shape)]).reshape(shape)
        np.testing.assert_array_equal(found, mask, err_msg=str(at))


def perturbed(volume: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    copy = volume.copy()
    copy[place] += 1000  # no weight is so small that this is lost in rounding
    return copy


def test_a_deep_residual_network_stays_one_part() -> None:
    """Each block has two ways; the shorter one lies within the longer."""
    words = "conv 4 3 --padding 1 " + "mark x conv 4 3 --padding 1 relu conv 4 3 --padding 1 add x relu " * 20
    pipeline = Pipeline.parse(words)
    seen = seen_of(pipeline.graph, pipeline.graph.shapes((64, 64, 3)), pipeline.graph.output, (32, 32, 1))
    assert len(seen.parts) == 1
    assert seen.bounds == ((0, 63), (0, 63))
