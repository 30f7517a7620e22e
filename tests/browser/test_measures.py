"""Lengths, areas, the window by drag, full screen, and slices by arrows: numbers that one can check on paper."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
pytest.importorskip("gradio", reason="the browser tests need gradio")
sys.path.insert(0, str(Path(__file__).parent))

from viewer_pages import HOOK, at, point, show, text
from viewer_scans import BRIGHT_HU, viewer_page


@pytest.fixture(scope="module")
def url(serve_module: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("streams")
    return serve_module(viewer_page(folder), allowed_paths=[str(folder)])


@pytest.fixture
def opened(page: Any, url: str) -> Any:
    page.goto(url)
    return show(page, "ct")


def drag(page: Any, tool: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """Drag with a tool from one (column, row) of the large picture to another; what is said of it."""
    page.click(f"[data-tool={tool}]")
    page.mouse.move(*point(page, *start))
    page.mouse.down()
    page.mouse.move(*point(page, *end))
    page.mouse.up()
    words: str = page.evaluate(f"{HOOK}.measures().at(-1) ?? ''")
    return words


def numbers(words: str) -> list[float]:
    return [float(one) for one in re.findall(r"[\d.]+", words)]


def near(*values: float) -> Any:
    """These values, but for the pixel that a pointer's place is rounded to: a column has about nine."""
    return pytest.approx(list(values), rel=0.03, abs=0.6)


def test_a_distance_is_in_millimetres(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 7)")
    # 30 columns and 40 rows of 2 mm.
    words = drag(opened, "ruler", (10, 10), (40, 50))
    assert words.endswith(" mm")
    assert numbers(words) == near(100)
    opened.click("[data-plane=coronal]")
    # 12 slices of 5 mm: 4 rows up and 10 columns of 2 mm across.
    assert numbers(drag(opened, "ruler", (20, 2), (30, 6))) == near(math.hypot(20, 20))
    assert opened.is_visible(".clear-measures")
    opened.focus(".view.main canvas")
    opened.keyboard.press("Delete")
    assert opened.evaluate(f"{HOOK}.measures()") == [words]
    opened.click(".clear-measures")
    assert not opened.is_visible(".clear-measures")


def test_an_area_is_an_ellipse_with_its_mean(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 4)")
    # Inside of the lesion of columns 36 to 47, rows 20 to 31, in which every voxel is alike: 8 by 6 voxels of 2 mm.
    words = drag(opened, "area", (37.5, 22.5), (45.5, 28.5))
    assert words.endswith(f" mm², mean {BRIGHT_HU:.0f} HU")
    assert numbers(words)[0] == pytest.approx(math.pi / 4 * 16 * 12, rel=0.05)
    # As much of the right half (14 HU in this slice) as of the left (34).
    assert numbers(drag(opened, "area", (26.5, 40.5), (36.5, 48.5)))[1] == pytest.approx(24, abs=1)
    # The spoken line says it too.
    opened.wait_for_function("document.querySelector('.viewer .spoken').textContent.startsWith('Area ')")


def test_measures_stay_with_their_slice_and_go_with_the_scan(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 7)")
    yellow = """() => { const view = HOOK.views[0]; HOOK.draw();
      const { data } = view.context.getImageData(0, 0, view.canvas.width, view.canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += data[at] > 240 && data[at + 1] > 210 && data[at + 2] < 170;
      return count; }""".replace("HOOK", HOOK)
    assert opened.evaluate(yellow) == 0
    drag(opened, "ruler", (10, 10), (40, 50))
    assert opened.evaluate(yellow) > 50
    opened.evaluate(f"{HOOK}.goTo('axial', 6)")
    assert opened.evaluate(yellow) == 0
    opened.evaluate(f"{HOOK}.goTo('axial', 7)")
    assert opened.evaluate(yellow) > 50
    show(opened, "ct")
    assert opened.evaluate(f"{HOOK}.measures()") == []


def test_without_millimetres_there_are_pixels(page: Any, url: str) -> None:
    page.goto(url)
    show(page, "picture")
    words = drag(page, "ruler", (10, 10), (40, 50))
    assert words.endswith(" pixels")
    assert numbers(words) == near(50)
    words = drag(page, "area", (10, 10), (30, 20))
    assert " pixels, mean " in words
    assert words.endswith(" grey")
    assert numbers(words)[0] == pytest.approx(math.pi / 4 * 200, rel=0.05)


def test_dragging_the_window_shows_its_numbers_large(opened: Any) -> None:
    size = "parseFloat(getComputedStyle(document.querySelector('.viewer .range')).fontSize)"
    usual = opened.evaluate(size)
    opened.click("[data-tool=window]")
    x, y = point(opened, 30, 30)
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 50, y)
    assert opened.evaluate(size) >= 18 > usual
    width, center = text(opened, ".range").removeprefix("W ").split("L ")
    assert float(width) > 80
    assert float(center) == 40
    opened.mouse.up()
    assert opened.evaluate(size) == usual


def test_full_screen_holds_the_viewer_alone(opened: Any) -> None:
    opened.click(".fill-screen")
    opened.wait_for_function("document.fullscreenElement === document.querySelector('.viewer')")
    opened.wait_for_selector(".fill-screen[aria-pressed=true]")  # the event comes a frame after the element
    stage = opened.locator(".viewer .stage").bounding_box()
    assert stage["height"] > 0.6 * opened.evaluate("window.innerHeight")
    assert opened.evaluate("document.querySelector('.slices').getBoundingClientRect().bottom <= window.innerHeight")
    opened.focus(".view.main canvas")
    opened.keyboard.press("f")
    opened.wait_for_function("document.fullscreenElement === null")
    opened.wait_for_selector(".fill-screen[aria-pressed=false]")


def test_arrows_step_through_the_slices_wherever_the_focus_is(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 5)")
    opened.evaluate("document.activeElement.blur()")
    opened.keyboard.press("ArrowUp")
    assert at(opened)[0] == 6
    opened.focus("button[data-plane=axial]")
    opened.keyboard.press("ArrowDown")
    assert at(opened)[0] == 5
    opened.keyboard.press("ArrowRight")  # along the bar, which is one stop of the Tab key
    assert opened.evaluate("document.activeElement.dataset.plane") == "coronal"
    assert opened.locator(".viewer .toolbar button[tabindex='0']").count() == 1
    box = opened.locator(".viewer .strip").bounding_box()
    opened.mouse.move(box["x"] + 40, box["y"] + 10)
    opened.mouse.wheel(0, -100)
    opened.wait_for_function(f"{HOOK}.state().at[0] === 6")
