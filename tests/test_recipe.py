"""The recipe of docs/design.md followed on a copy: an activation is five files, and its tests come with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDED = {
    "cnntool/layers/activations.py": '''

@dataclass(frozen=True)
class Softsign(Activation):
    """Softsign: x / (1 + |x|), between -1 and 1."""

    word: ClassVar[str] = "softsign"
''',
    "cnntool/kernels/sources/activations.py": '''

@activation
def softsign_forward(x):
    """x / (1 + |x|)"""
    return x / (ONE + absolute(x))


@gradient
def softsign_backward(x, d):
    """f' = 1 / (1 + |x|)^2"""
    return d / ((ONE + abs(x)) * (ONE + abs(x)))
''',
    "tests/naive/activations.py": """

@elementwise
def softsign(x):
    return x / (1 + np.abs(x))


@derivative
def softsign_backward(x):
    return 1 / (1 + np.abs(x)) ** 2
""",
}
ENTERED = {
    "cnntool/layers/table.py": ('"abs": "Abs",', '"abs": "Abs", "softsign": "Softsign",'),
    "tests/layers/cases.py": (
        'Case("gram"', 'Case("softsign", "softsign", (5, 6, 3), plainly("softsign")),\n    Case("gram"'
    ),
}  # fmt: skip
WHERE = ["tests/layers", "tests/kernels/test_activations.py", "tests/naive", "tests/cli/test_layers.py"]


def tried(copy: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "softsign", *WHERE]
    return subprocess.run(
        command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )


def test_an_activation_is_five_files(tmp_path: Path) -> None:
    for folder in ("cnntool", "tests", "docs", "samples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, text in ADDED.items():
        with (tmp_path / name).open("a") as file:
            file.write(text)
    for name, (old, new) in ENTERED.items():
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
    assert len(ADDED | ENTERED) == 5
    done = tried(tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 30

    cases = tmp_path / "tests/layers/cases.py"
    cases.write_text("".join(line for line in cases.open() if "softsign" not in line))
    assert "the layer softsign has no row" in tried(tmp_path).stdout
