"""The click command of each declaration: its parameters, its help page, its errors."""

from __future__ import annotations

import click
import pytest

from cnntool.chain.commands import command_of, group_of, help_page
from cnntool.declare import Flag, fields_of, help_of, option_name
from cnntool.errors import CnntoolError
from cnntool.layers.table import LAYERS, load

GROUP = group_of(load("bank"))
assert GROUP is not None
PAGES = [(word, "") for word in LAYERS] + [("bank", name) for name in GROUP.table]


def page_of(word: str, nested: str, width: int = 100) -> str:
    return help_page(word, nested, click.Context(click.Command("cnntool"), terminal_width=width))


def test_bank_is_the_group() -> None:
    assert [word for word in LAYERS if group_of(load(word)) is not None] == ["bank"]


@pytest.mark.parametrize(("word", "nested"), PAGES)
def test_the_page_holds_all_that_was_declared(word: str, nested: str) -> None:
    group = group_of(load(word))
    declared = group.load(nested) if group is not None and nested else load(word)
    page = page_of(word, nested)
    running = " ".join(page.split())
    assert help_of(declared)[:60] in running
    for field in fields_of(declared):
        if field.metadata["kind"] is group:
            continue
        assert field.metadata["help"].split(";")[0][:50] in running, field.name
        if not field.metadata["argument"]:
            assert option_name(field) in page
            if not isinstance(field.metadata["kind"], Flag) and field.default is not None:
                assert f"[default: {field.metadata['kind'].word(field.default)}]" in running


def test_the_page_of_the_group_lists_its_names() -> None:
    page = page_of("bank", "")
    assert all(f"  {name} " in page for name in GROUP.table)


@pytest.mark.parametrize(("word", "nested"), PAGES)
@pytest.mark.parametrize("width", [50, 80])
def test_pages_fit_a_narrow_terminal(word: str, nested: str, width: int) -> None:
    assert max(map(len, page_of(word, nested, width).splitlines())) <= width


def test_a_bank_has_its_own_options_and_those_of_the_layer() -> None:
    names = {parameter.name for parameter in command_of("bank", "gabor").params}
    assert {"scales", "orientations", "stride", "padding", "per_channel"} <= names


@pytest.mark.parametrize(
    ("word", "nested", "message"),
    [("conv", "gabor", "conv has no 'gabor'"), ("bank", "gabr", "did you mean gabor?"), ("rleu", "", "did you mean")],
)
def test_pages_that_are_not_there(word: str, nested: str, message: str) -> None:
    with pytest.raises(CnntoolError) as caught:
        page_of(word, nested)
    assert message in str(caught.value)


def test_commands_are_made_once() -> None:
    assert command_of("conv") is command_of("conv")
    assert command_of("bank", "gabor") is not command_of("bank", "lm")
