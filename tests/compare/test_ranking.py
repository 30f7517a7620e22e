"""Boards from hand-made runs: means, order, ties and intervals that can be checked on paper."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hemobench.compare.ranking import BoardFacts, Existing, build_board
from hemobench.errors import UserError

SEGMENTATION = BoardFacts(
    task="segmentation",
    title="t",
    data="phantom",
    data_fingerprint="d1",
    phantom=True,
    rank_by="dice_any",
    shown=("dice_any", "hd95_mm_any"),
    resamples=400,
)
CLASSIFICATION = replace(SEGMENTATION, task="classification", rank_by="auroc_any", shown=("auroc_any", "logloss_rsna"))


def test_mean_spread_and_order_by_hand(segmentation_run):
    runs = {
        "low": [segmentation_run([0.2, 0.4, 0.3, 0.3], seed=0), segmentation_run([0.4, 0.6, 0.5, 0.5], seed=1)],
        "high": [segmentation_run([0.8, 0.9, 0.7, 0.8], seed=0), segmentation_run([0.9, 0.9, 0.9, 0.9], seed=1)],
    }
    board = build_board(SEGMENTATION, runs)
    high, low = board.entries
    assert (high.name, high.rank, low.name, low.rank) == ("high", 1, "low", 2)
    # Seeds of `low` score 0.3 and 0.5: mean 0.4, sample standard deviation 0.2 / sqrt(2).
    score = low.metrics["dice_any"]
    assert score.mean == pytest.approx(0.4)
    assert score.sd_seeds == pytest.approx(0.2 / math.sqrt(2))
    assert (score.n, score.undefined) == (4, 0)
    assert low.seed_scores["dice_any"] == pytest.approx((0.3, 0.5))
    # No draw of patients can make low better, as its best patient (0.5) is below high's worst (0.8). But two seeds that
    # lie 0.2 apart leave open what others would do.
    assert 0.9 < high.p_better_than_next < 1.0
    assert low.p_better_than_next is None
    assert high.tied_with == ("low",)
    assert (high.settled_from_next, low.tied_with_best) == (False, True)
    assert high.rank_interval == (1, 2)
    assert score.ci[0] < 0.3 < 0.4 < 0.5 < score.ci[1]
    assert low.train_seconds == pytest.approx(11.0)
    assert low.seeds == (0, 1)


def test_patients_settle_the_order_where_seeds_agree(segmentation_run):
    low, high = [0.3, 0.5, 0.4, 0.4] * 3, [0.8, 0.9, 0.7, 0.8] * 3
    runs = {
        "low": [segmentation_run(low, seed=0), segmentation_run(np.add(low, 0.01), seed=1)],
        "high": [segmentation_run(high, seed=0), segmentation_run(np.add(high, 0.01), seed=1)],
    }
    first, second = build_board(SEGMENTATION, runs).entries
    assert (first.name, first.p_better_than_next, first.tied_with, first.rank_interval) == ("high", 1.0, (), (1, 1))
    assert first.settled_from_next
    assert not second.tied_with_best
    assert second.to_best.difference == pytest.approx(-0.4)
    assert -0.5 < second.to_best.low < -0.4 < second.to_best.high < -0.3
    # One draw in 401 is the smallest p that 400 draws can give; twice that, being two-sided.
    assert second.to_best.p == pytest.approx(2 / 401)
    assert second.to_others == {"high": second.to_best}
    assert first.to_others["low"].difference == pytest.approx(0.4)
    assert (first.to_others["low"].low, first.to_others["low"].high) == (-second.to_best.high, -second.to_best.low)


def test_lower_is_better_reverses_the_order(segmentation_run):
    facts = replace(SEGMENTATION, rank_by="hd95_mm_any")
    board = build_board(facts, {"far": [segmentation_run([0.1, 0.2])], "near": [segmentation_run([0.9, 0.8])]})
    assert [entry.name for entry in board.entries] == ["near", "far"]


def test_equal_entries_are_tied_and_share_a_rank(segmentation_run):
    dice = [0.5, 0.6, 0.7, 0.8]
    board = build_board(SEGMENTATION, {"a": [segmentation_run(dice)], "b": [segmentation_run(dice)]})
    assert [entry.rank for entry in board.entries] == [1, 1]
    assert board.entries[0].tied_with == ("b",)
    assert board.entries[1].tied_with == ("a",)
    assert board.entries[0].p_better_than_next == 0.5


def test_undefined_cases_are_left_out_and_counted(segmentation_run):
    board = build_board(SEGMENTATION, {"a": [segmentation_run([0.4, math.nan, 0.8])]})
    score = board.entries[0].metrics["dice_any"]
    assert score.mean == pytest.approx(0.6)
    assert (score.n, score.undefined) == (3, 1)


def test_auroc_over_slices_and_types_without_positives(classification_run):
    truth, patients = [0, 1, 0, 1], ["p0", "p0", "p1", "p1"]
    # One of the four pairs (negative, positive) is in the wrong order: 3 / 4.
    run = classification_run([0.1, 0.4, 0.6, 0.9], truth, patients)
    entry = build_board(CLASSIFICATION, {"a": [run]}).entries[0]
    assert entry.metrics["auroc_any"].mean == pytest.approx(0.75)
    assert entry.metrics["auroc_subdural"].mean == pytest.approx(0.75)
    assert math.isnan(entry.metrics["auroc_epidural"].mean)
    assert math.isnan(entry.metrics["auroc_any"].sd_seeds)
    assert "seed" not in entry.config
    assert entry.config["model"] == "paper_cnn"


def test_a_reference_stands_below_without_a_rank(classification_run):
    truth, patients = [0, 1, 0, 1], ["p0", "p0", "p1", "p1"]
    runs = {"a": [classification_run([0.4, 0.5, 0.6, 0.7], truth, patients)]}
    perfect = classification_run([0.0, 1.0, 0.0, 1.0], truth, patients).test
    board = build_board(CLASSIFICATION, runs, {"oracle": perfect})
    assert [(entry.name, entry.rank) for entry in board.entries] == [("a", 1), ("oracle", None)]
    assert board.entries[1].metrics["auroc_any"].mean == 1.0
    assert board.entries[0].tied_with == ()


def test_entries_scored_on_other_patients_are_refused(classification_run):
    truth = [0, 1, 0, 1]
    runs = {
        "a": [classification_run([0.1, 0.2, 0.3, 0.4], truth, ["p0", "p0", "p1", "p1"])],
        "b": [classification_run([0.1, 0.2, 0.3, 0.4], truth, ["p0", "p0", "p2", "p2"])],
    }
    with pytest.raises(UserError, match="'b' was scored on other test cases than 'a'"):
        build_board(CLASSIFICATION, runs)


def test_a_board_is_a_pure_function_of_its_runs(segmentation_run):
    rng = np.random.default_rng(0)
    runs = {name: [segmentation_run(rng.uniform(0.3, 0.9, 6), seed) for seed in (0, 1)] for name in "abc"}
    assert build_board(SEGMENTATION, runs) == build_board(SEGMENTATION, runs)


def test_what_nobody_trained_has_one_answer_beside_every_seed(segmentation_run):
    dice = [0.3, 0.5, 0.4, 0.4] * 3
    trained = [segmentation_run(np.add(dice, step), seed=seed) for seed, step in enumerate((0.0, 0.3))]
    exists = Existing({"kind": "predictions"}, lambda metric: metric == "dice_any")
    board = build_board(
        SEGMENTATION, {"trained": trained, "exists": [segmentation_run(dice)]}, existing={"exists": exists}
    )
    first, row = board.entries
    assert (first.name, row.name) == ("trained", "exists")
    assert set(row.metrics) == set(row.seed_scores) == {"dice_any"}  # what it does not answer it does not have
    assert (row.seeds, row.parameters, row.config, row.variance_shares) == ((), None, {"kind": "predictions"}, {})
    score = row.metrics["dice_any"]
    assert score.mean == pytest.approx(0.4)
    assert math.isnan(score.sd_seeds)
    # Its interval is that of the patients, as if it stood alone; two seeds that lie 0.3 apart widen the other's.
    alone = build_board(SEGMENTATION, {"exists": [segmentation_run(dice)]}).entries[0]
    assert score.ci == pytest.approx(alone.metrics["dice_any"].ci)
    low, high = first.metrics["dice_any"].ci
    assert high - low > 0.3 > score.ci[1] - score.ci[0]
    # Their difference has the trained entry's seeds in it: 0.15 with seeds so far apart is not settled.
    assert row.to_best.difference == pytest.approx(-0.15)
    assert row.to_best.low < 0 < row.to_best.high
    same = [replace(run, test=trained[0].test) for run in trained]
    settled = build_board(
        SEGMENTATION,
        {"trained": same, "exists": [segmentation_run(np.subtract(dice, 0.15))]},
        existing={"exists": exists},
    )
    assert settled.entries[0].settled_from_next
    assert any(line.startswith("Two seeds") for line in board.cautions)
    assert not any("exists" in line for line in board.cautions)
