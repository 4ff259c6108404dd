"""Numba's libraries of functions as parts of kernels: linked and optimised once, when the kernel is complete.

Numba would optimise every function and its callees by themselves, optimise them again in each of their callers, load
each into this process, and give each a wrapper for Python. That was a third of a kernel's compile time.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.runtime import rtsys

from cnntool.kernels.processors import target

# The address of what Python would call. Nobody does: these functions exist only within kernels.
NOT_CALLED = ctypes.cast(ctypes.pythonapi.PyErr_NoMemory, ctypes.c_void_p).value


class Part(JITCodeLibrary):
    """A function that kernels call: neither optimised nor loaded."""

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def callees(self) -> list[Any]:
        """The libraries that it calls, directly or not: each once, after all that call it.

        LLVM links only functions that something linked before calls.
        """
        done: dict[Any, None] = {}

        def visit(library: Any) -> None:
            for callee in library._linking_libraries if isinstance(library, Part) else ():
                if callee not in done:
                    visit(callee)
            done[library] = None

        visit(self)
        return list(reversed(done))[1:]

    def alone(self) -> Any:
        """The module without its callees, for linking."""
        return super()._get_module_for_linking()

    @functools.cached_property
    def _with_callees(self) -> Any:
        whole = self.alone().clone()
        link(whole, self.callees())
        return whole

    def _get_module_for_linking(self) -> Any:
        """For Numba's own libraries, which link direct callees only."""
        return self._with_callees


class Whole(Part):
    """A kernel with all functions that it calls, optimised but not loaded."""

    def finalize(self) -> None:
        link(self._final_module, self.callees())
        self._optimize_final_module()
        self._verify_declare_only_symbols()
        self._final_module.verify()
        super().finalize()

    @property
    def module(self) -> Any:
        return self._final_module


def link(module: Any, libraries: list[Any]) -> None:
    """Adds the functions of libraries to a module."""
    for library in libraries:
        other = library.alone() if isinstance(library, Part) else library._get_module_for_linking()
        module.link_in(other, preserve=True)


class _Codegen(JITCPUCodegen):
    """Generates code for `processors.target`; Numba's own uses all features of the host whatever the name."""

    _library_class = Part

    def _get_host_cpu_name(self) -> str:
        return target()[0]

    def _get_host_cpu_features(self) -> str:
        return target()[1]

    def set_env(self, env_name: str, env: Any) -> None:
        """Nothing: the environment is for calls from Python."""


_codegen = functools.cache(lambda name, features: _Codegen("cnntool"))


@contextlib.contextmanager
def of_kernels(context: Any) -> Iterator[Any]:
    """Within the block, Numba makes parts of kernels, for `processors.target`; yields its code generator."""

    def no_wrapper(*_: Any, **__: Any) -> None:
        pass

    def executable(library: Any, description: Any, environment: Any) -> Any:
        names = description.lookup_module(), description.qualname.rpartition(".")[2], ""
        return _dynfunc.make_function(*names, NOT_CALLED, environment, (library,))

    rtsys.initialize(context)
    # llvmlite parses a module to tell the size of a type, which Numba asks for each variable
    sizes = functools.cache(context.get_abi_sizeof)
    ours = {"create_cpython_wrapper": no_wrapper, "create_cfunc_wrapper": no_wrapper}
    ours |= {"get_executable": executable, "get_abi_sizeof": sizes}
    own, context._internal_codegen = context._internal_codegen, _codegen(*target())
    vars(context).update(ours)
    try:
        yield context._internal_codegen
    finally:
        context._internal_codegen = own
        for name in ours:
            delattr(context, name)
