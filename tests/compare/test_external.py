"""External boards: the drop by hand, the same people refused, and scores that are scored once."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_suites import small_suite, train

from hemobench.compare.external import with_drop
from hemobench.compare.leaderboard import Board, Entry, MetricScore
from hemobench.compare.suites import Suite
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.errors import UserError
from hemobench.training.experiment import score_run
from hemobench.training.result import RunResult

OTHERS = "phantom:,patients=3,slices=8,matrix=64,seed=11"
SAME = "phantom:,patients=8,slices=4,matrix=64,seed=7"


def board(mean: float, low: float, high: float, seeds: tuple[float, ...], metric: str = "dice_any") -> Board:
    entry = Entry(
        "a",
        1,
        (1, 1),
        {metric: MetricScore(mean, (low, high), 0.0, 9, 0)},
        None,
        (),
        1,
        1.0,
        1.0,
        seed_scores={metric: seeds},
    )
    return Board("segmentation", "t", "d", "f", False, {}, {}, metric, (metric, "nsd_2mm_any"), 10, (entry,))


def test_the_drop_by_hand() -> None:
    found = with_drop(board(0.5, 0.42, 0.56, (0.4, 0.6)), board(0.8, 0.77, 0.84, (0.8, 0.8)))
    assert found.shown == ("dice_any", "drop_dice_any", "nsd_2mm_any")
    drop = found.entries[0].metrics["drop_dice_any"]
    assert drop.mean == pytest.approx(0.3)
    # Distances of the ends: at home 0.03 below and 0.04 above, outside 0.08 below and 0.06 above.
    assert drop.ci == pytest.approx((0.3 - math.hypot(0.03, 0.06), 0.3 + math.hypot(0.04, 0.08)))
    assert drop.sd_seeds == pytest.approx(np.std([0.4, 0.2], ddof=1))


def test_a_rise_of_a_distance_is_a_drop_too() -> None:
    home, outside = (board(mean, mean - 1, mean + 2, (mean,), "hd95_mm_any") for mean in (10.0, 14.0))
    drop = with_drop(outside, home).entries[0].metrics["drop_hd95_mm_any"]
    assert drop.mean == pytest.approx(4.0)
    assert drop.ci == pytest.approx((4 - math.hypot(2, 1), 4 + math.hypot(1, 2)))
    assert math.isnan(drop.sd_seeds)


def slices() -> Suite:
    return small_suite("leakage", entries=1)


def test_networks_are_scored_elsewhere_once_and_the_drop_is_a_column(tmp_path: Path) -> None:
    result = train(slices(), tmp_path, tests=(OTHERS,))
    internal, external = result.leaderboard.boards
    assert external.title.endswith("Trained on phantom, tested on phantom")
    assert external.shown[:2] == ("auroc_any", "drop_auroc_any")
    home, there = (next(entry for entry in one.entries if entry.rank == 1) for one in (internal, external))
    drop = home.metrics["auroc_any"].mean - there.metrics["auroc_any"].mean
    assert there.metrics["drop_auroc_any"].mean == pytest.approx(drop)
    assert there.metrics["auroc_any"].n == 3 * 8
    assert external.entries[-1].name == "slice position (no image)"
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("external/*/*/run.json")}
    assert len(written) == 1
    train(slices(), tmp_path, tests=(OTHERS,))
    assert {path: path.stat().st_mtime_ns for path in written} == written
    _answers_are_those_of_training(result.runs[0])


def _answers_are_those_of_training(runs: dict[str, list[RunResult]]) -> None:
    """The restored network says of its own test slices, bit by bit, what it said when it was trained."""
    ((run,),) = runs.values()
    data = slices().boards[0]
    everything = build_examples(open_dataset(data.dataset, **dict(data.options)), data.view)
    again = score_run(replace(run), everything).test
    place = {key: row for row, key in enumerate(zip(again.study_ids, again.slice_indices, strict=True))}
    rows = [place[key] for key in zip(run.test.study_ids, run.test.slice_indices, strict=True)]
    assert np.allclose(again.probabilities[rows], run.test.probabilities, atol=1e-3)


def test_the_same_people_and_data_of_another_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the same patients on both sides: phantom-7-00000 of phantom"):
        train(slices(), tmp_path / "a", tests=(SAME,))
    with pytest.raises(UserError, match="--test phantom-t1: data set 'phantom-t1' is for segmentation"):
        train(slices(), tmp_path / "b", tests=("phantom-t1",))
    assert not (tmp_path / "a").exists()
