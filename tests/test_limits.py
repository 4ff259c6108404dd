from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline, limits
from cnntool.errors import CnntoolError
from cnntool.limits import check_memory, physical_memory


def test_what_does_not_fit_into_memory_is_refused_before_it_is_allocated(monkeypatch):
    assert physical_memory() > 2**26
    monkeypatch.setattr(limits, "physical_memory", lambda: 10_000)
    check_memory(2000, "a small thing")
    with pytest.raises(CnntoolError, match=r"a large thing would need .* GiB: expected at most"):
        check_memory(2001, "a large thing")
    with pytest.raises(CnntoolError, match=r"fc \(layer 1\): its parameters would need"):
        Pipeline.parse("fc 100").weights((10, 10, 1))
    with pytest.raises(CnntoolError, match="a volume of 50x50x8 would need"):
        Pipeline.parse("bank sobel --per-channel").run(np.zeros((50, 50, 4)))
