"""The page for everybody: axe-core finds nothing serious, words are legible, keys and fingers reach everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..demo_app import RunningDemo
from .scan_pages import arrive, choose_example, drawn, status

axe = pytest.importorskip("axe_playwright_python.base", reason="the tests of access need axe-playwright-python")
NewPage = Callable[..., Any]
GRAVE = ("serious", "critical")
LEAST_PX, LEAST_TOUCH_PX, MOST_TABS = 12, 40, 8
# Gradio shows a placeholder of its own until a figure is drawn.
DRAWN = """() => ![...document.querySelectorAll('[aria-label="Empty value"]')].some((one) => one.checkVisibility())"""
SMALL_WORDS = f"""() => {{
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {{
    const words = walk.currentNode.data.trim(), around = walk.currentNode.parentElement;
    if (!words || !around.checkVisibility() || !around.getClientRects().length) continue;
    if (parseFloat(getComputedStyle(around).fontSize) < {LEAST_PX}) found.push(words);
  }}
  return found;
}}"""
SMALL_CONTROLS = f"""() => [...document.querySelectorAll("button, a[href], input, summary, [role=tab]")]
  .filter((one) => one.checkVisibility({{ opacityProperty: true, visibilityProperty: true }}))
  .filter((one) => one.getClientRects().length && !one.disabled)
  .map((one) => [one.getBoundingClientRect(), one])
  .filter(([box]) => box.width > 1 && Math.round(box.height) < {LEAST_TOUCH_PX})
  .map(([box, one]) => `${{one.tagName}} ${{one.className}} ${{one.innerText}}: ${{box.height}}`)"""


def complaints(page: Any) -> list[str]:
    """What axe-core calls serious or critical: each rule with the first of the elements that break it."""
    page.evaluate(Path(axe.AXE_FILE_PATH).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"] if one["impact"] in GRAVE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_words_are_legible(new_page: NewPage, demo: RunningDemo, scheme: str) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": 1280, "height": 720})
    page.goto(f"{demo.url}?__theme={scheme}")
    choose_example(page, "epidural")
    status(page, "done")
    drawn(page)
    page.wait_for_selector("#take-report:not([disabled])")
    assert complaints(page) == []
    assert page.evaluate(SMALL_WORDS) == []
    for tab in ("Leaderboard", "About"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_function(f"document.querySelector('[role=tab][aria-selected=true]').innerText === '{tab}'")
        page.wait_for_function(DRAWN)
        assert complaints(page) == [], tab
        assert page.evaluate(SMALL_WORDS) == [], tab


def test_on_a_laptop_strip_and_slider_are_on_the_first_screen_and_a_few_tabs_lead_to_the_picture(
    new_page: NewPage, demo: RunningDemo
) -> None:
    page = arrive(new_page(viewport={"width": 1280, "height": 720}), demo)
    choose_example(page, "subdural")
    status(page, "done")
    drawn(page)
    for part in (".strip", ".slices"):
        box = page.locator(f"#scan-viewer {part}").bounding_box()
        assert box["y"] + box["height"] <= 720, part

    page.focus("#scan-examples button.example[aria-pressed=true]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText") == "No blood", "arrows go from example to example"
    tabs = 0
    while page.evaluate("document.activeElement.tagName") != "CANVAS":
        page.keyboard.press("Tab")
        tabs += 1
        assert tabs <= MOST_TABS


def test_on_a_phone_a_tap_brings_the_verdict_and_fingers_find_every_control(
    new_page: NewPage, demo: RunningDemo
) -> None:
    page = arrive(new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True), demo)
    page.locator("#scan-examples button.example").first.tap()
    status(page, "done")
    drawn(page)
    page.wait_for_selector("#take-report:not([disabled])")
    for part in ("#scan-status .status", "#scan-viewer .verdict"):
        box = page.locator(part).evaluate("(one) => one.getBoundingClientRect().toJSON()")
        assert 0 <= box["top"] <= box["bottom"] <= 844, part
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(SMALL_CONTROLS) == []
    assert page.evaluate(SMALL_WORDS) == []
    assert complaints(page) == []
