"""The two files: schema of DESIGN.md, phantom marks, undefined values, nothing half written."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from hemobench.compare.leaderboard import LEAK_MARK, PHANTOM_MARK, Leaderboard, to_csv, to_json, write_leaderboard
from hemobench.compare.ranking import BoardFacts, build_board


@pytest.fixture
def leaderboard(segmentation_run, classification_run) -> Leaderboard:
    def facts(task, rank_by, phantom):
        data = "phantom" if phantom else "ct-ich"
        return BoardFacts(task, f"{task} board", data, "d1", phantom, rank_by, (rank_by,), 50)

    segmentation = build_board(
        facts("segmentation", "dice_any", True),
        {"a": [segmentation_run([0.5, math.nan])], "b": [segmentation_run([math.nan, math.nan])]},
    )
    run = classification_run([0.1, 0.8, 0.3], [0, 1, 0], ["p0", "p0", "p1"])
    classification = build_board(facts("classification", "auroc_any", False), {"c": [run]})
    return Leaderboard("s", "S", "", "2024-01-01T00:00:00Z", "abc", (0,), (segmentation, classification))


def test_json_follows_the_schema(leaderboard):
    content = json.loads(to_json(leaderboard))
    assert {"suite", "created", "commit", "boards", "seeds"} <= set(content)
    board = content["boards"][0]
    assert (board["task"], board["data"], board["rank_by"]) == ("segmentation", "phantom", "dice_any")
    entry = board["entries"][0]
    wanted = ("rank", "rank_interval", "name", "metrics", "p_better_than_next", "tied_with", "parameters")
    assert {*wanted, "train_seconds", "infer_ms_per_case"} <= set(entry)
    assert set(entry["metrics"]["dice_any"]) == {"mean", "ci", "sd_seeds", "n", "undefined"}
    assert entry["metrics"]["dice_any"]["mean"] == 0.5
    assert entry["metrics"]["dice_any"]["undefined"] == 1


def test_undefined_becomes_null_and_the_file_is_strict_json(leaderboard):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(to_json(leaderboard), parse_constant=refuse)
    assert content["boards"][0]["entries"][1]["metrics"]["dice_any"]["mean"] is None


def test_phantom_boards_are_marked_and_real_ones_are_not(leaderboard):
    content = json.loads(to_json(leaderboard))
    assert [board["phantom"] for board in content["boards"]] == [True, False]
    assert content["boards"][0]["notice"] == PHANTOM_MARK
    assert "notice" not in content["boards"][1]
    assert leaderboard.boards[0].marked_title.endswith(f"({PHANTOM_MARK})")
    assert PHANTOM_MARK not in leaderboard.boards[1].marked_title
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard))))
    assert {(row["data"], row["phantom"]) for row in rows} == {("phantom", "true"), ("ct-ich", "false")}


def test_a_board_whose_patients_are_unknown_says_that_it_leaks(leaderboard):
    board = replace(leaderboard.boards[1], leaky=True)
    assert board.marked_title.endswith(f"({LEAK_MARK})")
    content = json.loads(to_json(replace(leaderboard, boards=(board,))))
    assert content["boards"][0]["notice"] == LEAK_MARK


def test_csv_holds_the_boards_numbers(leaderboard):
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard))))
    dice = next(row for row in rows if row["entry"] == "a" and row["metric"] == "dice_any")
    assert (dice["rank"], dice["mean"], dice["n"], dice["undefined"]) == ("1", "0.5", "2", "1")
    undefined = next(row for row in rows if row["entry"] == "b" and row["metric"] == "dice_any")
    assert undefined["mean"] == ""


def test_files_are_replaced_whole(leaderboard, tmp_path):
    (tmp_path / "leaderboard.json").write_text("old", encoding="utf-8")
    write_leaderboard(leaderboard, tmp_path)
    assert json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))["suite"] == "s"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaderboard.csv", "leaderboard.json"]
