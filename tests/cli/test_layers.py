"""`cnntool layers`: the list, and the page of each layer and bank."""

from __future__ import annotations

import pytest

from cnntool.chain.commands import group_of
from cnntool.declare import help_of
from cnntool.layers.table import LAYERS, load
from tests.cli.conftest import Tool

BANKS = group_of(load("bank"))
assert BANKS is not None


def test_the_list_names_every_layer(cnntool: Tool) -> None:
    result = cnntool("layers")
    assert (result.code, result.err) == (0, "")
    lines = result.text.splitlines()
    assert lines[-1] == "`cnntool layers NAME` explains one of them."
    assert [line.split()[0] for line in lines[:-1] if line and line[0] != " "] == list(LAYERS)
    running = " ".join(result.text.split())
    for word in LAYERS:
        assert help_of(load(word)) in running


@pytest.mark.parametrize("words", [(word,) for word in LAYERS] + [("bank", name) for name in BANKS.table], ids=" ".join)
def test_every_page(cnntool: Tool, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = cnntool("layers", *words)
    assert (result.code, result.err) == (0, "")
    assert result.text.startswith(" ".join(words))
    assert max(map(len, result.text.splitlines())) <= 80


def test_the_page_of_a_layer_explains_its_words(cnntool: Tool) -> None:
    page = cnntool("layers", "conv").text
    for word in ("OUT_CHANNELS", "KERNEL_SIZE", "--stride", "--padding", "--dilation", "--groups", "--no-bias"):
        assert word in page
    assert "[default: " in page
