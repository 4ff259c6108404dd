from __future__ import annotations

import re

import numba
import pytest

from cnntool.kernels import compiler, frontend
from cnntool.kernels.convention import kinds_of_text
from cnntool.kernels.sources import convolution, pointwise, statistics

KERNELS = [
    (pointwise.add_forward, "f3iif3iii"),
    (statistics.channel_sums_forward, "f3iid1"),
    (convolution.conv_depthwise_3x3_forward, "C3f3iif3f1C3f3iiS2iiif"),
]


def assembly(kernel: object, kinds: str) -> str:
    """Without the names of functions and constants, which contain numbers that count on."""
    module, machine, _ = compiler.optimised(kernel, kinds_of_text(kinds), "entry")
    return re.sub(r"(_ZN|\.const\.|\.L)[^\s,()]+", "name", machine.emit_assembly(module))


@pytest.mark.parametrize(("kernel", "kinds"), KERNELS)
def test_the_machine_code_is_that_of_numba_as_it_is(kernel, kinds, monkeypatch):
    versions = []
    for version in (numba.version_info.short, (0, 0)):
        monkeypatch.setattr(frontend, "VERSION", version)
        versions.append(assembly(kernel, kinds))
    assert versions[0] == versions[1]


def test_what_it_replaces_is_back_afterwards():
    def replaced() -> tuple:
        return frontend.inline_closurecall.InlineWorker, frontend.BaseFunction.get_call_type

    before = replaced()
    with frontend.quick():
        assert (replaced() != before) == (numba.version_info.short == frontend.VERSION)
    assert replaced() == before
