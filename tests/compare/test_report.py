"""The report is one file that needs nothing else, escapes what it shows, and shows what the boards say."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from hemobench.compare.data_uris import overlay
from hemobench.compare.evidence import board_evidence, example_rows, slice_confusion, volume_confusion
from hemobench.compare.leaderboard import Leaderboard
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Costs, render_report


@pytest.fixture
def page(segmentation_run, classification_run) -> str:
    seeds = (0, 1)
    segmenters = {
        "unet3d <script>alert(1)</script>": [segmentation_run([0.8, 0.9, 0.7], seed) for seed in seeds],
        "unet2d": [segmentation_run([0.5, 0.6, 0.4], seed) for seed in seeds],
    }
    truth, patients = [0, 1, 0, 1], ["p0", "p0", "p1", "p1"]
    classifiers = {"paper_cnn": [classification_run([0.1, 0.9, 0.3, 0.6], truth, patients, seed) for seed in seeds]}
    boards, evidence = [], []
    for task, rank_by, runs in (("segmentation", "dice_any", segmenters), ("classification", "auroc_any", classifiers)):
        asked = ("hd95_mm_any",) if task == "segmentation" else ()
        facts = BoardFacts(task, f"board of {task}", "phantom", "d1", True, rank_by, (rank_by,), 50, questions=asked)
        boards.append(build_board(facts, runs))
        evidence.append(board_evidence(boards[-1], runs))
    leaderboard = Leaderboard("s", "A & B", "<i>text</i>", "2024", "abc", seeds, tuple(boards))
    costs = Costs((("train unet3d", 12.0),), 20.0, 1.5, "2 cores")
    return render_report(leaderboard, evidence, costs, "python -m hemobench.compare s")


def _own_markup(page: str) -> str:
    """The page without plotly's library, whose strings mention addresses that it never loads here."""
    head, _, rest = page.partition("<script>")
    return head + rest.partition("</script>")[2]


def test_nothing_is_loaded_from_elsewhere(page):
    own = _own_markup(page)
    assert len(own) < len(page) / 5, "plotly's library was not where it was expected"
    loads = re.findall(r"""(?:src|href|action|poster|data)\s*=\s*["']([^"']*)""", own)
    assert loads, "the example pictures should be there"
    assert all(load.startswith("data:image/png;base64,") for load in loads)
    assert not re.search(r"<link|@import|<iframe|url\(", own)
    assert "https://" not in own
    assert "http://" not in own


def test_questions_are_answered_at_the_top_and_on_their_board_with_a_table_of_differences(page):
    own = _own_markup(page)
    assert own.count("in 95% Hausdorff distance, mm ") == 2
    assert own.count("all 1 paired differences of 95% Hausdorff distance, mm</summary>") == 1
    assert own.count("all 1 paired differences of Dice</summary>") == 1
    assert "limits hold for all pairs and all metrics asked about together" in own


def test_plotly_is_there_once_and_draws_every_figure(page):
    assert page.count("plotly.js v") == 1
    # A forest and curves a board, differences of the two entries of one, volumes; AUROC by type, ROC and reliability of
    # the other; a confusion matrix an entry.
    assert len(re.findall(r"Plotly\.newPlot\(", _own_markup(page))) == 2 + 2 + 1 + 1 + 3 + 3


def test_text_is_escaped(page):
    own = _own_markup(page)
    assert "<script>alert" not in own
    assert "unet3d &lt;script&gt;" in own
    assert "<h1>A &amp; B</h1>" in own
    assert "&lt;i&gt;text&lt;/i&gt;" in own


def test_page_says_what_it_is(page):
    own = _own_markup(page)
    for text in ("Phantom patients.", "not a clinical score", "python -m hemobench.compare s", "train unet3d"):
        assert text in own
    assert "learning_rate: 0.0002" in own  # resolved configurations
    assert "prefers-color-scheme: dark" in own


def test_slice_confusion_by_hand(classification_run):
    # none called none, SDH called SDH, SDH called none, none called SDH (threshold 0.5, inclusive).
    run = classification_run([0.1, 0.5, 0.4, 0.9], [0, 1, 1, 0], ["p"] * 4)
    matrix = slice_confusion(run.test)
    assert matrix[0, 0] == matrix[5, 5] == matrix[5, 0] == matrix[0, 5] == 1
    assert matrix.sum() == 4


def test_several_types_are_multiple(classification_run):
    test = classification_run([0.9], [1], ["p"]).test
    targets = test.targets.copy()
    targets[0, 0] = 1
    matrix = slice_confusion(replace(test, targets=targets))
    assert matrix[6, 5] == 1  # truth: epidural and subdural; called: subdural


def test_exclusive_classes_are_called_by_the_likeliest(classification_run):
    run = classification_run([0.1, 0.2], [0, 0], ["p", "q"])
    given = np.asarray([[0.1, 0.1, 0.1, 0.1, 0.2, 0.4], [0.3, 0.2, 0.2, 0.1, 0.1, 0.1]], dtype=np.float32)
    targets = np.eye(6, dtype=np.uint8)[[5, 1]]  # multiple, intraparenchymal
    test = replace(run.test, probabilities=given, targets=targets, exclusive=True)
    matrix = slice_confusion(test)
    assert matrix.shape == (6, 6)
    assert matrix[5, 5] == matrix[1, 0] == 1
    assert matrix.sum() == 2
    pictures = replace(run.pictures, truth=targets, prediction=np.rint(given * 255).astype(np.uint8))
    truth, called = example_rows({"cnn": [replace(run, test=test, pictures=pictures)]})
    assert [cell.caption.split(" (")[0] for cell in truth.cells] == ["multiple", "intraparenchymal"]
    assert [cell.caption for cell in called.cells] == ["multiple 40%", "epidural 30%"]


def test_volume_confusion_by_hand(segmentation_run):
    # Two cases of 100 mL, masks of 10 mL: Dice 0.8 and 0.6 overlap by 8 and 6 mL.
    matrix = volume_confusion(segmentation_run([0.8, 0.6]).test)
    assert matrix == pytest.approx(np.array([[174.0, 6.0], [6.0, 14.0]]))


def test_example_rows_put_truth_above_predictions(segmentation_run):
    rows = example_rows({"a": [segmentation_run([0.5])], "b": [segmentation_run([0.5])]})
    assert [row.name for row in rows] == ["truth", "a", "b"]
    assert all(len(row.cells) == 2 for row in rows)
    data = base64.b64decode(rows[1].cells[0].picture.partition(",")[2])
    assert data.startswith(b"\x89PNG")
    # The masks are discs of one size shifted by 8 of 40 columns; the Dice under the picture is that of the slice.
    assert rows[1].cells[0].caption == rows[2].cells[0].caption
    assert re.fullmatch(r"Dice of this slice 0\.7\d", rows[1].cells[0].caption)


def test_overlay_marks_the_mask_and_leaves_the_rest():
    grey = np.full((48, 48), 100, dtype=np.uint8)
    mask = np.zeros((48, 48), dtype=bool)
    mask[8:40, 8:40] = True
    picture = overlay(grey, mask, (0, 255, 0))
    assert picture.shape == (192, 192, 3)
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert picture[32, 32].tolist() == [0, 255, 0]  # the outline
    assert picture[96, 96].tolist() == [65, 154, 65]  # 0.65 of the grey, 0.35 of the colour
