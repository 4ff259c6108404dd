"""The pages of docs/: the generated ones are up to date, and what the others show is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cnntool.cli.main import COMMANDS, cnntool
from cnntool.declare import fields_of, option_name
from cnntool.layers import table as layers
from docs import generate
from docs.examples import DOCS, PICTURES, ROOT
from docs.pages import BANKS, PAGES, escaped
from tests.documents import cases, run_section, sections

LARGEST_PICTURE, LARGEST_FOLDER = 400_000, 1_500_000


def chapter(page: str, level: str, heading: str) -> str:
    """What stands below a heading of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n{level} {heading}\n")
    assert found, f"{page} has no heading {heading}"
    return re.split(r"\n##", rest)[0]


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_are_up_to_date(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page](), "run `python docs/generate.py`"


@pytest.mark.parametrize("word", layers.LAYERS)
def test_every_layer_has_help_and_its_words_stand_in_the_page(word: str) -> None:
    check(layers.load(word), chapter("layers.md", "###", word))


@pytest.mark.parametrize("name", BANKS.table)
def test_every_bank_has_help_and_its_words_stand_in_the_page(name: str) -> None:
    check(BANKS.load(name), chapter("banks.md", "##", name))


def check(declared: type, text: str) -> None:
    assert (declared.__doc__ or "").strip()
    for field in fields_of(declared):
        kind, given = field.metadata["kind"], field.metadata["help"]
        assert given.strip()
        name = kind.metavar if field.metadata["argument"] else option_name(field)
        assert f"`{name}" in text.replace("\\|", "|").replace("`[", "`")
        assert escaped(given) in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_its_options_stand_in_the_page(name: str) -> None:
    command = cnntool.get_command(click.Context(cnntool), name)
    assert command is not None
    assert (command.help or "").strip()
    text = chapter("commands.md", "##", name)
    for option in command.params:
        if isinstance(option, click.Option):
            assert (option.help or "").strip()
            assert all(word in text for word in option.opts)


def test_pictures_are_those_that_the_tool_makes() -> None:
    assert not [path.name for path, _ in generate.stale_pictures()], "run `python docs/generate.py`"


@pytest.mark.parametrize(("words", "code", "written"), [(["--check"], 1, False), ([], 0, True), (["--chek"], 2, False)])
def test_what_is_out_of_date_is_told_or_written(
    words: list[str], code: int, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "picture.png"
    picture.write_bytes(b"shown by no page")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "stale_pages", lambda: [(page, b"new")])
    monkeypatch.setattr(generate, "stale_pictures", lambda: [(picture, None)])
    monkeypatch.setattr("sys.argv", ["generate.py", *words])
    assert generate.main() == code
    assert page.exists() == written
    assert picture.exists() != written
    monkeypatch.setattr(generate, "stale_pages", list)
    monkeypatch.setattr(generate, "stale_pictures", list)
    assert generate.main() == (2 if code == 2 else 0)


def test_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in PICTURES.iterdir()]
    assert max(sizes) <= LARGEST_PICTURE
    assert sum(sizes) <= LARGEST_FOLDER


@pytest.mark.parametrize(
    ("page", "section"),
    cases("docs/guide.md", "docs/design.md", "docs/banks.md", "docs/learning.md", "docs/tables.md", "docs/nightly.md"),
)
def test_what_a_section_shows_is_what_comes_out(page: str, section: str, tmp_path: Path) -> None:
    run_section(sections(ROOT / page)[section], tmp_path)


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for link, _, anchor in re.findall(r"\]\(([^)#:]*)(#([\w-]+))?\)", text):
        target = DOCS / link if link else DOCS / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{link}#{anchor}"


@pytest.mark.parametrize(
    "place", sorted(set(re.findall(r"`((?:\w+/)+(?:\w+\.(?:py|md|cnn))?)`", (DOCS / "design.md").read_text())))
)
def test_the_places_that_the_design_names_are_there(place: str) -> None:
    assert (ROOT / place).exists() or (ROOT / "cnntool" / place).exists()
