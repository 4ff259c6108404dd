"""What Numba's front end is spared, and that it is as before afterwards."""

from __future__ import annotations

import contextlib
import gc

import pytest
from numba.core import inline_closurecall, typed_passes
from numba.core.types.functions import BaseFunction, Dispatcher

from cnntool.kernels import frontend
from cnntool.kernels.compiler import machine_code, optimised
from cnntool.kernels.convention import kinds_of_text
from cnntool.kernels.sources import jit


@jit.kernel
def scaled(x, factor, out):
    for i in range(len(x)):
        out[i] = factor * x[i]


@jit.kernel
def twice_scaled(x, factor, out):
    scaled(x, 2, out)
    scaled(x, factor, out)


@jit.inlined
def _larger(a, b):
    larger = b
    if a > b:
        larger = a
    return larger


@jit.kernel
def largest_of_three(x, out):
    out[0] = _larger(_larger(x[0], x[1]), x[2])


def test_a_kernel_is_compiled_once_whatever_its_constant_arguments() -> None:
    machine_code(twice_scaled, kinds_of_text("f1if1"), "twice")
    assert len(scaled.overloads) == 1


def test_a_function_is_analysed_once_and_its_variables_are_each_call_s_own() -> None:
    function = _larger.py_func
    frontend._analysed.pop(function, None)
    optimised(largest_of_three, kinds_of_text("f1f1"), "largest")
    names = set(next(iter(frontend._analysed[function].blocks.values())).scope.localvars._con)
    optimised(largest_of_three, kinds_of_text("d1d1"), "largest")
    assert set(next(iter(frontend._analysed[function].blocks.values())).scope.localvars._con) == names


@pytest.mark.parametrize("collects", [True, False])
def test_numba_and_python_are_left_as_they_were(collects: bool) -> None:
    def state() -> list[object]:
        worker, passes = inline_closurecall.InlineWorker, typed_passes.NopythonRewrites.run_pass
        return [worker, passes, inline_closurecall.copy, BaseFunction.get_call_type, Dispatcher.get_call_type]

    before, collected = state(), gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        with contextlib.suppress(KeyError), frontend.quick():
            assert not gc.isenabled()
            assert not set(map(id, state())) & set(map(id, before))
            raise KeyError
        assert (state(), gc.isenabled()) == (before, collects)
    finally:
        (gc.enable if collected else gc.disable)()
