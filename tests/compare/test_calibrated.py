"""Calibration is learnt from validation patients and measured on test patients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from hemobench.compare.calibrated import calibrated
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.metrics.calibration import brier_score, expected_calibration_error, fit_platt
from hemobench.training.result import SlicePredictions

FACTS = BoardFacts("classification", "t", "phantom", "d", True, "auroc_any", ("auroc_any",), 50)


def _answers(seed: int, slope: float = 3.0, slices: int = 1200) -> SlicePredictions:
    """Answers whose logits are `slope` times too large, four slices a study."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.0, slices)
    targets = np.repeat((rng.random(slices) < expit(logits))[:, None], 6, axis=1).astype(np.uint8)
    probabilities = np.repeat(expit(slope * logits)[:, None], 6, axis=1).astype(np.float32)
    ids = np.array([f"p{number // 4:03d}" for number in range(slices)])
    return SlicePredictions(probabilities, targets, ids, ids, np.arange(slices) % 4)


def test_overconfidence_is_undone_by_what_validation_says() -> None:
    validation, test = _answers(0), _answers(1)
    found = calibrated("ece_any_calibrated", [(validation, test)])
    assert found.platt[0][0] == pytest.approx(1 / 3, rel=0.15)
    raw = test.probabilities[:, 5].astype(np.float64)
    ((slope, offset),) = found.platt
    expected = expit(slope * np.log(raw / (1 - raw)) + offset)
    everything = np.arange(len(raw))
    by_hand = expected_calibration_error(expected, test.targets[:, 5])
    assert found.statistic(everything) == pytest.approx(by_hand, abs=1e-6)
    assert found.statistic(everything) < 0.5 * expected_calibration_error(raw, test.targets[:, 5])
    brier = calibrated("brier_any_calibrated", [(validation, test)]).statistic(everything)
    assert brier < brier_score(raw, test.targets[:, 5])


def test_test_patients_do_not_change_the_fit() -> None:
    validation = _answers(0)
    one = calibrated("ece_any_calibrated", [(validation, _answers(1))]).platt
    assert one == calibrated("ece_any_calibrated", [(validation, _answers(2, slope=0.2))]).platt


def test_studies_are_calibrated_as_studies() -> None:
    validation, test = _answers(0), _answers(1)
    found = calibrated("brier_any_calibrated_study", [(validation, test)])
    tops = validation.probabilities[:, 5].astype(np.float64).reshape(-1, 4).max(axis=1)
    truth = validation.targets[:, 5].reshape(-1, 4).max(axis=1)
    assert found.platt[0] == pytest.approx(fit_platt(np.log(tops / (1 - tops)), truth))


def test_too_few_of_a_kind_leave_calibration_undefined() -> None:
    validation, test = _answers(0, slices=8), _answers(1, slices=40)
    found = calibrated("ece_any_calibrated", [(validation, test)])
    assert math.isnan(found.platt[0][0])
    assert math.isnan(found.statistic(np.arange(40)))
    assert found.statistic.undefined == 40


def test_boards_show_operating_points_and_calibration_with_intervals(classification_run) -> None:
    run = classification_run([0.1, 0.9], [0, 1], ["p0", "p1"])
    runs = [replace(run, test=_answers(seed), validation=_answers(seed + 10)) for seed in (1,)]
    board = build_board(FACTS, {"a": runs})
    scores = board.entries[0].metrics
    for name in ("sens_at_spec90_any", "spec_at_sens90_any", "ece_any", "ece_any_calibrated", "brier_any_calibrated"):
        assert name in board.also
        assert 0 <= scores[name].ci[0] < scores[name].ci[1] <= 1
    assert scores["ece_any_calibrated"].mean < scores["ece_any"].mean
    assert board.entries[0].calibration[0][0] == pytest.approx(1 / 3, rel=0.2)
