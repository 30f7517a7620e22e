"""The tabs "Leaderboard" and "About" in a real Chromium, and the 3D figure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from demo.about_tab import about_tab
from demo.leaderboard_tab import leaderboard_tab
from demo.surface_figure import surface_figure
from demo.theme import page_css, page_theme
from hemobench.compare.leaderboard import Board, Entry, Leaderboard, MetricScore, to_json
from hemobench.inference.surface import Surface

from ..local_hub import LocalHub

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><b>bold</b> %{x}"
TABLE = ".leaderboard tbody"
# The last letter of every line but the last, in each entry's name and the line below it.
LINE_ENDS = """() => [...document.querySelectorAll(".leaderboard tbody .entry :is(.main, small)")].flatMap((node) => {
  const text = node.firstChild, range = document.createRange(), ends = [];
  let before = null, last = "";
  for (let at = 0; at < text.length; at += 1) {
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    const box = range.getClientRects()[0];
    if (!box || !box.width) { last = text.data[at]; continue; }
    if (before !== null && box.top > before + 4) ends.push(last);
    [before, last] = [box.top, text.data[at]];
  }
  return ends;
})"""


def entry(name: str, rank: int | None, mean: float, dice: float, tied: tuple[str, ...] = ()) -> Entry:
    scores = {
        "auroc_any": MetricScore(mean, (mean - 0.1, mean + 0.1), 0.02, 120, 0),
        "logloss_rsna": MetricScore(dice, (dice - 0.05, dice + 0.05), 0.01, 120, 0),
    }
    interval = None if rank is None else (1, 2)
    seeds = {"auroc_any": (mean - 0.01, mean + 0.01)}
    return Entry(name, rank, interval, scores, 0.75, tied, 1000 * (rank or 1), 9.0, 1.0, {"model": name}, (0, 1), seeds)


def board(title: str, *entries: Entry, leaky: bool = False) -> Board:
    shown = ("auroc_any", "logloss_rsna")
    return Board("classification", title, "phantom", "abc", True, {}, {}, "auroc_any", shown, 2000, entries, leaky)


def leaderboard(*boards: Board) -> Leaderboard:
    return Leaderboard("mine", "Mine", "Words.", "2026-11-22T10:00:00+00:00", "f" * 40, (0, 1), boards)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    rows = (entry("alpha", 1, 0.8, 0.4, ("beta",)), entry("beta", 2, 0.7, 0.2), entry("zero", None, 0.6, 0.9))
    first = board("First board", *rows)
    second = board("Second board", entry("gamma", 1, 0.9, 0.1), leaky=True)
    path = tmp_path / "shipped.json"
    path.write_text(to_json(leaderboard(first, second)), encoding="utf-8")
    return path


@pytest.fixture
def tabs(serve: Any, shipped: Path) -> str:
    with gr.Blocks(fill_width=True) as blocks:
        with gr.Tab("Leaderboard"):
            leaderboard_tab(shipped)
        with gr.Tab("About"):
            about_tab()
    return str(serve(blocks, theme=page_theme(), css=page_css()))


def names(page: Any) -> list[str]:
    return [text.split("\n")[0] for text in page.locator(f"{TABLE} th.entry .main").all_inner_texts()]


def drop(page: Any, path: Path) -> None:
    page.locator("#board-file input[type=file]").set_input_files(str(path))


def test_a_heading_sorts_and_what_has_no_value_stays_below(page: Any, tabs: str) -> None:
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    assert names(page) == ["alpha", "beta", "zero"]
    heading = page.get_by_role("columnheader", name="logloss_")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert names(page) == ["beta", "alpha", "zero"]
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert names(page) == ["zero", "alpha", "beta"]
    rank = page.get_by_role("columnheader", name="Rank")
    rank.get_by_role("button").click()
    rank.get_by_role("button").click()
    assert names(page) == ["beta", "alpha", "zero"]


def test_marks_ties_and_intervals_are_read(page: Any, tabs: str) -> None:
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    shown = page.locator("#board-view").inner_text()
    for words in ("PHANTOM patients", "not a clinical score", "1 to 2", "tied with beta", "75%", "0.700 to 0.900"):
        assert words in shown
    assert "LEAK" not in shown
    page.get_by_label("Second board").check()
    page.locator(f"{TABLE} th", has_text="gamma").wait_for()
    assert "LEAK" in page.locator("#board-view").inner_text()


def test_figures_are_drawn(page: Any, tabs: str) -> None:
    page.goto(tabs)
    page.locator("#board-ranking .js-plotly-plot .xtick").first.wait_for()
    labels = page.locator("#board-ranking .ytick text").all_text_contents()
    assert set(labels) == {"alpha", "beta", "zero"}
    # Two seeds an entry, as open dots, and a diamond for the mean.
    assert page.locator("#board-ranking .scatterlayer .points path").count() == 9


def test_a_dropped_file_is_shown_and_leaves_again(page: Any, tabs: str, tmp_path: Path) -> None:
    own = tmp_path / "leaderboard.json"
    own.write_text(to_json(leaderboard(board("My board", entry("delta", 1, 0.85, 0.3)))), encoding="utf-8")
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    page.get_by_label("Second board").check()
    page.locator(f"{TABLE} th", has_text="gamma").wait_for()
    drop(page, own)
    page.locator(f"{TABLE} th", has_text="delta").wait_for()
    assert "your file" in page.locator(".leaderboard .facts").inner_text()
    assert page.locator("#board-choice label").count() == 1
    page.locator("#board-file").get_by_role("button", name="Remove").or_(
        page.locator("#board-file").get_by_label("Clear")
    ).first.click()
    page.locator(f"{TABLE} th", has_text="alpha").wait_for()
    assert "as shipped" in page.locator(".leaderboard .facts").inner_text()


def test_the_last_of_choices_made_at_once_is_shown(page: Any, serve: Any, tmp_path: Path) -> None:
    # The first choice takes longer to draw than the second, and is answered last where nobody waits for their turn.
    many = tuple(entry(f"one of many, {number}", number + 1, 0.8 - number / 1000, 0.4) for number in range(200))
    rows = tuple(replace(one, seed_scores={"auroc_any": (0.5,) * 100}) for one in many)
    path, own = tmp_path / "shipped.json", tmp_path / "leaderboard.json"
    path.write_text(to_json(leaderboard(board("Small", entry("alpha", 1, 0.8, 0.4)), board("Large", *rows))))
    own.write_text(to_json(leaderboard(board("My board", entry("delta", 1, 0.85, 0.3)))), encoding="utf-8")
    with gr.Blocks(fill_width=True) as blocks, gr.Tab("Leaderboard"):
        leaderboard_tab(path)
    page.goto(serve(blocks, theme=page_theme(), css=page_css()))
    page.wait_for_selector(TABLE)
    page.get_by_label("Large").check()
    drop(page, own)
    page.locator(f"{TABLE} th", has_text="delta").wait_for()
    page.wait_for_timeout(4000)  # the first choice would have come by now
    assert names(page) == ["delta"]
    assert "your file" in page.locator(".leaderboard .facts").inner_text()
    assert page.locator("#board-choice label").all_inner_texts() == ["My board"]


def test_boards_of_patients_stand_beside_those_of_phantoms(page: Any, serve: Any) -> None:
    with gr.Blocks(fill_width=True) as blocks, gr.Tab("Leaderboard"):
        leaderboard_tab()
    page.goto(serve(blocks, theme=page_theme(), css=page_css()))
    page.wait_for_selector(TABLE)
    assert "PHANTOM patients" in page.locator("#board-view").inner_text()
    for suite, words in (("masks", "Haemorrhage: 2D, 2.5D, 3D"), ("leakage", "LEAK in the rows so marked")):
        page.locator("#board-shelf input").click()
        page.get_by_role("option", name=f"Patients of ct-ich: {suite}").click()
        page.locator("#board-view", has_text=words).wait_for()
        shown = page.locator("#board-view").inner_text()
        assert "PHANTOM" not in shown
        assert "hemobench, as shipped" in shown
        page.locator("#board-ranking .ytick text").first.wait_for()
    page.locator("#board-shelf input").click()
    page.get_by_role("option", name="Phantoms: quick").click()
    page.locator("#board-view", has_text="PHANTOM patients").wait_for()


def test_a_board_on_the_hub_is_opened_by_its_id(
    page: Any, tabs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (replace(entry("epsilon", 1, 0.85, 0.3), config={"measured_by": "alice"}), entry("zeta", 2, 0.8, 0.4))
    shared = leaderboard(replace(board("Shared", *rows), cautions=("MISSING: zeta lacks one.",)), board("Other", *rows))
    with LocalHub() as hub:
        hub.point_client_at(monkeypatch, tmp_path / "hub-cache")
        hub.commit("datasets/alice/heads", {"leaderboard.json": to_json(shared).encode()})
        page.goto(tabs)
        page.wait_for_selector(TABLE)
        page.get_by_label("A board on the Hub").fill("alice/heads")
        page.locator("#board-open").click()
        page.locator(f"{TABLE} th", has_text="epsilon").wait_for()
        shown = page.locator("#board-view").inner_text()
        for words in ("alice/heads on the Hub, commit ", "measured by alice", "MISSING: zeta lacks one."):
            assert words in shown
        asked = len(hub.requests)
        page.get_by_label("Other").check()
        page.locator("#board-view h2", has_text="Other").wait_for()
        assert len(hub.requests) == asked, "another of its boards is shown without asking the Hub again"
        page.get_by_label("A board on the Hub").fill("alice/nothing")
        page.get_by_label("A board on the Hub").press("Enter")
        alert = page.locator("#board-view [role=alert]")
        alert.wait_for()
        assert "No public board alice/nothing could be fetched" in alert.inner_text()
        assert names(page) == ["alpha", "beta", "zero"]


@pytest.mark.parametrize("text", ["{", '{"schema": "other"}', "no json"])
def test_another_file_is_refused_in_words(page: Any, tabs: str, tmp_path: Path, text: str) -> None:
    other = tmp_path / "leaderboard.json"
    other.write_text(text, encoding="utf-8")
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    drop(page, other)
    alert = page.locator("#board-view [role=alert]")
    alert.wait_for()
    assert "Take the leaderboard.json that python -m hemobench.compare wrote." in alert.inner_text()
    assert names(page) == ["alpha", "beta", "zero"]


def test_a_file_of_another_kind_is_refused_in_the_same_words(page: Any, tabs: str, tmp_path: Path) -> None:
    picture = tmp_path / "head.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0 no leaderboard")
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    drop(page, picture)
    alert = page.locator("#board-view [role=alert]")
    alert.wait_for()
    assert "The file is no text. Expected leaderboard.json." in alert.inner_text()
    assert page.locator(".error").count() == 0


@pytest.mark.parametrize("width", [390, 1440])
def test_a_long_name_breaks_behind_its_punctuation_alone(new_page: Any, tabs: str, tmp_path: Path, width: int) -> None:
    long, other = "timm:test_resnet_of_many_layers", "timm:test_resnet, class-weighted"
    path = tmp_path / "leaderboard.json"
    rows = (entry(long, 1, 0.85, 0.3, (other,)), entry(other, 2, 0.8, 0.3, (long,)))
    path.write_text(to_json(leaderboard(board("Long", *rows))), encoding="utf-8")
    page = new_page(viewport={"width": width, "height": 900})
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    drop(page, path)
    page.locator(f"{TABLE} th", has_text="class-weighted").first.wait_for()
    ends = page.evaluate(LINE_ENDS)
    assert ends
    assert all(end in ":_-/ \u200b" for end in ends), ends


def test_a_name_never_becomes_markup(page: Any, tabs: str, tmp_path: Path) -> None:
    hostile = board(HOSTILE, entry(HOSTILE, 1, 0.85, 0.3), entry("tame", 2, 0.8, 0.3, (HOSTILE,)))
    content = json.loads(to_json(replace(leaderboard(hostile), description=HOSTILE, skipped=(HOSTILE,))))
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    page.goto(tabs)
    page.wait_for_selector(TABLE)
    title = page.title()
    drop(page, path)
    page.locator(f"{TABLE} th", has_text="onerror").first.wait_for()
    page.locator("#board-ranking .ytick text").first.wait_for()
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("#board-view b").count() == 0
    assert page.locator("#board-choice b").count() == 0
    assert page.title() == title
    labels = " ".join(page.locator("#board-ranking .ytick text").all_text_contents())
    assert "<b>bold</b>" in labels


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_runs_out_of_the_page(new_page: Any, tabs: str, scheme: str) -> None:
    phone = new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    phone.goto(tabs)
    phone.wait_for_selector(TABLE)
    for tab in ("Leaderboard", "About"):
        phone.get_by_role("tab", name=tab).click()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_about_has_cards_licences_and_a_citation(page: Any, tabs: str) -> None:
    page.goto(tabs)
    page.get_by_role("tab", name="About").click()
    for heading in ("How it works", "Limits", "Privacy", "Models", "Data and licences", "How to cite"):
        page.get_by_role("heading", name=heading, exact=True).first.wait_for()
    page.get_by_role("button", name="bleed").click()
    page.get_by_role("heading", name="Intended use").first.wait_for()
    assert page.locator(".datasets tbody tr", has_text="ct-ich").get_by_text("CC BY 4.0").is_visible()
    assert "@software{hemobench" in page.locator(".about").inner_text()


def test_the_3d_figure_is_drawn_by_webgl(browser: Any, page: Any, serve: Any) -> None:
    corners = np.array([[0, 0, 0], [60, 0, 0], [0, 60, 0], [0, 0, 60]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32)
    with gr.Blocks() as blocks:
        gr.Plot(surface_figure([Surface("epidural", corners, faces, 1)]), show_label=False)
    page.goto(serve(blocks))
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl'))"):
        pytest.skip("this Chromium has no WebGL")
    page.locator(".js-plotly-plot .gl-container canvas").first.wait_for(state="attached")
    page.locator(".js-plotly-plot .legend text", has_text="Epidural").wait_for()
