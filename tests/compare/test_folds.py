"""Cross-validated boards: everybody is tested once, by a network that did not know them, and all of it is pooled."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parent))

from small_suites import CT, small_suite, train

from hemobench.compare.external import with_drop
from hemobench.compare.folds import by_seed, spread_of, variance_shares
from hemobench.compare.leaderboard import Board, Entry, MetricScore, to_json
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Costs, render_report
from hemobench.compare.runner import SuiteResult, Workforce
from hemobench.compare.session import board_evidence
from hemobench.compare.suites import Suite
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.splits import Split, kfold_by_patient
from hemobench.errors import UserError
from hemobench.evaluation.pooled_folds import joined
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

FACTS = BoardFacts("classification", "t", "phantom", "d", True, "auroc_any", ("auroc_any",), 50)
DICE = BoardFacts("segmentation", "t", "phantom", "d", True, "dice_any", ("dice_any",), 50)
OTHERS = "phantom:,patients=3,slices=8,matrix=64,seed=11"


def renamed(run: RunResult, letter: str) -> RunResult:
    """The run with other patients: ids of another first letter."""
    ids = np.array([letter + name[1:] for name in run.test.patient_ids])
    test = replace(run.test, patient_ids=ids, study_ids=ids)
    return replace(run, test=test, validation=test)


def test_rows_of_folds_follow_each_other(classification_run, segmentation_run) -> None:
    first = classification_run([0.1, 0.9], [0, 1], ["p0", "p1"])
    second = renamed(classification_run([0.3], [1], ["p0"]), "q")
    pooled = joined([first.test, second.test])
    assert isinstance(pooled, SlicePredictions)
    assert pooled.patient_ids.tolist() == ["p0", "p1", "q0"] == pooled.study_ids.tolist()
    assert pooled.probabilities[:, 5].tolist() == pytest.approx([0.1, 0.9, 0.3])
    assert pooled.targets[:, 5].tolist() == [0, 1, 1]
    assert pooled.slice_indices.tolist() == [0, 1, 0]
    volumes = joined([segmentation_run([0.5, 0.7]).test, renamed(segmentation_run([0.2, math.nan]), "q").test])
    assert isinstance(volumes, CaseScores)
    assert volumes.values["dice_any"].tolist() == pytest.approx([0.5, 0.7, 0.2, math.nan], nan_ok=True)
    assert volumes.study_ids.tolist() == ["p0", "p1", "q0", "q1"]


def test_a_patient_in_two_folds_and_missing_folds_are_refused(classification_run) -> None:
    run = classification_run([0.1, 0.9], [0, 1], ["p0", "p1"])
    with pytest.raises(UserError, match="a patient was tested in two folds"):
        joined([run.test, run.test])
    with pytest.raises(UserError, match=r"runs of seeds \[0, 0, 0\]; expected 2 of each in a row"):
        by_seed([run, run, run], 2)
    with pytest.raises(UserError, match=r"runs of seeds \[0, 1\]; expected 2 of each in a row"):
        by_seed([run, replace(run, config=replace(run.config, seed=1))], 2)


def test_a_metric_is_of_the_pooled_answers_by_hand(classification_run) -> None:
    """Both folds order their slices rightly, but the second gives everything a higher probability than the first."""
    first = classification_run([0.1, 0.3], [0, 1], ["p0", "p1"])
    second = renamed(classification_run([0.5, 0.7], [0, 1], ["p0", "p1"]), "q")
    board = build_board(FACTS, {"a": [first, second]}, folds=2)
    score = board.entries[0].metrics["auroc_any"]
    # Of the four pairs one is in the wrong order: 0.3 (bleeds) below 0.5 (does not). The mean over folds would be 1.
    assert score.mean == pytest.approx(0.75)
    assert (score.n, board.patients, board.entries[0].seeds) == (4, 4, (0,))
    # Two networks of 10 s each are one seed of 20 s.
    assert board.entries[0].train_seconds == pytest.approx(20)
    assert board.entries[0].infer_ms_per_case == pytest.approx(5)
    assert "Cross-validated: each entry and seed trained 2 networks" in board.method
    assert "Cross-validated" not in build_board(FACTS, {"a": [first]}).method


def test_seeds_stay_seeds(segmentation_run) -> None:
    """Two seeds of two folds: scores of a seed are the mean over all four cases of its two networks."""
    runs = [
        segmentation_run([0.2, 0.4], seed=0),
        renamed(segmentation_run([0.6, 0.8], seed=0), "q"),
        segmentation_run([0.4, 0.6], seed=1),
        renamed(segmentation_run([0.8, 1.0], seed=1), "q"),
    ]
    (entry,) = build_board(DICE, {"a": runs}, folds=2).entries
    assert entry.seed_scores["dice_any"] == pytest.approx((0.5, 0.7))
    assert entry.metrics["dice_any"].sd_seeds == pytest.approx(0.2 / math.sqrt(2))
    assert entry.metrics["dice_any"].n == 4
    assert entry.volume_agreement is not None
    assert entry.volume_agreement.n == 4


def test_calibration_is_fitted_fold_by_fold(classification_run) -> None:
    def answers(seed: int, slope: float, letter: str) -> SlicePredictions:
        rng = np.random.default_rng(seed)
        logits = rng.normal(-0.5, 1.0, 1500)
        targets = np.repeat((rng.random(1500) < expit(logits))[:, None], 6, axis=1).astype(np.uint8)
        ids = np.array([f"{letter}{number // 4}" for number in range(1500)])
        given = np.repeat(expit(slope * logits)[:, None], 6, axis=1).astype(np.float32)
        return SlicePredictions(given, targets, ids, ids, np.arange(1500) % 4)

    run = classification_run([0.1, 0.9], [0, 1], ["p0", "p1"])
    # One network is three times too sure, the other half as sure as it may be.
    folds = [
        replace(run, validation=answers(1, 3.0, "v"), test=answers(2, 3.0, "p")),
        replace(run, validation=answers(3, 0.5, "w"), test=answers(4, 0.5, "q")),
    ]
    (entry,) = build_board(FACTS, {"a": folds}, folds=2).entries
    assert [pair[0] for pair in entry.calibration] == pytest.approx([1 / 3, 2], rel=0.2)
    assert entry.metrics["ece_any_calibrated"].mean < 0.3 * entry.metrics["ece_any"].mean
    # Test patients of one fold change neither fit; nor does a fold that cannot be fitted pass in silence.
    other = [replace(folds[0], test=answers(5, 1.0, "p")), folds[1]]
    assert build_board(FACTS, {"a": other}, folds=2).entries[0].calibration == entry.calibration
    few = [folds[0], replace(folds[1], validation=run.validation)]
    assert math.isnan(build_board(FACTS, {"a": few}, folds=2).entries[0].metrics["ece_any_calibrated"].mean)


def four_runs(make, first: list[list[float]], second: list[list[float]]) -> list[list[RunResult]]:
    """Two seeds of two folds from Dice (seeds, patients) of each."""
    pairs = zip(first, second, strict=False)
    return [[make(one, seed), renamed(make(two, seed), "q")] for seed, (one, two) in enumerate(pairs)]


def test_shares_of_the_variance_by_hand(segmentation_run) -> None:
    # The table of test_components in both folds: patient 6, seed 16, fold 0, chance 4. Of the mean over 4 patients, 2
    # seeds and 2 folds: 6 / 4, 16 / 4, 0 and 4 / 8, which is 6 together.
    table = [[0, 2], [4, 10]]
    found = variance_shares("dice_any", four_runs(segmentation_run, table, table))
    assert found == pytest.approx({"patient": 1.5 / 6, "seed": 4 / 6, "fold": 0, "interaction": 0.5 / 6})
    # Fold means 0 and 8 apart from each other, with nothing else: all of it is the fold's.
    apart = variance_shares("dice_any", four_runs(segmentation_run, [[0, 0], [0, 0]], [[8, 8], [8, 8]]))
    assert apart == pytest.approx({"patient": 0, "seed": 0, "fold": 1, "interaction": 0})
    # A patient without a Dice is left out; then one fold has one patient, from which nothing can be told.
    assert variance_shares("dice_any", four_runs(segmentation_run, [[0, math.nan], [4, 10]], table)) == {}
    single = [four_runs(segmentation_run, table, table)[0]]
    assert variance_shares("dice_any", single) == pytest.approx({"patient": 1, "fold": 0})


def test_classifiers_are_divided_by_the_brier_score_of_each_patient(classification_run) -> None:
    patients, truth = ["p0", "p0", "p1", "p1"], [0, 1, 0, 1]
    answers = [[0.1, 0.9, 0.2, 0.4], [0.3, 0.7, 0.5, 0.5]]
    # Mean squares by hand: seed 0 gives p0 0.01 and p1 (0.04 + 0.36) / 2, seed 1 gives 0.09 and 0.25.
    by_hand = [[0.01, 0.2], [0.09, 0.25]]
    first = [classification_run(given, truth, patients, seed) for seed, given in enumerate(answers)]
    runs = [[run, renamed(run, "q")] for run in first]

    def as_dice(seed: int) -> list[RunResult]:
        ids = np.array(["p0", "p1"])
        run = replace(runs[seed][0], test=CaseScores({"dice_any": np.array(by_hand[seed])}, ids, ids))
        return [run, renamed(run, "q")]

    expected = variance_shares("dice_any", [as_dice(0), as_dice(1)])
    assert variance_shares("auroc_any", runs) == pytest.approx(expected, abs=1e-6)
    assert spread_of("auroc_any", runs[0][0].test).startswith("the Brier score of `any` by patient")
    assert spread_of("dice_any", as_dice(0)[0].test) == "dice_any by patient"
    board = build_board(FACTS, {"a": [run for folds in runs for run in folds]}, folds=2)
    (line,) = [line for line in board.cautions if line.startswith("Variance of")]
    assert "the Brier score of `any` by patient" in line
    assert "% patients" in line
    assert "% folds" in line


def test_the_drop_of_a_seed_is_from_the_mean_of_its_folds() -> None:
    def board(seeds: tuple[float, ...]) -> Board:
        score = MetricScore(float(np.mean(seeds)), (0.0, 1.0), 0.0, 9, 0)
        entry = Entry("a", 1, (1, 1), {"dice_any": score}, None, (), 1, 1.0, 1.0, seed_scores={"dice_any": seeds})
        return Board("segmentation", "t", "d", "f", False, {}, {}, "dice_any", ("dice_any",), 10, (entry,))

    drop = with_drop(board((0.4, 0.6, 0.1, 0.3)), board((0.8, 0.9))).entries[0].metrics["drop_dice_any"]
    assert drop.mean == pytest.approx(0.85 - 0.35)
    assert drop.sd_seeds == pytest.approx(np.std([0.8 - 0.5, 0.9 - 0.2], ddof=1))


def cross_validated(name: str, board: int, folds: int, entries: int = 2, seeds: int = 2) -> Suite:
    suite = small_suite(name, entries=entries, seeds=seeds)
    return replace(suite, boards=(replace(suite.boards[board], folds=folds),))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SuiteResult]:
    output = tmp_path_factory.mktemp("folds")
    return output, train(cross_validated("quick", 0, 3), output, tests=(OTHERS,))


def test_everybody_is_answered_once_by_a_network_that_did_not_know_them(trained: tuple[Path, SuiteResult]) -> None:
    output, result = trained
    spec = cross_validated("quick", 0, 3).boards[0]
    dataset = open_dataset("phantom", **CT)
    everybody = sorted({case.patient_id for case in dataset.cases})
    splits = [Split.load(output / "splits" / f"1-classification-fold{fold}.json") for fold in (1, 2, 3)]
    assert splits == list(kfold_by_patient(dataset.cases, folds=3, validation_fraction=0.15, seed=spec.split_seed))
    assert sorted(person for split in splits for person in split.test) == everybody
    slices = len(build_examples(dataset, spec.view))
    orders = set()
    for group in result.runs[0].values():
        assert [(run.seed, run.split_fingerprint) for run in group] == [
            (seed, split.fingerprint) for seed in (0, 1) for split in splits
        ]
        for run, split in zip(group, splits * 2, strict=True):
            tested = set(run.test.patient_ids.tolist())
            assert tested == set(split.test)
            assert not tested & {*split.train, *split.validation}
            assert set(run.validation.patient_ids.tolist()) == set(split.validation)
        for seed in by_seed(group, 3):
            pooled = joined([run.test for run in seed])
            keys = list(zip(pooled.study_ids.tolist(), pooled.slice_indices.tolist(), strict=True))
            assert len(keys) == len(set(keys)) == slices
            orders.add(tuple(keys))
    assert len(orders) == 1


def test_the_board_says_that_it_has_folds_and_tests_all_patients(trained: tuple[Path, SuiteResult]) -> None:
    output, result = trained
    board = result.leaderboard.boards[0]
    told = json.loads(to_json(result.leaderboard))["boards"][0]["split"]
    assert (told["folds"], told["test_patients"], told["by"], told["validation_fraction"]) == (3, 8, "patient", 0.15)
    assert "fractions" not in told
    assert board.patients == 8
    names = sorted(path.name for path in (output / "runs").iterdir())
    assert len(names) == 2 * 2 * 3
    assert sum(name.endswith("-fold1-seed0") for name in names) == 2
    reference = next(entry for entry in board.entries if entry.rank is None)
    ranked = [entry for entry in board.entries if entry.rank is not None]
    assert reference.metrics["auroc_any"].n == ranked[0].metrics["auroc_any"].n == 8 * 8
    assert all(set(entry.variance_shares) == {"patient", "seed", "fold", "interaction"} for entry in ranked)
    assert all(entry.seeds == (0, 1) for entry in ranked)
    rows = (output / "runs.csv").read_text(encoding="utf-8").splitlines()
    assert [row.rpartition(",")[2] for row in rows[1:4]] == ["1", "2", "3"]


def test_elsewhere_each_folds_network_is_a_seed_more(trained: tuple[Path, SuiteResult]) -> None:
    _, result = trained
    external = result.leaderboard.boards[1]
    entry = external.entries[0]
    assert entry.seeds == (0, 0, 0, 1, 1, 1)
    assert len(entry.seed_scores["auroc_any"]) == 6
    assert entry.metrics["auroc_any"].n == 3 * 8
    assert external.patients == 3
    assert "count as 3 seeds" in external.method
    assert "Cross-validated" not in external.method
    assert "drop_auroc_any" in entry.metrics


def test_the_report_takes_every_run(trained: tuple[Path, SuiteResult]) -> None:
    _, result = trained
    boards = zip(result.leaderboard.boards, result.runs, strict=True)
    evidence = [board_evidence(board, runs) for board, runs in boards]
    assert len(evidence[0].curves) == 2 * 2 * 3
    # Two seeds answered each of 64 slices.
    assert all(item.matrix.sum() == 2 * 64 for item in evidence[0].confusions)
    page = render_report(result.leaderboard, evidence, Costs(), "command")
    assert "folds <b>3</b>" in page
    assert "neither learnt from nor was chosen" in page


def test_nothing_is_trained_twice_and_jobs_give_the_same(trained: tuple[Path, SuiteResult], tmp_path: Path) -> None:
    output, result = trained
    before = {path: path.stat().st_mtime_ns for path in output.glob("runs/*/run.json")}
    again = train(cross_validated("quick", 0, 3), output)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    told = [json.loads(to_json(one.leaderboard))["boards"][0] for one in (again, result)]
    assert told[0] == told[1]
    apart = train(cross_validated("quick", 0, 3, seeds=1), tmp_path, Workforce(jobs=2))
    for name, group in apart.runs[0].items():
        for one, two in zip(group, result.runs[0][name], strict=False):
            assert np.array_equal(one.test.probabilities, two.test.probabilities)


def test_segmenters_have_folds_too(tmp_path: Path) -> None:
    result = train(cross_validated("weights", 0, 2, seeds=1), tmp_path)
    (board,) = result.leaderboard.boards
    assert board.task == "segmentation"
    assert board.patients == 4 == board.entries[0].metrics[board.rank_by].n
    assert "One seed for every entry" in board.cautions[1]
    assert set(board.entries[0].variance_shares) <= {"patient", "fold"}
