"""What is put into templates cannot end them."""

from __future__ import annotations

import json
import re

import pytest

from cnntool.explaining.pages import Markup, as_data, fill, template


def test_text_is_escaped_and_markup_is_not() -> None:
    places = re.findall(r"\{\{(\w+)\}\}", template("animation.html"))
    values = dict.fromkeys(set(places) - {"title"}, "")
    page = fill("animation.html", title='</title><script>"', **values | {"scenes": Markup("<svg></svg>")})
    assert "&lt;/title&gt;&lt;script&gt;&quot;" in page
    assert "<svg></svg>" in page
    assert "{{" not in page


def test_a_place_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("layer.html", row="1")


def test_data_cannot_end_its_script() -> None:
    text = as_data({"name": "</script><!--"})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><!--"}
