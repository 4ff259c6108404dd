"""Arrays that kernels make live as long as their addresses are used.

Numba frees an array after it was last named, and an address is no name for it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnntool import kernels

SOURCES = sorted((Path(kernels.__file__).parent / "sources").glob("*.py"))
MAKERS = {f"np.{name}{like}" for name in ("empty", "zeros", "ones", "full") for like in ("", "_like")}
TREES = {path.name: ast.parse(path.read_text()) for path in SOURCES}


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def calls(node: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            yield ast.unparse(call.func), call.args


def names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def is_inlined(function: ast.FunctionDef) -> bool:
    """Written into its caller, whose arrays it therefore names no longer than the caller does."""
    return any(ast.unparse(decorator) == "inlined" for decorator in function.decorator_list)


def makers(trees: list[ast.Module]) -> set[str]:
    """What gives a new array: numpy's functions, and helpers that return what these give."""
    found: set[str] = set(MAKERS)
    for _ in range(3):
        for function in (f for tree in trees for f in functions(tree)):
            returned = [node for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
            if any(name in found for node in returned for name, _ in calls(node)):
                found.add(function.name)
    return found


def exposed(function: ast.FunctionDef, helpers: dict[str, set[int]]) -> set[str]:
    """Names whose address is taken, here or in helpers that are written into this function."""
    found: set[str] = set()
    for name, arguments in calls(function):
        places = {0} if name == "address_of" else helpers.get(name, set())
        for place in places & set(range(len(arguments))):
            found |= names(arguments[place])
    return found


def exposing_helpers(trees: list[ast.Module]) -> dict[str, set[int]]:
    """For each inlined helper the places of the arguments whose address it takes."""
    found: dict[str, set[int]] = {}
    for _ in range(4):
        for function in (f for tree in trees for f in functions(tree) if is_inlined(f)):
            taken = exposed(function, found)
            found[function.name] = {i for i, argument in enumerate(function.args.args) if argument.arg in taken}
    return found


def made(function: ast.FunctionDef, known: set[str]) -> set[str]:
    """Names of arrays that are made here, and of what is made of them."""
    found: set[str] = set()
    for _ in range(3):
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for one, value in pairs:
                    called = {name for name, _ in calls(value)}
                    if called & known or (isinstance(one, ast.Name) and names(value) & found):
                        found |= names(one)
    return found


def faults(tree: ast.Module, others: list[ast.Module]) -> list[str]:
    trees = [tree, *others]
    known, helpers = makers(trees), exposing_helpers(trees)
    found = []
    for function in functions(tree):
        arrays = made(function, known) & exposed(function, helpers)
        kept = set()
        for statement in reversed(function.body):
            if not ast.unparse(statement).startswith("keep_alive("):
                break
            kept |= names(statement) - {"keep_alive"}
        found += [f"{function.name}: {name} is not kept alive to its end" for name in sorted(arrays - kept)]
        if arrays and any(isinstance(node, ast.Return) for node in ast.walk(function)):
            found.append(f"{function.name}: returns before its arrays need not be alive")
        for name, arguments in calls(function):
            if name == "address_of" and any(called in known for called, _ in calls(arguments[0])):
                found.append(f"{function.name}: the address of an array without a name")
    return found


@pytest.mark.parametrize("name", TREES)
def test_every_array_whose_address_is_taken_is_kept_alive(name: str) -> None:
    others = [tree for other, tree in TREES.items() if other != name]
    assert faults(TREES[name], others) == []


def test_each_keep_alive_is_needed() -> None:
    lines = [(path, i) for path in SOURCES for i, line in enumerate(path.read_text().splitlines())
             if line.strip().startswith("keep_alive(")]  # fmt: skip
    assert len(lines) > 10
    for path, number in lines:
        text = path.read_text().splitlines()
        del text[number]
        others = [tree for other, tree in TREES.items() if other != path.name]
        assert faults(ast.parse("\n".join(text)), others), f"{path.name}:{number + 1}"


@pytest.mark.parametrize(
    "body",
    [
        "    a = np.empty(3)\n    at = address_of(a)\n    load(at)",
        "    b, a = np.ones(2), np.zeros(3)[1:]\n    for i in x:\n        _use(i, a)",
        "    a = _make(3)\n    keep_alive(a)\n    load(address_of(a))",
        "    a = np.empty(3)\n    b = a[1:]\n    load(address_of(b))",
        "    a = np.full(3, 1)\n    at = address_of(a)\n    if x:\n        return\n    load(at)\n    keep_alive(a)",
        "    load(address_of(np.empty(3)))",
    ],
)
def test_a_kernel_that_forgets_is_found(body: str) -> None:
    helpers = "@inlined\ndef _use(i, array):\n    load(address_of(array) + i)\ndef _make(n):\n    return np.zeros(n)\n"
    assert faults(ast.parse(f"{helpers}@kernel\ndef forgets(x):\n{body}\n"), [])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library's own way to poison memory")
@pytest.mark.parametrize("byte", [127, 128], ids=["freed", "new"])
def test_kernels_with_arrays_of_their_own_in_poisoned_memory(byte: int) -> None:
    """glibc fills what is freed with this byte, and what is new with its complement: 0x7f7f7f7f is 3.4e38."""
    poison = {"MALLOC_PERTURB_": str(byte), "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.poisoned"], env=os.environ | poison, capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "results" in done.stderr
