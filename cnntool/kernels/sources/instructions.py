"""Functions of kernels whose code is emitted as LLVM IR."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic


def instruction(result: Any, *kinds: types.Type, literals: int = 0) -> Callable[[Callable], Any]:
    """Makes an intrinsic of `emit(builder, *values)`, which emits the code and returns the result's value.

    `result` and `kinds` are Numba's types of the result and the arguments. Without `kinds`, those of the call are
    taken, and `result` may be a function of them. The last `literals` arguments must be literals, and come as numbers.
    """

    def decorate(emit: Callable) -> Any:
        @functools.wraps(emit)
        def define(typingctx: Any, *given: types.Type) -> Any:
            taken = kinds or given
            returned = result if isinstance(result, types.Type) else result(*taken)
            constants = [kind.literal_value for kind in given[len(given) - literals :]]

            def codegen(context: Any, builder: Any, signature: Any, values: tuple) -> Any:
                value = emit(builder, *values[: len(values) - literals], *constants)
                return context.get_dummy_value() if returned == types.void else value

            return returned(*taken), codegen

        return intrinsic(prefer_literal=literals > 0)(define)

    return decorate
