from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from cnntool import interrupts
from cnntool.cli.signals import ending_like_ctrl_c, exit_code

LOST = """
import os, signal, sys, time
from cnntool import interrupts
from cnntool.cli.signals import ending_like_ctrl_c

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

with ending_like_ctrl_c():
    Finalised()  # the exception of the signal is dropped
    try:
        interrupts.check()
    except KeyboardInterrupt:
        print("found again")
interrupts.check()
"""


def test_an_interrupt_in_a_finaliser_is_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "found again\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_give_their_exit_code(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt) as error, ending_like_ctrl_c():
        signal.raise_signal(number)
    assert exit_code(error.value) == 128 + number
    interrupts.check()  # it was dealt with


IMPORTING = """
import runpy, sys
class Pressed:
    def find_spec(self, name, *_):
        if name == "cnntool.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
runpy.run_module("cnntool", run_name="__main__")
"""


def test_ctrl_c_during_imports() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "cnntool: interrupted\n")
