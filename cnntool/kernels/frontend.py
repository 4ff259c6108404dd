"""Numba's front end, without what kernels do not need; it was two thirds of a kernel's compile time.

It copied an inlined function together with all of its variables for each of its blocks, twice, and analysed its
bytecode again for each call; it looked for the type of each operation among all of NumPy's functions, however often it
had been asked before; it searched for expressions of whole arrays, which no kernel has; and Python's garbage collector
walked through all this again and again.

What is replaced here belongs to one version of Numba. With any other one kernels compile as Numba has it, to the same
machine code.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba.core import inline_closurecall, ir, typed_passes
from numba.core.types.functions import BaseFunction, Dispatcher
from numba.core.types.misc import unliteral

from cnntool.kernels import common

VERSION = 0, 68  # of Numba
_analysed: dict[Callable, Any] = {}
_signatures: dict[Any, Any] = {}


class _Inliner(inline_closurecall.InlineWorker):
    """Analyses each function once."""

    def run_untyped_passes(self, func: Callable, enable_ssa: bool = False) -> Any:
        if func not in _analysed:
            _analysed[func] = super().run_untyped_passes(func, enable_ssa)
        self.flags.enable_ssa = enable_ssa  # as the original leaves it
        return _in_own_scope(_analysed[func])


def _in_own_scope(function: Any) -> Any:
    """A function whose variables will be renamed."""
    new = function.copy()
    (old,) = {id(block.scope): block.scope for block in function.blocks.values()}.values()
    scope = copy.copy(old)
    scope.localvars = ir.VarMap()
    scope.localvars._con = dict(old.localvars._con)
    scope.redefined = copy.copy(old.redefined)
    scope.var_redefinitions = copy.deepcopy(old.var_redefinitions)
    for block in new.blocks.values():
        block.scope = scope
    return new


def _copied(node: Any) -> Any:
    """Statements and expressions anew, with the variables and constants of the original, which nobody changes."""
    kind: Any = type(node)
    if kind is list or kind is tuple:
        return kind(map(_copied, node))
    if kind is dict:
        return {name: _copied(part) for name, part in node.items()}
    if not isinstance(node, ir.Inst):
        return node
    new = kind.__new__(kind)
    vars(new).update({name: _copied(part) for name, part in vars(node).items()})
    return new


def _deepcopy(given: Any) -> Any:
    """`copy.deepcopy`, except that a block of code stays in its scope."""
    if not isinstance(given, ir.Block):
        return copy.deepcopy(given)
    new = given.copy()
    new.body = _copied(given.body)
    return new


_call_type = BaseFunction.get_call_type


def _remembered(function: Any, context: Any, args: tuple, kws: dict) -> Any:
    """The signature of a call, the search for which depends on nothing but the types."""
    key = function, args, tuple(kws.items())
    if key not in _signatures:
        _signatures[key] = _call_type(function, context, args, kws)
    return _signatures[key]


_kernel_type = Dispatcher.get_call_type


def _of_any_value(kernel: Any, context: Any, args: tuple, kws: dict) -> Any:
    """The signature of a call of a kernel, which would be compiled again for constant arguments."""
    return _kernel_type(kernel, context, tuple(map(unliteral, args)), kws)


def _nothing(*_: Any) -> bool:
    return False


def _no_blas() -> None:
    raise ImportError


def load(context: Any) -> None:
    """Loads what Numba knows, without linear algebra if nobody else may want it: half of that time went to SciPy."""
    if common.undivided and numba.version_info.short == VERSION:
        from numba.np import linalg

        ensure_blas, linalg.ensure_blas = linalg.ensure_blas, _no_blas
        importlib.import_module("numba.np.arraymath")  # which looks for it
        linalg.ensure_blas = ensure_blas
    context.refresh()


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Within the block, which needs Numba's lock."""
    if numba.version_info.short != VERSION:
        yield
        return
    changes: list[tuple[Any, str, Any]] = [
        (inline_closurecall, "InlineWorker", _Inliner),
        (inline_closurecall, "copy", types.SimpleNamespace(deepcopy=_deepcopy, copy=copy.copy)),
        (BaseFunction, "get_call_type", _remembered),
        (Dispatcher, "get_call_type", _of_any_value),
        (typed_passes.NopythonRewrites, "run_pass", _nothing),
    ]
    collects = gc.isenabled()
    before = [getattr(where, name) for where, name, _ in changes]
    gc.disable()
    try:
        for where, name, new in changes:
            setattr(where, name, new)
        yield
    finally:
        for (where, name, _), old in zip(changes, before, strict=True):
            setattr(where, name, old)
        if collects:
            gc.enable()
