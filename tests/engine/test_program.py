"""From the second run on a plan is worked off as a recorded program; it gives the same bytes as the first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.engine import program
from cnntool.engine.team import _Turn, team
from cnntool.steps import bands
from tests.cases.chains import random_configuration
from tests.kernels.volumes import noise
from tests.steps.test_bands import CHAINS

MORE = [
    ("conv 8 3 --padding 1 globalpool avg fc 5 softmax", (20, 14, 3)),
    ("conv 8 3 --padding 1 softmax globalpool max", (20, 14, 3)),
    ("whiten conv 8 3 relu maxpool 2 standardize conv 4 3", (26, 18, 3)),
    ("conv 32 3 --padding 1 relu conv 32 3 --padding 1 relu conv 16 1 relu", (33, 29, 16)),
    ("bank gabor --size 31 relu conv 8 1 maxpool 2", (40, 37, 1)),
    ("mark x conv 4 1 mark y from x maxpool 3 --stride 1 --padding 1 concat y fc 3", (9, 8, 4)),
    ("flatten fc 7 relu fc 3", (4, 5, 2)),
    ("relu flatten", (4, 5, 2)),
    ("flatten", (4, 5, 2)),
]


def is_recorded(pipeline: Pipeline) -> bool:
    (plan,) = pipeline._plans.values()
    return any(plan._programs.values())


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize(("words", "shape"), CHAINS + MORE)
def test_later_runs_give_the_bytes_of_the_first(words, shape, threads):
    pipeline = Pipeline.parse(words)
    batch = np.stack([noise(*shape), 2 * noise(*shape) - 1])
    first = pipeline.run(batch, threads).tobytes()
    assert not is_recorded(pipeline)
    for _ in range(3):
        pipeline.run(np.full_like(batch, np.nan), threads)
        assert pipeline.run(batch.copy(), threads).tobytes() == first
    assert is_recorded(pipeline)


@pytest.mark.parametrize("seed", range(40))
def test_random_chains_in_bands_of_any_height(monkeypatch, seed):
    one = random_configuration(seed)
    volume, pipeline = one.volume(), Pipeline.parse(one.words)
    pipeline.set_weights(one.weights())
    first = pipeline.run(volume, 1).tobytes()
    assert pipeline.run(volume, 1).tobytes() == first
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    assert [pipeline.run(volume, 2).tobytes() for _ in range(3)] == [first] * 3


def test_a_result_that_is_kept_is_not_written_into():
    pipeline = Pipeline.parse("conv 4 3 relu")
    volumes = [noise(12, 10, 3) * (number + 1) for number in range(6)]
    kept = [pipeline.run(volume, 2) for volume in volumes]
    assert not any(np.shares_memory(kept[-1], other) for other in kept[:-1])
    for volume, result in zip(volumes, kept, strict=True):
        assert result.tobytes() == Pipeline.parse("conv 4 3 relu").run(volume, 2).tobytes()


def test_callers_at_the_same_time_do_not_disturb_each_other():
    pipeline = Pipeline.parse("conv 8 3 --padding 1 relu maxpool 2 conv 8 3 globalpool avg")
    volumes = [noise(30, 20, 3) * (number + 1) for number in range(4)]
    expected = [pipeline.run(volume, 2).tobytes() for volume in volumes]
    wrong = []

    def call(number: int) -> None:
        for _ in range(50):
            if pipeline.run(volumes[number], 2).tobytes() != expected[number]:
                wrong.append(number)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_volumes_that_are_large_together_are_not_kept(monkeypatch):
    pipeline, x = Pipeline.parse("conv 4 3 relu"), noise(12, 10, 3)
    monkeypatch.setattr(program, "LARGEST", 4 * 10 * 8 * 4 - 1)
    first = pipeline.run(x, 2).tobytes()
    assert [pipeline.run(x, 2).tobytes() for _ in range(3)] == [first] * 3
    assert not is_recorded(pipeline)


def test_programs_of_a_few_kinds_are_kept():
    pipeline = Pipeline.parse("conv 4 3 relu")
    for images in (1, 2, 3, 4, 5, 6, 1):
        batch = noise(images, 9, 8, 3)
        assert len({pipeline.run(batch, 2).tobytes() for _ in range(3)}) == 1
    (plan,) = pipeline._plans.values()
    assert [images for images, _ in plan._programs] == [4, 5, 6, 1]


def test_volumes_share_the_memory_of_those_that_are_needed_no_more():
    pipeline, x = Pipeline.parse("conv 4 3 --padding 1 " * 6), noise(12, 10, 4)
    for _ in range(2):
        pipeline.run(x, 1)
    (plan,) = pipeline._plans.values()
    ((made,),) = plan._programs.values()
    assert len(made._fixed) == 5
    assert len(made.rooms.all) == 2


def test_the_memory_of_a_result_is_used_again_once_nobody_holds_it():
    pipeline, x = Pipeline.parse("conv 4 3"), noise(12, 10, 4)
    for _ in range(2):
        pipeline.run(x, 1)
    places = {pipeline.run(x, 1).ctypes.data for _ in range(5)}
    assert len(places) == 1


def test_a_team_helps_one_caller_and_the_others_work_alone():
    pipeline, x = Pipeline.parse("conv 4 3 relu"), noise(12, 10, 3)
    first = pipeline.run(x, 2).tobytes()
    turn = _Turn()
    assert team(1)._take(turn)
    assert pipeline.run(x, 2).tobytes() == first
    assert not team(1)._take(_Turn())
    del turn
    assert pipeline.run(x, 2).tobytes() == first


AFTER = "import numpy as np; from cnntool import Pipeline; p = Pipeline.parse('conv 4 3'); x = np.ones((9, 9, 2)); "


def test_python_ends_while_helpers_sleep_or_wait():
    for rest in ("[p.run(x, 3) for _ in range(9)]", "[p.run(x, 3) for _ in range(9)]; import time; time.sleep(0.1)"):
        done = subprocess.run([sys.executable, "-c", AFTER + rest], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_a_team_of_its_own():
    fork = "a = [p.run(x, 2) for _ in range(3)][-1]; import os; child = os.fork(); b = p.run(x, 2); "
    end = "assert (a == b).all(); os._exit(0) if not child else os._exit(os.waitpid(child, 0)[1])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", AFTER + fork + end], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
