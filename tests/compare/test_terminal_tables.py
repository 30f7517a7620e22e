"""Printed boards: nothing is cut off, at any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.terminal_tables import print_board, timing_table

SENTENCES = ("t (", "segmentation on", "tied: ", "answer: ", "note: ", "volume of ", "to the best: ")
SHOWN = ("dice_any", "hd95_mm_any", "voxel_accuracy", "voxel_accuracy_background")


def _printed(board, width: int) -> str:
    stream = io.StringIO()
    print_board(Console(file=stream, width=width), board)
    return stream.getvalue()


@pytest.fixture
def board(segmentation_run):
    facts = BoardFacts("segmentation", "t", "phantom", "d", True, "dice_any", SHOWN, 50)
    runs = {name: [segmentation_run([0.51, 0.63, 0.77], seed) for seed in (0, 1)] for name in ("first one", "second")}
    return build_board(facts, runs)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_metric_and_entry_is_there_in_full(board, width):
    text = _printed(board, width)
    tables = [line for line in text.splitlines() if not line.startswith(SENTENCES)]
    assert max(map(len, tables)) <= width
    assert "…" not in text
    # voxel_accuracy_background is the one heading long enough for two lines.
    for part in ("dice_any ↑", "hd95_mm_any ↓", "voxel_accuracy ↑", "_background", "first one", "second"):
        assert part in text
    assert text.count("0.637 ± 0.000") == 2  # mean of 0.51, 0.63 and 0.77, twice
    assert text.count("tied: first one with second") == 1
    assert text.count("tied:") == 1, "a tie of two entries is said once"


def test_what_else_was_asked_is_printed_below_the_answer(board, segmentation_run):
    assert "also asked" not in _printed(board, 120)
    facts = BoardFacts("segmentation", "t", "phantom", "d", True, "dice_any", SHOWN, 50, questions=("hd95_mm_any",))
    asked = build_board(facts, {name: [segmentation_run([0.51, 0.63, 0.77])] for name in ("a", "b")})
    lines = _printed(asked, 120).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("answer: "))
    assert lines[place + 1] == "also asked: No difference in hd95_mm_any is settled on these 3 patients."


def test_wide_consoles_get_one_table(board):
    assert _printed(board, 200).count("rank ") == 1
    assert _printed(board, 60).count("rank ") > 1


def test_timing_table_shows_shares_of_the_whole():
    stream = io.StringIO()
    Console(file=stream, width=80).print(timing_table([("train", 30.0), ("report", 10.0)], 40.0))
    rows = [line.split() for line in stream.getvalue().splitlines()]
    assert ["train", "30.0", "75%"] in rows
    assert ["total", "40.0"] in rows
