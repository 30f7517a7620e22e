"""A comparison's report in Chromium: every figure drawn in light and in dark, nothing cut off, pages that print."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from hemobench.compare.evidence import board_evidence
from hemobench.compare.leaderboard import Leaderboard
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Costs, write_report

from ..compare.conftest import classification_run, segmentation_run  # noqa: F401  (fixtures)

DARK_INK, LIGHT_INK = "rgb(155, 167, 180)", "rgb(90, 101, 114)"
DARK_PAGE = b".0706 .0863 .1059"  # 18, 22, 27 of 255, as a PDF writes them


@pytest.fixture
def report(segmentation_run: Any, classification_run: Any, tmp_path: Path) -> Path:  # noqa: F811
    truth, patients = [0, 1, 0, 1] * 5, [f"p{number // 4}" for number in range(20)]
    given = [0.1, 0.9, 0.3, 0.6] * 5
    boards, evidence = [], []
    for task, rank_by, runs in (
        (
            "segmentation",
            "dice_any",
            {
                name: [segmentation_run([dice, dice + 0.1, dice - 0.1], seed) for seed in (0, 1)]
                for name, dice in (("unet3d with a name as long as they come, [0.2, 0.8]", 0.8), ("unet2d", 0.5))
            },
        ),
        (
            "classification",
            "auroc_any",
            {"paper_cnn": [classification_run(given, truth, patients, seed) for seed in (0, 1)]},
        ),
    ):
        facts = BoardFacts(task, f"board of {task}", "phantom", "d1", True, rank_by, (rank_by,), 50)
        boards.append(build_board(facts, runs))
        evidence.append(board_evidence(boards[-1], runs))
    leaderboard = Leaderboard("s", "A report", "Text.", "2026", "abc", (0, 1), tuple(boards))
    path = tmp_path / "report.html"
    costs = Costs((("train", 12.0),), 20.0, 1.5, "2 cores")
    write_report(path, leaderboard, evidence, costs, "python -m hemobench.compare s")
    return path


@pytest.mark.parametrize(("scheme", "ink"), [("light", LIGHT_INK), ("dark", DARK_INK)])
def test_every_figure_is_drawn_in_the_readers_colours(report: Path, browser: Any, scheme: str, ink: str) -> None:
    page, complaints = _open(browser, report, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    assert page.locator(".js-plotly-plot .main-svg").count() > 0
    drawn = page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.querySelectorAll('.main-svg').length)"
    )
    assert len(drawn) == 12
    assert all(drawn)
    page.wait_for_function(f"getComputedStyle(document.querySelector('.xtick text')).fill === '{ink}'")
    assert complaints == []


def test_nothing_is_wider_than_a_telephone(report: Path, browser: Any) -> None:
    page, _ = _open(browser, report, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_prints_on_pages_that_the_layout_fits(report: Path, browser: Any) -> None:
    page, _ = _open(browser, report, color_scheme="dark", viewport={"width": 1440, "height": 900})
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert 3 <= len(boxes) < 10
    # 340 by 481 mm in points.
    assert all((float(width), float(height)) == pytest.approx((963.8, 1363.5), abs=1) for width, height in boxes)
    # Light colours, whatever the reader's scheme: the dark page is printed only where the screen's look is asked for.
    assert DARK_PAGE not in b"".join(_inflated(printed))
    page.emulate_media(media="screen", color_scheme="dark")
    assert DARK_PAGE in b"".join(_inflated(page.pdf(print_background=True)))


MANY = (
    "auroc_any",
    "auroc_macro",
    "auroc_epidural",
    "auroc_subdural",
    "ap_any",
    "logloss_rsna",
    "brier_any",
    "ece_any",
    "accuracy",
    "sens_at_spec90_any",
    "spec_at_sens90_any",
)


@pytest.fixture
def broad(segmentation_run: Any, classification_run: Any, tmp_path: Path) -> Path:  # noqa: F811
    """A report of boards with more entries and metrics than fit beside each other."""
    truth, patients = [0, 1, 0, 1] * 8, [f"patient-{'x' * 30}-{number // 4}" for number in range(32)]
    names = [f"network_{number} with a name as long as they come" for number in range(5)]
    classifiers = {
        name: [classification_run([0.1, 0.9 - 0.1 * number, 0.3, 0.6] * 8, truth, patients, seed) for seed in (0, 1)]
        for number, name in enumerate(names)
    }
    segmenters = {
        name: [segmentation_run([0.8 - 0.1 * number, 0.7, 0.6], seed) for seed in (0, 1)]
        for number, name in enumerate(names)
    }
    boards, evidence = [], []
    for task, rank_by, shown, runs in (
        ("classification", "auroc_any", MANY, classifiers),
        ("segmentation", "dice_any", ("dice_any", "hd95_mm_any", "voxel_accuracy"), segmenters),
    ):
        facts = BoardFacts(task, f"board of {task}", "phantom", "d1" * 32, True, rank_by, shown, 50)
        boards.append(build_board(facts, runs))
        evidence.append(board_evidence(boards[-1], runs))
    leaderboard = Leaderboard("s", "A report", "Text.", "2026", "a" * 40, (0, 1), tuple(boards))
    path = tmp_path / "broad.html"
    write_report(path, leaderboard, evidence, Costs((("train", 12.0),), 20.0, 1.5, "2 cores"), "compare s")
    return path


def _shown(page: Any) -> list[str]:
    found: list[str] = (
        page.locator("table.board")
        .first.locator("th")
        .evaluate_all("(all) => all.filter((one) => !one.hidden).map((one) => one.innerText.trim())")
    )
    return found


@pytest.mark.parametrize("width", [1200, 390])
def test_tables_fit_and_their_columns_are_the_readers_choice(broad: Path, browser: Any, width: int) -> None:
    page, complaints = _open(browser, broad, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tables = "[...document.querySelectorAll('table.fits')].map((one) => one.closest('.scroll'))"
    assert page.evaluate(f"{tables}.every((box) => box.scrollWidth <= box.clientWidth)")
    first = _shown(page)
    assert first[:3] == ["rank", "entry", "AUROC ↑"]
    assert width < 1000 or "to the best" in first
    assert "sensitivity at 90% specificity ↑" not in first
    told = page.locator(".picks summary").first
    every = page.locator("table.board").first.locator("th").count()
    assert told.inner_text() == f"Columns: {len(first)} of {every} shown"

    told.click()
    page.locator(".picks").first.get_by_label("sensitivity at 90% specificity").check()
    assert "sensitivity at 90% specificity ↑" in _shown(page)
    page.locator(".picks").first.get_by_label("sensitivity at 90% specificity").uncheck()
    assert _shown(page) == first
    assert "sensitivity at 90% specificity is sens_at_spec90_any" in page.inner_text("main")
    assert complaints == []


def test_volumes_are_read_against_no_difference_with_ticks_on_every_panel(broad: Path, browser: Any) -> None:
    page, _ = _open(browser, broad, viewport={"width": 1200, "height": 800})
    panels = page.evaluate("""() => {
        const plot = [...document.querySelectorAll(".js-plotly-plot")].find((one) => one.id.startsWith("volumes"));
        const zero = plot.layout.shapes.filter((one) => one.y0 === 0 && one.y1 === 0 && one.line.dash === "dot");
        const drawn = (axis) => ["", 2, 3, 4, 5].map((panel) =>
          plot.querySelectorAll(`.${axis}${panel}tick text`).length);
        return { zero: zero.length, x: drawn("x"), y: drawn("y") };
    }""")
    assert panels["zero"] == 5
    assert min(panels["x"]) >= 2
    assert min(panels["y"]) >= 2


def test_a_broad_report_prints_on_few_pages_with_every_column(broad: Path, browser: Any) -> None:
    page, _ = _open(browser, broad, viewport={"width": 1440, "height": 900})
    assert len(re.findall(rb"/MediaBox", page.pdf(prefer_css_page_size=True, print_background=True))) < 10
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert "sensitivity at 90% specificity ↑" in _shown(page)
    assert not page.locator(".settings").first.is_visible()


def _inflated(printed: bytes) -> list[bytes]:
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", printed, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue  # a picture or a font
    return found


def _open(browser: Any, report: Path, **options: Any) -> tuple[Any, list[str]]:
    page = browser.new_context(**options).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_timeout(500)
    return page, complaints
