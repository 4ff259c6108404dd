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


@pytest.mark.parametrize(
    "words",
    [
        "maxpool 20001 --padding 10000",
        "avgpool 65535 --padding same --stride 65535",
        "relu l2pool 65534 --padding 32767",
        "conv 1 1 --padding 20000 --stride 40000 --dilation 40000 maxpool 20001 --padding 10000",
    ],
)
def test_borders_count_before_they_are_allocated(words):
    with pytest.raises(CnntoolError, match=r"the border around its input would need .* GiB: expected at most 1\.0"):
        Pipeline.parse(words).run(np.zeros((1, 1, 1)))


def test_the_bands_of_all_threads_count(monkeypatch):
    pipeline, x = Pipeline.parse("maxpool 401 --padding 200 --stride 1"), np.zeros((40, 1, 1), np.float32)
    monkeypatch.setattr("cnntool.engine.plan.available_threads", lambda: 4)
    monkeypatch.setattr(limits, "memory_limit", lambda: 2_000_000)
    with pytest.raises(CnntoolError, match="`maxpool` with the border around its input would need"):
        pipeline.run(x)
    monkeypatch.setattr("cnntool.engine.plan.available_threads", lambda: 1)
    assert pipeline.run(x).shape == x.shape


def test_the_filters_of_a_bank_count_once_for_each_channel(monkeypatch):
    monkeypatch.setattr(limits, "memory_limit", lambda: 2_000_000)
    with pytest.raises(CnntoolError, match="the filters, once for each channel, would need"):
        Pipeline.parse("bank gabor --per-channel").run(np.zeros((1, 1, 100)))


def test_parameters_count_twice_since_kernels_take_a_copy(monkeypatch):
    monkeypatch.setattr(limits, "memory_limit", lambda: 4 * 300)
    with pytest.raises(CnntoolError, match="the parameters up to here, as they are and as kernels take them,"):
        Pipeline.parse("conv 2 10 --no-bias").run(np.zeros((10, 10, 1)))


def test_sizes_of_images_are_held_to_the_limits(monkeypatch):
    from cnntool.images.preparation import Preparation

    for preparation in (Preparation(resize=(30000, 30000)), Preparation(resize=30000)):
        with pytest.raises(ValueError, match="become 30000 x 30000: at most"):
            preparation.size(10, 10)
    assert Preparation(resize=(30, 30)).size(10, 10) == (30, 30)
    monkeypatch.setattr("cnntool.images.preparation.memory_limit", lambda: 16 * 899)
    with pytest.raises(ValueError, match="at most 899 are read"):
        Preparation(resize=(30, 30)).size(10, 10)
