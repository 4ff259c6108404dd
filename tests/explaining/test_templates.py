"""The pages in a real browser: a click shows what a unit sees and is made of; keys, zoom, phones, contrast."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntool import Pipeline, read_image
from cnntool.cli.main import main
from tests.explaining.conftest import Browser

WIDE, PHONE = 1600, 360
CHAINS = {
    "chain": "conv 6 5 --stride 3 --padding 1 relu maxpool 3 --stride 2 conv 8 3 --dilation 2 --padding 2 batchnorm "
    "leaky-relu globalpool avg fc 5 softmax",
    "branches": "mark a conv 4 3 --padding 1 mark b from a avgpool 3 --stride 1 --padding 1 concat b "
    "conv 4 3 --stride 2 --groups 1 mark c conv 4 2 --padding same --dilation 3 add c l2pool 2",
    "banks": "whiten bank mr8 --size 9 abs lrn --alpha 1 gridpool 3 flatten",
    "channels": "standardize bank sobel --per-channel conv 6 1 conv 12 3 --groups 3 sigmoid avgpool 3 --ceil "
    "decorrelate",
}
SHOWN = 32
# A map that is drawn gets a line of text, which may move what stands below it: no click before that.
ALL_NEAR_DRAWN = (
    "[...document.querySelectorAll('.map:not([data-drawn])')].every(map => {"
    " const box = map.getBoundingClientRect(); return box.bottom < -300 || box.top > innerHeight + 300; })"
)


def picture(folder: Path) -> Path:
    """Smooth colours with some noise, 40 x 34."""
    y, x = np.mgrid[:40, :34] / 34
    dice = np.random.default_rng(0)
    planes = [np.sin(5 * y + 2 * k) + np.cos(4 * x * (k + 1)) + dice.normal(0, 0.3, y.shape) for k in range(3)]
    pixels = np.clip(128 + 50 * np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    path = folder / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> dict[str, Path]:
    """The reports of all chains on one image, one of them in Romanian."""
    folder = tmp_path_factory.mktemp("reports")
    image = picture(folder)
    found = {}
    for name, words in CHAINS.items():
        found[name] = folder / f"{name}.html"
        lang = "ro" if name == "banks" else "en"
        assert main(["show", "report", "--lang", lang, str(image), str(found[name]), *words.split()]) == 0
    return found


def show(browser: Browser, page: Path, width: int, *, dark: bool = False) -> None:
    browser.open(page, width, dark=dark)
    browser.wait("document.documentElement.dataset.ready === 'yes'")


def choose(browser: Browser, place: int, channel: int, y: int, x: int) -> dict[str, float]:
    """Clicks on a unit with the mouse; what the page then says of it, as numbers."""
    from selenium.webdriver import ActionChains

    canvas = browser.run(
        "document.getElementById('said').replaceChildren();"
        "const button = document.querySelector(`.map[data-place='${arguments[0]}'][data-channel='${arguments[1]}']`);"
        "button.scrollIntoView({block: 'center', behavior: 'instant'}); return button.querySelector('canvas');",
        place, channel,
    )  # fmt: skip
    browser.wait(ALL_NEAR_DRAWN)
    size = browser.run("const c = arguments[0]; return [c.height, c.width, c.clientHeight, c.clientWidth]", canvas)
    down, across = (
        (at + 0.5) / count * pixels - pixels / 2 for at, count, pixels in zip((y, x), size[:2], size[2:], strict=True)
    )
    ActionChains(browser.driver).move_to_element_with_offset(canvas, round(across), round(down)).click().perform()
    browser.wait("document.querySelector('#said strong')")
    data = browser.run("return Object.assign({}, document.getElementById('said').dataset)")
    return {name: float(value) for name, value in data.items() if value != ""}


def seen(browser: Browser) -> np.ndarray:
    """The pixels of the image that the page leaves bright."""
    height, width, flat = browser.run(
        "const c = document.getElementById('field');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.height, c.width, Array.from({length: c.width * c.height}, (_, i) => d[4 * i + 3] === 0)];"
    )
    return np.array(flat, bool).reshape(height, width)


@functools.cache
def layers_of(name: str) -> tuple[Pipeline, list[Any]]:
    pipeline = Pipeline.parse(CHAINS[name])
    return pipeline, pipeline.shape((40, 34, 3))["layers"]


def changing(pipeline: Pipeline, volume: np.ndarray, row: int, unit: tuple[int, int, int]) -> np.ndarray:
    """The pixels whose change, up or down and by little or much, changes a unit: found by trying each."""
    until = pipeline.until(str(row))
    until.use_algorithm("direct")
    before = until.run(volume)[unit]
    found = np.zeros(volume.shape[:2], bool)
    for y, x in np.ndindex(*found.shape):
        batch = np.repeat(volume[None], 4, axis=0)
        for copy, amount in zip(batch, (0.5, -0.5, 300, -300), strict=True):
            copy[y, x] += np.float32(amount) * np.array([1, 0.7, -0.4], np.float32)
        found[y, x] = (until.run(batch)[:, *unit] != before).any()
    return found


UNITS = [
    ("chain", 1, (5, 4, 2)), ("chain", 1, (0, 0, 0)), ("chain", 3, (1, 3, 5)), ("chain", 4, (2, 2, 1)),
    ("chain", 4, (4, 0, 7)), ("branches", 1, (20, 33, 3)), ("branches", 3, (7, 9, 5)), ("branches", 4, (18, 3, 2)),
    ("branches", 6, (9, 14, 1)), ("branches", 7, (8, 7, 0)), ("channels", 6, (0, 10, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "unit"), UNITS)
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_a_click_draws_the_receptive_field_that_perturbation_finds(
    pages: dict[str, Path], browser: Browser, name: str, row: int, unit: tuple[int, int, int], width: int
) -> None:
    pipeline, layers = layers_of(name)
    place = [layer["row"] for layer in layers].index(row) + 1
    y, x, channel = unit
    show(browser, pages[name], width)
    found = choose(browser, place, channel, y, x)
    mask = seen(browser)
    if name == "channels":  # its statistics are of the whole image: a change anywhere changes all
        rest = Pipeline.parse(CHAINS[name].removeprefix("standardize "))
        pipeline, row = rest, row - 1
    volume = read_image(pages[name].with_name("picture.png"))
    expected = changing(pipeline, volume, row, unit)
    np.testing.assert_array_equal(mask, expected)
    rows, columns = np.flatnonzero(expected.any(axis=1)), np.flatnonzero(expected.any(axis=0))
    edges = (found["top"], found["bottom"], found["left"], found["right"])
    assert edges == (rows[0], rows[-1], columns[0], columns[-1])
    if (width, unit) == (WIDE, (5, 4, 2)):
        assert not browser.said()


@pytest.mark.parametrize("name", CHAINS)
def test_the_numbers_of_every_layer_are_those_of_the_kernels(
    pages: dict[str, Path], browser: Browser, name: str
) -> None:
    pipeline, layers = layers_of(name)
    volume = read_image(pages[name].with_name("picture.png"))
    show(browser, pages[name], WIDE)
    dice = np.random.default_rng(0)
    for place, layer in enumerate(layers, 1):
        height, width, channels = layer["output_shape"]
        output = pipeline.until(str(layer["row"])).run(volume)
        shown = browser.run(
            f"return [...document.querySelectorAll('.map[data-place=\"{place}\"]')].map(b => +b.dataset.channel)"
        )
        assert len(shown) == min(channels, SHOWN)
        for _ in range(2):
            unit = int(dice.integers(height)), int(dice.integers(width)), int(dice.choice(shown))
            found = choose(browser, place, unit[2], *unit[:2])
            close = {"rel": 1e-3, "abs": 1e-3 * float(np.abs(output).max())}
            assert found["value"] == pytest.approx(float(output[unit]), **close), layer
            assert found.get("total", found["value"]) == pytest.approx(float(output[unit]), **close), layer
            assert browser.run("return document.getElementById('numbers').childElementCount") > 0, layer
    assert not browser.said()


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("name", CHAINS)
def test_a_page_opens_without_a_message_and_fits_its_window(
    pages: dict[str, Path], browser: Browser, name: str, width: int
) -> None:
    show(browser, pages[name], width)
    browser.run("scrollTo(0, document.body.scrollHeight)")
    browser.wait("document.querySelector('section:last-of-type .map:last-child[data-drawn]')")
    assert not browser.said()
    assert browser.run("return document.documentElement.scrollWidth") <= width
    lines = browser.run("return document.querySelectorAll('table.shapes tbody tr').length")
    assert lines == len(layers_of(name)[1]) == browser.run("return document.querySelectorAll('section.layer').length")
    assert browser.run("return document.querySelectorAll('section .histogram svg').length") == lines


def press(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser.driver).send_keys(*keys).perform()


def chosen(browser: Browser) -> tuple[int, int]:
    """Row and column of the unit, from where its mark lies in its map."""
    return tuple(browser.run(  # type: ignore[return-value]
        "const b = document.querySelector('.map[aria-pressed=\"true\"]');"
        "const d = b.querySelector('.dot'), c = b.querySelector('canvas');"
        "return [d.style.top, d.style.left].map((p, i) => Math.round(parseFloat(p) / 100 * [c.height, c.width][i]));"
    ))  # fmt: skip


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_all_of_it_works_with_the_keyboard(pages: dict[str, Path], browser: Browser, width: int) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["chain"], width)
    browser.run('document.querySelector(\'.map[data-place="1"][data-channel="3"]\').focus()')
    press(browser, Keys.ENTER)
    browser.wait("document.querySelector('#said strong')")
    assert chosen(browser) == (6, 5)  # the middle of 13 x 11
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    browser.wait("document.querySelector('#said strong').textContent.includes('(8, 6, 3)')")
    assert chosen(browser) == (8, 6)
    press(browser, "+")
    browser.wait("document.getElementById('large').open && document.getElementById('large').dataset.scale")
    size = "document.getElementById('big').clientWidth"
    first = browser.run(f"return {size}")
    press(browser, "+")
    browser.wait(f"{size} === {2 * first}")
    press(browser, "-")
    browser.wait(f"{size} === {first}")
    press(browser, Keys.ARROW_LEFT)
    browser.wait("document.getElementById('large-said').textContent.includes('(8, 5, 3)')")
    press(browser, *[Keys.ARROW_UP] * 20)
    browser.wait("document.getElementById('large-said').textContent.includes('(0, 5, 3)')")
    press(browser, Keys.ESCAPE)
    browser.wait("!document.getElementById('large').open")
    assert browser.run("return document.activeElement.dataset.channel") == "3"
    assert not browser.said()


def test_a_click_in_the_large_map_chooses_there(pages: dict[str, Path], browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    show(browser, pages["chain"], WIDE)
    choose(browser, 1, 0, 6, 5)
    browser.run("document.getElementById('zoom').click()")
    browser.wait("document.getElementById('large').dataset.scale")
    canvas = browser.run("return document.getElementById('big')")
    scale = int(browser.run("return document.getElementById('large').dataset.scale"))
    ActionChains(browser.driver).move_to_element_with_offset(canvas, 3 * scale, -4 * scale).click().perform()
    browser.wait("document.getElementById('large-said').textContent.includes('(2, 8, 0)')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_axe_finds_no_violation(pages: dict[str, Path], browser: Browser, width: int, dark: bool) -> None:
    for name in ("chain", "banks"):
        show(browser, pages[name], width, dark=dark)
        assert browser.violations() == []
        choose(browser, 2, 1, 1, 1)
        assert browser.violations() == []
        browser.run("document.getElementById('zoom').click()")
        browser.wait("document.getElementById('large').dataset.scale")
        assert browser.violations() == []


@pytest.fixture(scope="module")
def animation(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Path:
    path = tmp_path_factory.mktemp("animations") / "conv.html"
    words = ["4x4x2", "conv", "2", "2", "--stride", "2", "maxpool", "2"]  # 8 and 2 frames
    assert main(["explain", "--animate", str(path), *words]) == 0
    return path


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_an_animation_plays_steps_and_fits(animation: Path, browser: Browser, width: int) -> None:
    from selenium.webdriver.common.keys import Keys

    frame = "document.getElementById('place').value"
    shown = "[...document.querySelectorAll('.frame')].findIndex(f => !f.hasAttribute('hidden'))"
    browser.open(animation, width)
    browser.wait(f"{frame} === '0'")
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.run(f"return [{frame}, {shown}]") == ["2", 2]
    press(browser, *[Keys.ARROW_LEFT] * 3)
    assert browser.run(f"return [{frame}, {shown}]") == ["9", 9]
    visible = "return [...document.querySelectorAll('.stage > svg')].map(s => getComputedStyle(s).display !== 'none')"
    assert browser.run(visible) == [False, True]
    press(browser, " ")  # reduced motion: it stands until it is asked to play
    browser.wait(f"{frame} === '1'")
    press(browser, " ")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert not browser.said()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation_in_an_animation(animation: Path, browser: Browser, dark: bool) -> None:
    for width in (WIDE, PHONE):
        browser.open(animation, width, dark=dark)
        assert browser.violations() == []
