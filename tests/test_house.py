"""The house keeps its order: which room may import what, docstrings, small files, help for every field."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnntool.chain.commands import group_of
from cnntool.declare import Flag, fields_of, help_of, option_name
from cnntool.layers.table import LAYERS, load

PACKAGE = Path(__file__).parents[1] / "cnntool"
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400
LONGEST_UNEXPLAINED = 5  # lines of a function whose name and types may say all
MOST_ARGUMENTS = 12  # of a kernel

# From the shell down; each room may import those that stand in a later row. The two leaves stand beside the layers.
ROWS = [
    {"cli"}, {"batches", "explaining", "pictures"}, {"pipeline"}, {"chain", "learning"}, {"models"}, {"engine"},
    {"network"}, {"layers"}, {"algorithms"}, {"steps"}, {"kernels", "images", "banks"},
]  # fmt: skip
BELOW_ALL = {"arrays", "container", "declare", "errors", "files", "interrupts", "late", "limits", "locks"}
LIBRARIES = {
    "click": {"cli", "chain"},
    "rich": {"cli"},
    "matplotlib": {"pictures"},
    "plotille": {"pictures"},
    "PIL": {"images"},
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
}
COMPILED = {"sources", "compiler.py", "frontend.py", "libraries.py"}  # in `kernels`: the rest runs without Numba


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all imports in a file, those inside functions and those by name too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield node.lineno, str(name.value)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def may_import(room: str, other: str) -> bool:
    if room == other or other in BELOW_ALL:
        return True
    if room in BELOW_ALL:
        return False
    row, other_row = (next(n for n, names in enumerate(ROWS) if name in names) for name in (room, other))
    return row < other_row


def test_the_rows_are_all_the_rooms() -> None:
    rooms = {room_of(path) for path in SOURCES} - {"__init__", "__main__"}
    assert rooms <= set.union(*ROWS, BELOW_ALL)
    assert {"cli", "chain", "engine", "network", "layers", "steps", "kernels", "images", "banks"} <= rooms


@pytest.mark.parametrize(
    ("room", "other"),
    [("kernels", "layers"), ("images", "layers"), ("chain", "cli"), ("errors", "cli"), ("network", "chain"),
     ("banks", "images"), ("chain", "learning"), ("network", "engine"), ("steps", "layers"), ("engine", "models"),
     ("pipeline", "pictures")],
)  # fmt: skip
def test_the_rule_forbids_what_goes_up(room: str, other: str) -> None:
    assert not may_import(room, other)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for line, name in imports(path):
        library, _, rest = name.partition(".")
        if library == "cnntool":
            other = rest.partition(".")[0]
            # `from cnntool import __version__` is of no room.
            assert other == "__version__" or may_import(room, other), f"{path}:{line}: {room} imports {other}"
        elif library in LIBRARIES:
            assert room in LIBRARIES[library], f"{path}:{line}: {library} is imported in {room}"
            inside = path.relative_to(PACKAGE).parts[1]
            assert library != "numba" or inside in COMPILED, f"{path}:{line}: numba is imported where none is needed"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_outputs_are_written_by_one_module(path: Path) -> None:
    """What writes files otherwise does not replace them whole; kernels keep a cache of their own."""
    if room_of(path) in ("files", "locks", "kernels"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        assert name.rpartition(".")[2] not in ("write_text", "write_bytes", "touch"), f"{path}:{node.lineno}: {name}"
        mode = [word.value for word in (*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode"))
                if isinstance(word, ast.Constant) and isinstance(word.value, str)]  # fmt: skip
        if name == "open":
            assert not set("wax+") & set("".join(mode)), f"{path}:{node.lineno}: a file that is written past `files`"


def modules_of(path: Path, known: set[str]) -> set[str]:
    """The modules of the package that a file imports, wherever in it and for types only, too."""
    names = [name for _, name in imports(path)]
    return {name if name in known else name.rpartition(".")[0] for name in names} & known


def test_no_circles_between_files() -> None:
    """Files whose imports lead back to themselves: reading one would mean reading all."""
    named = {".".join(("cnntool", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in SOURCES}
    named = {name.removesuffix(".__init__"): path for name, path in named.items()}
    wanted = {name: modules_of(path, set(named)) - {name} for name, path in named.items()}
    while free := [name for name, others in wanted.items() if not others & wanted.keys()]:
        for name in free:
            del wanted[name]
    while ends := [name for name in wanted if not any(name in others for others in wanted.values())]:
        for name in ends:
            del wanted[name]
    assert not wanted, f"import each other, or stand between those that do: {sorted(wanted)}"


def test_the_package_itself_imports_nothing() -> None:
    """`import cnntool` loads a public name on its first use."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    at_import = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {ast.unparse(node) for node in at_import} == {"from __future__ import annotations"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_small_and_explained(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path}: no docstring"
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        lines = (node.end_lineno or 0) - node.lineno + 1
        if isinstance(node, ast.ClassDef) or lines > LONGEST_UNEXPLAINED:
            assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has no docstring"


def test_arguments_of_kernels_can_be_read() -> None:
    """What belongs together is passed as one of the tuples of `kernels.arguments`."""
    for path in (PACKAGE / "kernels" / "sources").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "kernel" for d in node.decorator_list):
                count = len(node.args.args)
                assert count <= MOST_ARGUMENTS, f"{path}:{node.lineno}: {node.name} takes {count} arguments"


def test_the_public_api_is_explained() -> None:
    import cnntool

    for name in set(cnntool.__all__) - {"__version__"}:
        public = getattr(cnntool, name)
        assert public.__doc__, name
        for method in vars(public) if isinstance(public, type) else ():
            if callable(getattr(public, method)) and not method.startswith("_"):
                assert getattr(public, method).__doc__, f"{name}.{method}"


BANKS = group_of(load("bank"))
assert BANKS is not None
DECLARED = {word: load(word) for word in LAYERS} | {f"bank {name}": BANKS.load(name) for name in BANKS.table}


@pytest.mark.parametrize("word", DECLARED)
def test_every_layer_and_field_has_help(word: str) -> None:
    declared = DECLARED[word]
    text = help_of(declared)
    # A dataclass without a docstring gets its signature for one.
    assert text.endswith((".", ")"))
    assert not text.startswith(f"{declared.__name__}(")
    fields = list(fields_of(declared))
    options = [option_name(field) for field in fields if not field.metadata["argument"]]
    assert len(set(options)) == len(options)
    for field in fields:
        help, kind = field.metadata["help"], field.metadata["kind"]
        assert len(help) > 5, field.name
        assert help.endswith((".", ")")), field.name
        assert isinstance(kind, Flag) or kind.metavar, field.name
