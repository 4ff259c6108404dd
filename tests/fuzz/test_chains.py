from __future__ import annotations

import pytest

from tests.fuzz import chains
from tests.fuzz.chains import Wrong, check, check_many

BLOCK = 100


@pytest.mark.parametrize("first", range(0, 3000, BLOCK))
def test_random_chains_always_give_the_bytes_of_their_first_run(first):
    number, wrong = check_many((first, first + BLOCK, False))
    assert (number, wrong) == (BLOCK, [])


@pytest.mark.parametrize("first", range(100_000, 100_300, BLOCK))
def test_random_chains_agree_with_the_naive_twins(first):
    number, wrong = check_many((first, first + BLOCK, True))
    assert (number, wrong) == (BLOCK, [])


def test_a_wrong_result_is_found(monkeypatch):
    """A later run that gives other bytes than the first is told with its seed."""
    run, calls = chains.Pipeline.run, []

    def spoilt(pipeline, volume, threads):
        result = run(pipeline, volume, threads)
        calls.append(None)
        return result + 1e-3 if len(calls) == 12 else result

    monkeypatch.setattr(chains.Pipeline, "run", spoilt)
    with pytest.raises(Wrong, match=r"seed 3: .* run 1, batch"):
        check(3)
