"""What LLVM makes of a kernel: `python -m cnntool.kernels.show MODULE.KERNEL [KINDS] [--ir | --asm] [--cpu NAME]`.

    python -m cnntool.kernels.show activations.relu_forward
    python -m cnntool.kernels.show activations.relu_forward f2iif2iiii --ir --cpu haswell

KINDS are those of the arguments: `i`, `f` and `d` for an integer, a float32 and a float64, `f4` for a contiguous array
of float32 with four axes, `f4s` for one with other strides. Without them, those are taken that the cache holds of
the present source for this processor. `--cpu` names a processor in LLVM's words; code for any can be printed, whatever
this one is.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence


def kinds_in_cache(kernel: str) -> list[str]:
    """The kinds of arguments that a kernel has been compiled for, from its present source, as text."""
    from cnntool.kernels import cache

    return [kinds for name, _, kinds in (one.partition("-") for one in cache.kept_kernels()) if name == kernel]


def code_of(kernel: str, kinds: str, as_ir: bool = False) -> str:
    """LLVM's code or the assembly of `module.kernel` for arguments of these kinds."""
    from cnntool.kernels.compiler import optimised
    from cnntool.kernels.convention import kinds_of_text

    module, _, name = kernel.partition(".")
    source = importlib.import_module(f"cnntool.kernels.sources.{module}")
    code, machine, _ = optimised(getattr(source, name), kinds_of_text(kinds), f"{kernel}-{kinds}")
    return str(code) if as_ir else machine.emit_assembly(code)


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser("python -m cnntool.kernels.show", description="Print what LLVM makes of a kernel.")
    parser.add_argument("kernel", metavar="MODULE.KERNEL")
    parser.add_argument("kinds", nargs="?", help="of the arguments, such as f2iid; by default those in the cache")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--ir", action="store_true", help="LLVM's code")
    form.add_argument("--asm", action="store_true", help="assembly (default)")
    parser.add_argument("--cpu", metavar="NAME", help="the processor in LLVM's words, such as haswell")
    given = parser.parse_args(words)
    kinds = [given.kinds] if given.kinds else kinds_in_cache(given.kernel)
    if not kinds:
        parser.error(f"{given.kernel} is not in the cache: give the kinds of its arguments")
    if given.cpu:  # after the look into the cache, which holds the code for this processor
        os.environ["NUMBA_CPU_NAME"] = given.cpu
        os.environ.pop("NUMBA_CPU_FEATURES", None)
    try:
        for one in kinds:
            print(code_of(given.kernel, one, given.ir))
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
