"""One suite of each family is trained to its boards, on phantoms small enough for a test."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))

from small_suites import small_suite, train

from hemobench.compare.leaderboard import to_json
from hemobench.compare.suite_files import shipped_suites
from hemobench.compare.suites import LEAKING_ROW

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


def test_phantoms_teach_beside_patients_and_instead_of_them(tmp_path):
    suite = small_suite("masks", entries=5)
    taught = [entry for entry in suite.boards[1].entries if entry.name in ("phantoms alone", "patients' masks")]
    suite = replace(suite, boards=(replace(suite.boards[1], entries=tuple(taught)),))
    first = train(suite, tmp_path)
    board, runs = first.leaderboard.boards[0], first.runs[0]
    assert board.split["stream"]["patients"] == 4
    own, phantoms = runs["patients' masks"][0], runs["phantoms alone"][0]
    assert own.data_fingerprint == board.data_fingerprint != phantoms.data_fingerprint
    assert own.test.patient_ids.tolist() == phantoms.test.patient_ids.tolist()
    # Of patients it learnt nothing: with other patients to learn from its weights are the same.
    weights = {
        name: load_file(tmp_path / "runs" / f"1-segmentation-{name}-seed0" / "best.safetensors")
        for name in ("phantoms-alone", "patients-masks")
    }
    others = replace(suite, boards=(replace(suite.boards[0], split_seed=3, entries=(taught[1],)),))
    train(others, tmp_path / "others")
    again = load_file(tmp_path / "others" / "runs" / "1-segmentation-phantoms-alone-seed0" / "best.safetensors")
    assert all(torch.equal(again[key], value) for key, value in weights["phantoms-alone"].items())
    assert any(not torch.equal(weights["patients-masks"][key], value) for key, value in again.items())
    # What is finished is kept, with its stream.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/run.json")}
    train(suite, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
