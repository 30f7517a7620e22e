"""The viewer in a real Chromium, with scans of which every voxel is known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
pytest.importorskip("gradio", reason="the browser tests need gradio")
sys.path.insert(0, str(Path(__file__).parent))

from viewer_pages import HOOK, at, grey, pixel, point, show, text
from viewer_scans import BRIGHT_HU, SHAPE, SPACING, ct_report, viewer_page

from demo.viewer.component import viewer_script
from hemobench.inference.overview.style import TYPE_COLOURS, millilitres
from hemobench.labels import SUBTYPES

COLUMNS = SHAPE[2]


@pytest.fixture(scope="module")
def url(serve_module: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("streams")
    return serve_module(viewer_page(folder), allowed_paths=[str(folder)])


@pytest.fixture
def opened(page: Any, url: str) -> Any:
    """The page with the CT open."""
    page.goto(url)
    return show(page, "ct")


def test_without_a_scan_it_says_what_to_do(page: Any, url: str) -> None:
    page.goto(url)

    assert "Upload a head CT" in text(page, ".empty")
    assert not page.is_visible(".viewer canvas")

    show(page, "ct")
    assert page.is_visible(".viewer .main canvas")
    assert not page.is_visible(".viewer .empty")
    show(page, "none", "empty")
    assert page.is_visible(".viewer .empty")


def test_a_new_scan_keeps_the_canvas_and_what_was_chosen(opened: Any) -> None:
    opened.evaluate("window.before = document.querySelector('.viewer canvas')")
    opened.click("[data-preset=bone]")
    opened.click("[data-overlay=outline]")

    show(opened, "none", "empty")
    show(opened, "ct")

    assert opened.evaluate("window.before === document.querySelector('.viewer canvas')")
    assert "W 2800" in text(opened, ".range")
    assert opened.get_attribute("[data-overlay=outline]", "aria-pressed") == "true"


def test_the_last_of_scans_given_at_once_stays(opened: Any) -> None:
    ct = opened.evaluate(f"{HOOK}.state().value")
    mr = show(opened, "mr").evaluate(f"{HOOK}.state().value")

    opened.evaluate(f"([ct, mr]) => {{ const give = {HOOK}.open; give(mr); give(ct); give(mr); give(ct); }}", [ct, mr])
    opened.wait_for_selector('.viewer[data-state="ready"]')

    opened.evaluate(f"{HOOK}.goTo('axial', 7)")
    opened.mouse.move(*point(opened, 20, 12))
    assert text(opened, ".reading") == "17 HU"
    assert opened.evaluate(f"{HOOK}.state().store.arrived") == SHAPE[0]


def test_it_opens_where_most_was_outlined(opened: Any) -> None:
    assert at(opened)[0] == 3
    assert opened.evaluate(f"{HOOK}.state().store.labelAt({HOOK}.state().at)") == 2
    assert text(opened, ".main .plane-name") == "Axial"
    assert text(opened, ".main .place") == f"{at(opened)[0] + 1} / 12"


def test_wheel_keys_and_slider_step_through_the_slices(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 5)")
    opened.mouse.move(*point(opened, 20, 20))
    opened.mouse.wheel(0, -100)
    opened.mouse.wheel(0, -100)
    opened.wait_for_function(f"{HOOK}.state().at[0] === 7")
    opened.mouse.wheel(0, 100)
    opened.wait_for_function(f"{HOOK}.state().at[0] === 6")

    opened.focus(".view.main canvas")
    for key, slice_ in (("ArrowDown", 5), ("ArrowUp", 6), ("PageDown", 1), ("PageUp", 6), ("End", 11), ("Home", 0)):
        opened.keyboard.press(key)
        assert at(opened)[0] == slice_
    assert text(opened, ".slice-words") == "Slice 1 / 12"

    opened.focus(".slices")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    assert at(opened)[0] == 2
    # The words follow with the next picture.
    opened.wait_for_function(
        "document.querySelector('.slices').getAttribute('aria-valuetext').includes('Axial slice 3 of 12')"
    )


def test_a_small_turn_of_a_touchpad_adds_up(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 5)")
    opened.mouse.move(*point(opened, 20, 20))
    for _ in range(9):
        opened.mouse.wheel(0, -10)

    opened.wait_for_function(f"{HOOK}.state().at[0] === 7")


def test_a_click_on_the_strip_goes_to_its_slice(opened: Any) -> None:
    box = opened.locator(".strip").bounding_box()
    for index in (0, 4, 11):
        opened.mouse.click(box["x"] + 8 + (box["width"] - 16) * index / 11, box["y"] + 10)
        assert at(opened)[0] == index
    bars = opened.locator(".strip .bars rect")
    assert bars.count() == 12
    assert float(bars.nth(9).get_attribute("height")) == pytest.approx(0.5)
    assert text(opened, ".legend") == "Haemorrhage in this slice 0.60"


def test_marks_stand_where_the_types_were_outlined(opened: Any) -> None:
    marks = opened.locator(".strip .marks rect").evaluate_all(
        "(all) => all.map((one) => ['x', 'width', 'fill'].map((name) => one.getAttribute(name)))"
    )

    assert marks == [
        ["3", "3", f"rgb({','.join(map(str, TYPE_COLOURS['intraparenchymal']))})"],
        ["8", "2", f"rgb({','.join(map(str, TYPE_COLOURS['subdural']))})"],
    ]


def test_hu_under_the_cursor_are_those_of_the_voxel_there(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 7)")
    for column, row, words in ((20, 12, "17 HU"), (40, 50, "37 HU"), (9, 9, "17 HU"), (8, 55, "17 HU")):
        opened.mouse.move(*point(opened, column, row))
        assert text(opened, ".reading") == words
    opened.evaluate(f"{HOOK}.goTo('axial', 8)")
    opened.mouse.move(*point(opened, 12, 30))
    assert text(opened, ".reading") == f"{BRIGHT_HU:.0f} HU"
    assert text(opened, ".reading-type") == "Subdural"


def test_letters_say_where_the_patients_sides_are(opened: Any) -> None:
    def letters() -> list[str]:
        return [text(opened, f".main .edge.{side}") for side in ("top", "right", "bottom", "left")]

    assert letters() == ["A", "L", "P", "R"]
    opened.click("[data-plane=coronal]")
    assert letters() == ["S", "L", "I", "R"]
    opened.click("[data-plane=sagittal]")
    assert letters() == ["S", "P", "I", "A"]


def test_the_scale_bar_is_as_long_as_it_says(opened: Any) -> None:
    length = opened.locator(".scale-line").bounding_box()["width"]
    number, unit = text(opened, ".scale-text").split()
    left, right = point(opened, 0, 0)[0], point(opened, 10, 0)[0]

    length_mm = float(number) * {"mm": 1, "cm": 10}[unit]
    assert length / length_mm == pytest.approx((right - left) / (10 * SPACING[2]), rel=0.02)


@pytest.mark.parametrize(("name", "center", "width"), [("brain", 40, 80), ("stroke", 40, 40), ("bone", 600, 2800)])
def test_a_preset_gives_each_hu_its_grey(opened: Any, name: str, center: float, width: float) -> None:
    opened.click(f"[data-preset={name}]")
    opened.evaluate(f"{HOOK}.goTo('axial', 11)")

    for column, hu in ((20, 21), (45, 41)):
        red, green, blue = pixel(opened, column, 50)
        assert red == green == blue == pytest.approx(grey(hu, center, width), abs=1)
    assert text(opened, ".range").replace("\xa0", " ").split() == ["W", str(width), "L", str(center)]


def test_dragging_with_the_right_button_or_the_tool_changes_the_window(opened: Any) -> None:
    def dragged(button: str, dx: float, dy: float) -> dict[str, float]:
        x, y = point(opened, 30, 30)
        opened.mouse.move(x, y)
        opened.mouse.down(button=button)
        opened.mouse.move(x + dx, y + dy, steps=4)
        opened.mouse.up(button=button)
        return opened.evaluate(f"{HOOK}.state().range")

    assert dragged("right", 60, 0)["width"] > 85
    opened.click("[data-preset=brain]")
    assert dragged("right", 0, 60)["center"] < 35
    opened.click("[data-tool=window]")
    opened.click("[data-preset=brain]")
    assert dragged("left", -60, 0)["width"] < 75
    assert opened.locator(".presets [aria-pressed=true]").count() == 0
    opened.focus(".view.main canvas")
    opened.keyboard.press("1")
    assert opened.evaluate(f"{HOOK}.state().range") == {"center": 40, "width": 80}
    opened.keyboard.press("Shift+ArrowUp")
    assert opened.evaluate(f"{HOOK}.state().range") == {"center": 44, "width": 80}


def test_the_overlay_is_mixed_by_its_opacity_outlined_or_gone(opened: Any) -> None:
    opened.evaluate(f"{HOOK}.goTo('axial', 4)")
    opened.focus(".view.main canvas")
    opened.keyboard.press("x")
    bare = grey(BRIGHT_HU, 40, 80)
    colour = TYPE_COLOURS["intraparenchymal"]

    mixed = [round(bare + (part - bare) * 0.4) for part in colour]
    assert pixel(opened, 42, 26) == pytest.approx(mixed, abs=1)
    opened.locator(".opacity").fill("100")
    assert pixel(opened, 42, 26) == pytest.approx(list(colour), abs=1)
    opened.click("[data-overlay=outline]")
    assert pixel(opened, 42, 26) == pytest.approx([bare] * 3, abs=1)
    assert pixel(opened, 35.5, 26) == pytest.approx(list(colour), abs=40)
    opened.click("[data-overlay=off]")
    assert pixel(opened, 42, 26) == pytest.approx([bare] * 3, abs=1)
    red, green, blue = pixel(opened, 35.5, 26)
    assert red == green == blue


def test_planes_are_cut_where_the_crosshair_is(opened: Any) -> None:
    opened.focus(".view.main canvas")
    opened.keyboard.press("o")
    opened.keyboard.press("o")
    opened.mouse.click(*point(opened, 40, 15))
    assert at(opened)[1:] == [15, 40]
    opened.keyboard.press("x")

    # Coronal: columns stay, rows are slices with the highest on top. 10 + slice, and 20 more on the left.
    assert pixel(opened, 20, 1, slot=1)[0] == pytest.approx(grey(20, 40, 80), abs=1)
    assert pixel(opened, 40, 10, slot=1)[0] == pytest.approx(grey(31, 40, 80), abs=1)
    # Sagittal at column 40, in the left half: columns are rows, from anterior to posterior.
    assert pixel(opened, 50, 1, slot=2)[0] == pytest.approx(grey(40, 40, 80), abs=1)
    assert pixel(opened, 2, 1, slot=2)[0] == 0

    opened.mouse.click(*point(opened, 12, 3, slot=1))
    assert at(opened) == [8, 15, 12]


def test_a_small_plane_becomes_the_large_one_and_its_slices_are_stepped_through(opened: Any) -> None:
    opened.click(".view.side[data-slot='2'] .enlarge")
    assert text(opened, ".main .plane-name") == "Sagittal"
    assert opened.get_attribute(".slices", "max") == str(COLUMNS - 1)
    assert opened.locator(".strip .bars rect").count() == 0
    opened.mouse.dblclick(*point(opened, 30, 6, slot=1))
    assert text(opened, ".main .plane-name") == "Axial"
    opened.focus(".view.main canvas")
    opened.keyboard.press("c")
    before = at(opened)
    opened.keyboard.press("ArrowUp")
    assert at(opened) == [before[0], before[1] + 1, before[2]]


def test_lesions_are_gone_to_by_table_button_and_key(opened: Any) -> None:
    rows = opened.locator(".lesions tbody tr")
    made, _ = ct_report()
    assert [row.split()[:2] for row in rows.all_inner_texts()] == [["1", "Intraparenchymal"], ["2", "Subdural"]]
    assert rows.nth(0).locator("td").nth(2).inner_text() == millilitres(made.lesions[0].volume_ml or 0)
    assert rows.nth(1).locator("td").nth(4).inner_text() == "9–10"

    rows.nth(1).click()
    assert at(opened)[0] in (8, 9)
    assert opened.evaluate(f"{HOOK}.state().store.labelAt({HOOK}.state().at)") == 5
    assert text(opened, ".jump-words") == "Lesion 2 / 2"
    assert rows.nth(1).get_attribute("aria-current") == "true"
    opened.click("[data-jump='1']")
    assert at(opened)[0] == 4
    opened.focus(".view.main canvas")
    opened.keyboard.press("p")
    assert at(opened)[0] in (8, 9)
    spoken = "document.querySelector('.viewer .spoken').textContent"
    opened.wait_for_function(f"{spoken}.startsWith('Lesion 2 of 2, subdural')")


def test_zoom_keeps_the_place_under_the_cursor_and_moving_follows_the_drag(opened: Any) -> None:
    # Whole pixels: those of a mouse event are.
    x, y = (round(one) for one in point(opened, 40, 20))

    def under(x: float, y: float) -> tuple[float, float]:
        place = opened.evaluate(f"([x, y]) => {HOOK}.views[0].under({HOOK}.state().store, x, y)", [x, y])
        return place["u"], place["v"]

    before = under(x, y)
    opened.mouse.move(x, y)
    opened.keyboard.down("Control")
    for _ in range(4):
        opened.mouse.wheel(0, -100)
    opened.keyboard.up("Control")
    opened.wait_for_function(f"{HOOK}.views[0].zoom > 4")
    assert under(x, y) == pytest.approx(before, abs=0.01)

    opened.click("[data-tool=pan]")
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 30, y - 20, steps=3)
    opened.mouse.up()
    assert under(x + 30, y - 20) == pytest.approx(before, abs=0.1)
    assert at(opened)[0] == 3
    opened.click("[data-zoom=fit]")
    assert text(opened, "[data-zoom=fit]") == "100%"
    assert under(x, y) == pytest.approx(before, abs=0.01)


def test_fingers_swipe_tap_and_pinch(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.goto(url)
    show(page, "ct")
    page.locator(".view.main canvas").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate(f"{HOOK}.goTo('axial', 5)")
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    x, y = point(page, 30, 30)
    touch("touchStart", (x, y))
    for step in range(1, 7):
        touch("touchMove", (x, y - 12 * step))
    touch("touchEnd")
    assert at(page)[0] > 6
    assert at(page)[1:] == [at(page)[1], at(page)[2]]

    touch("touchStart", point(page, 15, 45))
    touch("touchEnd")
    assert at(page)[1:] == [45, 15]

    before = at(page)
    touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 6):
        touch("touchMove", (x - 30 - 10 * step, y), (x + 30 + 10 * step, y))
    touch("touchEnd")
    assert page.evaluate(f"{HOOK}.views[0].zoom") == pytest.approx(160 / 60, rel=0.1)
    assert at(page) == before


def test_findings_show_calls_thresholds_and_millilitres(opened: Any) -> None:
    made, _ = ct_report()
    assert made.volume_ml is not None

    assert text(opened, ".call") == "Called"
    assert text(opened, ".call-words") == "probability 0.93, called from 0.50"
    assert text(opened, ".volume") == f"{millilitres(made.volume_ml['total'])} mL"
    rows = [row.split() for row in opened.locator(".types tbody tr").all_inner_texts()]
    assert [row[0].lower() for row in rows] == ["any", *SUBTYPES]
    assert rows[2] == ["Intraparenchymal", "called", "0.80", millilitres(made.volume_ml["intraparenchymal"])]
    assert rows[1] == ["Epidural", "0.10", "0"]
    assert "bleed-net" in opened.locator(".models").text_content()
    assert "at abcdef01, weights 00000000, torch" in opened.locator(".models").text_content()
    assert "Analysed in 1.0 s" in opened.locator(".models").text_content()
    assert "never a diagnosis" in text(opened, ".notice")
    assert not opened.is_visible(".disagree")


def test_a_type_that_is_not_worth_naming_keeps_its_bar_and_has_no_tag(opened: Any) -> None:
    value = opened.evaluate(f"{HOOK}.state().value")
    value["study"]["named"] = ["subdural"]
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    tags = {row.split()[0]: row.split()[1] for row in opened.locator(".types tr:has(.tag)").all_inner_texts()}
    assert tags == {"Any": "called", "Subdural": "outlined"}
    assert opened.locator(".types tbody .bar").count() == len(SUBTYPES) + 1


def test_networks_that_disagree_are_shown_to(opened: Any) -> None:
    value = opened.evaluate(f"{HOOK}.state().value")
    value["study"]["positive"] = False
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    assert text(opened, ".call") == "Not called"
    assert text(opened, ".disagree").startswith("The networks disagree: not called, but 2 lesions outlined. Types ")

    value["study"]["positive"], value["lesions"] = True, []
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    assert text(opened, ".disagree") == "The networks disagree: haemorrhage is called, and none is outlined."


def test_what_makes_the_answer_doubtful_stands_beside_the_call(opened: Any) -> None:
    assert not opened.is_visible(".doubt")
    value = opened.evaluate(f"{HOOK}.state().value")
    value["warnings"] = ["1 slice missing", "the gantry was tilted", "small"]
    value["doubts"], value["complete"] = 2, False
    value["study"]["positive"] = False
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    assert text(opened, ".call") == "Not called in the part read"
    assert text(opened, ".doubt") == "1 slice missing. And 1 more among the notes."
    assert opened.locator(".notes li").all_inner_texts() == ["The gantry was tilted.", "Small."]


def test_types_called_without_the_whole_are_explained(opened: Any) -> None:
    value = opened.evaluate(f"{HOOK}.state().value")
    value["study"]["positive"] = value["study"]["calls"]["any"]["positive"] = False
    value["study"]["calls"]["subdural"]["positive"] = True
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    types = "Types are called although haemorrhage as a whole is not: each has a threshold of its own."
    assert text(opened, ".disagree") == f"The networks disagree: not called, but 2 lesions outlined. {types}"

    value["lesions"] = []
    opened.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    assert text(opened, ".disagree") == types


@pytest.mark.parametrize("width", [1366, 1440])
def test_both_tables_end_at_the_same_edge(new_page: Any, url: str, width: int) -> None:
    page = new_page(viewport={"width": width, "height": 900})
    page.goto(url)
    show(page, "ct")
    value = page.evaluate(f"{HOOK}.state().value")
    for name in value["study"]["calls"]:
        value["study"]["calls"][name]["positive"] = True
        value["study"]["probabilities"][name] = 0.999
        value["volume_ml"]["total" if name == "any" else name] = 123.4
    page.evaluate(f"(value) => {{ {HOOK}.open(value); }}", value)
    text(page, ".types")
    right = "(selector) => document.querySelector(`.viewer ${selector}`).getBoundingClientRect().right"
    assert page.evaluate(right, ".types") == page.evaluate(right, ".lesions")
    assert page.evaluate(right, ".types") <= page.evaluate(right, ".findings")


def test_notes_are_text_and_never_markup(opened: Any) -> None:
    assert "<img src=x onerror" in text(opened, ".notes")
    assert opened.locator(".viewer .findings img").count() == 0
    assert opened.title() != "owned"


def test_mr_has_no_hounsfield_units_and_shows_its_ventricles(page: Any, url: str) -> None:
    page.goto(url)
    show(page, "mr")
    page.evaluate(f"{HOOK}.goTo('axial', 4)")
    page.mouse.move(*point(page, 20, 12))

    assert text(page, ".reading").startswith("signal 56")
    assert not page.is_visible(".presets")
    assert text(page, ".volume") == "24.5 mL"
    assert text(page, ".volume-caption") == "Ventricles"
    assert not page.is_visible(".call")
    assert "HU" not in text(page, ".stage")
    page.mouse.move(*point(page, 40, 25))
    assert text(page, ".reading-type") == "Ventricles"


def test_ventricles_of_a_ct_are_a_layer_that_can_be_put_away(page: Any, url: str) -> None:
    page.goto(url)
    show(page, "ventricles")
    page.evaluate(f"{HOOK}.goTo('axial', 4)")
    assert text(page, ".volume-caption") == "Volume", "that of blood"
    rows = [row.split() for row in page.locator(".viewer .ventricles tbody tr").all_inner_texts()]
    assert [row[0] for row in rows] == ["Volume", "Left", "Blood", "Evans'", "Midline"]
    assert rows[3][2:] == ["0.31", "slice", "5", "phantoms"], "slices count from 1 on the page"
    layer = "[data-layer=ventricles]"
    assert page.get_attribute(layer, "aria-pressed") == "true"
    page.mouse.move(*point(page, 10, 46))
    assert text(page, ".reading-type") == "Ventricles"
    shown = page.locator(".view.main canvas").screenshot()
    page.click(layer)
    assert page.get_attribute(layer, "aria-pressed") == "false"
    assert page.locator(".view.main canvas").screenshot() != shown
    page.click(layer)
    show(page, "ct")
    assert not page.is_visible(layer)
    assert not page.is_visible(".viewer .ventricles")


def test_a_picture_has_no_millimetres_no_sides_and_one_plane(page: Any, url: str) -> None:
    page.goto(url)
    show(page, "picture")
    page.mouse.move(*point(page, 20, 12))

    assert text(page, ".reading") == f"grey {round(14 / 80 * 255)}"
    assert not page.is_visible(".scale-line")
    assert text(page, ".main .edge.left") == ""
    assert not page.is_visible(".view.side")
    assert not page.is_visible(".slices")
    assert text(page, ".volume") == "–"
    assert "no millimetres" in text(page, ".volume-words")


def test_a_scan_that_stops_half_way_says_so(page: Any, url: str) -> None:
    page.goto(url)
    show(page, "cut", "failed")

    assert text(page, ".failed") == "The scan did not arrive (the scan stopped half way); analyse it again."
    assert not page.is_visible(".viewer canvas")
    show(page, "ct")
    assert page.is_visible(".viewer .main canvas")


def test_help_opens_by_key_and_closes_by_escape(opened: Any) -> None:
    opened.focus(".view.main canvas")
    opened.keyboard.press("?")
    assert opened.is_visible(".viewer .help")
    opened.keyboard.press("Escape")
    assert not opened.is_visible(".viewer .help")
    assert opened.evaluate("document.activeElement === document.querySelector('.viewer .main canvas')")


def test_everything_is_reached_by_tab_and_has_a_name(opened: Any) -> None:
    snapshot = opened.locator(".viewer").aria_snapshot()

    for part in ('slider "Slice"', 'application "Scan;', 'table "Lesions"', 'table "Types"', 'button "Next lesion"'):
        assert part in snapshot
    unnamed = opened.locator(".viewer button").evaluate_all(
        "(all) => all.filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label')).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(new_page: Callable[..., Any], url: str, scheme: str) -> None:
    page = new_page(color_scheme=scheme)
    page.goto(f"{url}?__theme={scheme}")
    show(page, "ct")

    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    contrast = """(selector) => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const light = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => one / 255)
          .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      };
      const one = light(getComputedStyle(document.querySelector(selector)).color);
      const ground = light(getComputedStyle(document.body).backgroundColor);
      return (Math.max(one, ground) + 0.05) / (Math.min(one, ground) + 0.05);
    }"""
    for selector in (".call-words", ".notes li", ".call", ".types th", ".legend"):
        assert page.evaluate(contrast, f".viewer {selector}") >= 4.5, selector
    assert page.evaluate("getComputedStyle(document.querySelector('.viewer .view')).backgroundColor") == "rgb(0, 0, 0)"


def test_frame_times_are_kept_for_benchmarks(opened: Any) -> None:
    before = opened.evaluate(f"{HOOK}.frameTimes.length")
    opened.evaluate(f"{HOOK}.draw()")

    assert opened.evaluate(f"{HOOK}.frameTimes.length") == before + 1
    times = opened.evaluate(f"{HOOK}.times()")
    assert times["given"] <= times["drawn"]
    assert times["given"] <= times["complete"]


def test_the_script_asks_for_nothing_but_the_scan() -> None:
    script = viewer_script()

    assert script.count("fetch(") == 1
    assert "http://" not in script.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in script
    assert "innerHTML" not in script
