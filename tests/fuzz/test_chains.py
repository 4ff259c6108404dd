from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from cnntool.engine.threads import available_threads
from tests.fuzz import chains
from tests.fuzz.chains import Wrong, check, check_many

BLOCK = 100


@pytest.mark.parametrize(("first", "number", "twins"), [(0, 3000, False), (100_000, 300, True)])
def test_random_chains_always_give_the_right_bytes(first, number, twins):
    """Those of their first run, which agrees with direct convolution, or with the naive twins."""
    tasks = [(seed, seed + BLOCK, twins) for seed in range(first, first + number, BLOCK)]
    with ProcessPoolExecutor(available_threads(), multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(check_many, tasks))
    assert [text for _, wrong in done for text in wrong] == []
    assert sum(count for count, _ in done) == number


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
