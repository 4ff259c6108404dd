"""A team of threads never leaves work behind: any number of threads, interrupts anywhere, forks, the end of Python."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.engine import plan, program, team
from cnntool.engine.team import TEAMS_KEPT, Team
from cnntool.steps import memory
from tests.kernels.volumes import noise

WORDS = "conv 8 3 --padding 1 relu conv 8 3 --padding 1 relu maxpool 2"
ENGINE = {module.__file__ for module in (plan, program, team, memory)}
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def recorded(words: str = WORDS, threads: int = 2) -> tuple[Pipeline, np.ndarray, bytes]:
    """A pipeline whose program for the batch has been recorded, the batch, and the right bytes."""
    pipeline, batch = Pipeline.parse(words), noise(3, 20, 14, 3)
    expected = pipeline.run(batch, threads).tobytes()
    assert pipeline.run(batch, threads).tobytes() == expected
    return pipeline, batch, expected


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 16, 63, 64, 65, 66, 100, 129, 256])
def test_any_number_of_threads(threads):
    pipeline, x = Pipeline.parse("conv 8 3 --padding 1 relu maxpool 2"), noise(400, 16, 3)
    expected = pipeline.run(x, 1).tobytes()
    for pause in (0, 0, 0.02, 0, 0.02):  # helpers wait, or sleep
        assert pipeline.run(x, threads).tobytes() == expected
        time.sleep(pause)


def test_teams_of_few_sizes_are_kept():
    pipeline, x = Pipeline.parse("conv 4 3"), noise(40, 9, 2)
    expected = pipeline.run(x, 1).tobytes()
    for threads in [*range(2, 30), *range(2, 30)]:
        assert [pipeline.run(x, threads).tobytes() for _ in range(2)] == [expected] * 2
    assert len(team._teams) <= TEAMS_KEPT
    alive = {thread for thread in threading.enumerate() if thread.name.startswith("cnntool-")}
    assert len(alive) <= sum(team._teams)


def test_a_stopped_team_leaves_its_caller_alone():
    pipeline, batch, expected = recorded()
    team.team(1).stop(0)
    assert pipeline.run(batch, 2).tobytes() == expected
    team._teams.clear()
    assert pipeline.run(batch, 2).tobytes() == expected


def test_without_more_threads_the_caller_works_alone(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pipeline, batch, expected = recorded(threads=7)
    team._teams.clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert pipeline.run(batch, 7).tobytes() == expected
    monkeypatch.undo()
    assert pipeline.run(batch, 7).tobytes() == expected


class Pressed(BaseException):
    """An interrupt."""


def interrupted(pipeline: Pipeline, batch: np.ndarray, number: int) -> bool:
    """Runs with an interrupt at the instruction of this number in the engine; whether there was one."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        if frame.f_code.co_filename not in ENGINE:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == number:
                raise Pressed
        return watch

    sys.settrace(watch)
    try:
        pipeline.run(batch, 2)
    except Pressed:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.skipif(sys.gettrace() is not None, reason="needs the tracing function for itself")
def test_an_interrupt_at_any_instruction_leaves_everything_usable():
    """What is allocated right after an interrupt stays as it is, and the next runs are right and by the team again."""
    pipeline, batch, expected = recorded()
    number = 0
    while interrupted(pipeline, batch, number := number + 1):
        canaries = [np.full((3, 10, 7, 8), 7, np.float32) for _ in range(8)]
        for _ in range(2):
            assert pipeline.run(batch, 2).tobytes() == expected, number
        assert all((canary == 7).all() for canary in canaries), number
        assert team.team(1)._held is None, number
        assert not team.team(1)._turn, number
    assert number > 200


INTERRUPTS = """
import random, signal, threading, time, numpy as np
from cnntool import Pipeline
x = np.random.default_rng(0).standard_normal((3, 160, 160, 3)).astype(np.float32)
p = Pipeline.parse("conv 32 3 --padding 1 relu conv 32 3 --padding 1 relu conv 32 3 --padding 1 relu")
good = p.run(x, 2).copy(); p.run(x, 2)
start = time.time(); p.run(x, 2); once = time.time() - start
dice, me, go = random.Random(SEED), threading.main_thread().ident, threading.Event()
def press():
    while True:
        go.wait(); go.clear()
        time.sleep(dice.uniform(0, 1) * once)
        for _ in range(dice.randint(1, 3)):
            signal.pthread_kill(me, signal.SIGINT); time.sleep(dice.choice([0, 0.0001, 0.004]))
threading.Thread(target=press, daemon=True).start()
hits, end = 0, time.time() + 60
while hits < 40 and time.time() < end:
    try:
        go.set(); p.run(x, 2); time.sleep(once)
    except KeyboardInterrupt:
        hits += 1
    while True:
        try:
            canaries = [np.full((3, 160, 160, 32), 7, np.float32) for _ in range(3)]
            time.sleep(once / 2 + 0.01)
            assert all((c == 7).all() for c in canaries), "canaries overwritten"
            assert (p.run(x, 2) == good).all() and (p.run(x, 2) == good).all(), "wrong after an interrupt"
            break
        except KeyboardInterrupt:
            continue
assert hits == 40, hits
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
@pytest.mark.parametrize("seed", [1, 2])
def test_several_interrupts_in_a_row(seed):
    code = INTERRUPTS.replace("SEED", str(seed))
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


def test_several_pipelines_in_several_threads():
    chains = ["conv 8 3 relu", "whiten conv 4 3", "conv 4 3 flatten fc 9", "maxpool 2 lrn", "bank gabor --size 15"]
    pipelines = [Pipeline.parse(words) for words in chains]
    images = [noise(24, 18, 3) * (number + 1) for number in range(3)]
    expected = [[Pipeline.parse(words).run(image, 1).tobytes() for image in images] for words in chains]
    wrong = []

    def call(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(60):
            which, image, threads = dice.randrange(len(chains)), dice.randrange(3), dice.choice([1, 2, 3, 8])
            if pipelines[which].run(images[image], threads).tobytes() != expected[which][image]:
                wrong.append((chains[which], threads))

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_thread_that_an_interrupt_kept_from_starting_is_not_waited_for(monkeypatch):
    one = Team(1)

    def start(_):
        raise Pressed

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(Pressed):
            one._ready()
    assert one._ready()
    assert one.stop(5)


def test_a_turn_ends_with_the_frame_that_has_it():
    one = Team(1)

    def lost() -> None:
        turn = team._Turn()
        assert one._take(turn)
        assert not one._take(team._Turn())
        raise Pressed

    with pytest.raises(Pressed):
        lost()
    turn = team._Turn()
    assert one._take(turn)


def python(code: str, timeout: float = 60) -> tuple[int, bytes]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


SETUP = "import numpy as np; from cnntool import Pipeline; p = Pipeline.parse('conv 4 3'); x = np.ones((99, 9, 2)); "


@pytest.mark.parametrize("before", [False, True], ids=["registered after the engine", "registered before the engine"])
def test_a_first_run_at_the_end_of_python(before):
    register = "import atexit; atexit.register(lambda: [print(p.run(x, 3).shape) for _ in range(3)]); "
    code = register + SETUP if before else SETUP + "p.run(x[:50], 2); p.run(x[:50], 2); " + register
    assert python(code) == (0, b"(97, 7, 4)\n" * 3)


def test_python_ends_while_a_daemon_thread_computes():
    code = SETUP + (
        "import threading, time; t = threading.Thread(target=lambda: [p.run(x, 2) for _ in range(10**6)], daemon=True);"
        "t.start(); time.sleep(0.5)"
    )
    assert python(code) == (0, b"")


@needs_fork
def test_forks_while_other_threads_plan_and_compute():
    code = (
        SETUP
        + """
import os, threading, time, signal
q = Pipeline.parse("conv 8 3 --padding 1 relu maxpool 2"); stop = False
def plan():
    n = 0
    while not stop: n += 1; q.plan((20 + n % 200, 33, 3))
def compute():
    while not stop: p.run(x, 2)
threads = [threading.Thread(target=plan), threading.Thread(target=compute)]
[t.start() for t in threads]
good = p.run(x, 2)
hung = 0
for n in range(15):
    child = os.fork()
    if not child:
        ok = (p.run(x, 2) == good).all() and (p.run(x, 2) == good).all()
        q.run(np.ones((10 + n, 9, 3), np.float32), 2); os._exit(0 if ok else 1)
    end = time.time() + 60
    while time.time() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended: hung += status != 0; break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL); os.waitpid(child, 0); hung += 1
stop = True; [t.join() for t in threads]; print(hung)
"""
    )
    assert python(code, 400) == (0, b"0\n")


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_worker_processes(method, tmp_path):
    script = tmp_path / "workers.py"
    script.write_text("""
import multiprocessing, sys, numpy as np
from cnntool import Pipeline
p = Pipeline.parse("conv 4 3 relu flatten fc 3")
def work(n): return p.run(np.full((12, 9, 2), n, np.float32), 2).tobytes()
if __name__ == "__main__":
    here = [work(n) for n in range(8)] and [work(n) for n in range(8)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(work, range(8)) == here)
""")
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    command = [sys.executable, "-W", "ignore", str(script), method]
    done = subprocess.run(command, capture_output=True, timeout=120, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert (done.returncode, done.stdout) == (0, b"True\n"), done.stderr
