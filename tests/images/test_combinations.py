"""Every kind of TIFF and PNG is read right or refused, with tifffile and without; a share of the many plain ones."""

from __future__ import annotations

import pytest

pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

from tests.images.combinations import outcome, without_extra
from tests.images.png_combinations import pngs
from tests.images.tiff_combinations import coded_tiffs, lossy_tiffs, odd_tiffs, plain_tiffs

EVERY = 13  # of the plain kinds; has no factor in common with the axes, so that each value of each axis comes


@pytest.mark.parametrize(
    ("cases", "least"), [(plain_tiffs, 200), (odd_tiffs, 350), (lossy_tiffs, 100), (coded_tiffs, 50), (pngs, 260)]
)
def test_nothing_is_read_wrong(cases, least):
    chosen = list(cases(EVERY) if cases is plain_tiffs else cases())
    found = {case.name: outcome(case) for case in chosen}
    assert {name: text for name, text in found.items() if text not in ("right", "refused")} == {}
    assert sum(text == "right" for text in found.values()) >= least
    with without_extra():
        bare = {case.name: outcome(case) for case in chosen}
    assert {name: text for name, text in bare.items() if text not in ("right", "refused")} == {}
