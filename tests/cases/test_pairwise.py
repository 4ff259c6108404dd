from __future__ import annotations

import itertools

from tests.cases.pairwise import all_pairs, cover, pairs_of

FACTORS = {"a": [1, 2, 3, 4], "b": "xyz", "c": [True, False], "d": range(5)}


def covered(rows):
    return set(itertools.chain.from_iterable(pairs_of(row) for row in rows))


def test_every_pair_occurs_in_far_fewer_rows_than_there_are_choices():
    rows, impossible = cover(FACTORS, lambda choice: True, seed=0)
    assert covered(rows) == set(all_pairs(FACTORS))
    assert len(all_pairs(FACTORS)) == 4 * 3 + 4 * 2 + 4 * 5 + 3 * 2 + 3 * 5 + 2 * 5
    assert impossible == []
    assert 20 <= len(rows) <= 32


def test_only_what_cannot_be_is_reported_as_impossible():
    rows, impossible = cover(FACTORS, lambda choice: choice["a"] != choice["d"], seed=0)
    assert set(impossible) == {(("a", value), ("d", value)) for value in (1, 2, 3, 4)}
    assert all(row["a"] != row["d"] for row in rows)
    assert covered(rows) | set(impossible) == set(all_pairs(FACTORS))


def test_a_seed_gives_the_same_rows_again():
    assert cover(FACTORS, lambda choice: True, seed=5) == cover(FACTORS, lambda choice: True, seed=5)
    assert cover(FACTORS, lambda choice: True, seed=5) != cover(FACTORS, lambda choice: True, seed=6)
