"""The README: everything that it shows is run, and its pictures and links are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnntool.cli.main import COMMANDS
from docs.examples import ROOT
from tests.documents import cases, run_section, sections

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "section"), cases("README.md"))
def test_what_a_section_shows_is_what_comes_out(page: str, section: str, tmp_path: Path) -> None:
    run_section(sections(ROOT / page)[section], tmp_path)


def test_the_first_screen_installs_draws_and_tests() -> None:
    first = TEXT.split("\n## ")[0]
    assert "pip install . && cnntool run samples/images/" in first
    assert 'pip install ".[test]" && python -m pytest' in first
    assert "](docs/pictures/" in first
    assert len(first.splitlines()) < 40


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_used(name: str) -> None:
    assert f"cnntool {name}" in TEXT


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXT))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_map_of_the_house_is_that_of_the_package() -> None:
    import cnntool

    package = Path(cnntool.__file__).parent
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(re.findall(r"^      (\w+)/ ", TEXT, re.MULTILINE))
