"""One suite of each family is trained to its boards, on phantoms small enough for a test."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_suites import small_suite, train

from hemobench.compare.leaderboard import to_json
from hemobench.compare.suites import LEAKING_ROW, shipped_suites

# quick and smoke are run by test_command as a user runs them; paper-1mm is a board of paper on a finer grid.
FAMILIES = sorted(set(shipped_suites()) - {"quick", "smoke", "paper-1mm"})


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_trains_to_its_boards(name, tmp_path):
    suite = small_suite(name)
    result = train(suite, tmp_path)
    assert len(result.leaderboard.boards) == len(suite.boards)
    for spec, board in zip(suite.boards, result.leaderboard.boards, strict=True):
        ranked = [entry for entry in board.entries if entry.rank is not None]
        assert sorted(entry.name for entry in ranked) == sorted(entry.name for entry in spec.entries)
        assert all(spec.rank_by in entry.metrics for entry in ranked)
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(board.entries) for board in suite.boards) * len(suite.seeds)
    assert to_json(result.leaderboard)


def test_the_papers_split_is_named_a_leak_on_its_board(tmp_path):
    written, by_patient = train(small_suite("paper", boards=2), tmp_path).leaderboard.boards
    mark = written.marks[-1]
    assert mark.startswith("LEAK: split by image, ")
    assert mark.endswith("the epoch was chosen on the test images")
    assert written.split["patients_on_both_sides"] > 0
    assert not any("LEAK" in text for text in by_patient.marks)
    assert by_patient.split["by"] == "patient"


def test_leaking_rows_are_named_and_scored_on_the_same_slices(tmp_path):
    result = train(small_suite("leakage"), tmp_path)
    (board,), (runs,) = result.leaderboard.boards, result.runs
    assert sorted(runs) == ["paper_cnn", f"paper_cnn{LEAKING_ROW}"]
    honest, leaking = (group[0] for group in runs.values())
    assert honest.test.study_ids.tolist() == leaking.test.study_ids.tolist()
    assert honest.test.slice_indices.tolist() == leaking.test.slice_indices.tolist()
    assert honest.split_fingerprint != leaking.split_fingerprint
    assert any(mark.startswith("LEAK in the rows so marked") for mark in board.marks)
