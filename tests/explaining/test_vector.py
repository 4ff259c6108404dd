"""Animations as SVG and as a page: well-formed, all frames, nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.explaining.forms import animated
from cnntool.explaining.language import Language
from cnntool.explaining.units import compute

SVG = "{http://www.w3.org/2000/svg}"
WORDS = "conv 2 2 --stride 2 maxpool 2"  # 8 and 2 frames


def content(suffix: str, language: str = "en") -> str:
    volume = np.arange(32, dtype=np.float32).reshape(4, 4, 2)
    computed = compute(Pipeline.parse(WORDS), volume)
    return animated(computed, f"a{suffix}", Language(language), None, "cnntool explain 'a <b>'").decode()


def test_the_svg_shows_each_frame_at_its_time() -> None:
    root = ElementTree.fromstring(content(".svg"))
    parts = [group for group in root.iter(f"{SVG}g") if "part" in group.get("class", "")]
    delays = [int(re.search(r"animation-delay:(\d+)ms", part.get("style", "")).group(1)) for part in parts]  # type: ignore[union-attr]
    frames = [delay for part, delay in zip(parts, delays, strict=True) if "animation-name:one" in part.get("style", "")]
    assert frames == [1200 * n for n in range(10)]
    style = root.find(f"{SVG}style")
    assert style is not None
    text = style.text or ""
    assert "animation: 12000ms step-end infinite" in text
    assert "@keyframes scene0 { 0% { visibility: visible } 80.0000%, 100% { visibility: hidden } }" in text
    assert "@keyframes one { 0% { visibility: visible } 10.0000%" in text
    description = root.find(f"{SVG}desc")
    assert description is not None
    assert description.text == "cnntool explain 'a <b>'"


@pytest.mark.parametrize("language", ["en", "ro"])
def test_the_page_has_all_frames_and_its_language(language: str) -> None:
    page = content(".html", language)
    assert page.count('class="frame"') == 10
    assert page.count("<svg") == 2
    assert f'<html lang="{language}">' in page
    assert ("Pornește" in page) == (language == "ro")


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_nothing_is_loaded_from_elsewhere(suffix: str) -> None:
    text = content(suffix).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|src=", text)
