"""Calls from answers: smoothed over slices, thresholds chosen, nothing learnt from whom it is measured on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from hemobench.errors import UserError
from hemobench.inference.context import in_context
from hemobench.release.operating_points import (
    best_context_mm,
    fit_rule,
    of_studies,
    settled,
    smoothed_over_slices,
    specific_threshold,
)
from hemobench.training.result import SlicePredictions


def stacks(noise: float, studies: int = 60, slices: int = 20) -> tuple[SlicePredictions, NDArray[np.float64]]:
    """Studies of which half show blood in six neighbouring slices; logits are the truth and independent noise."""
    draws = np.random.default_rng(3)
    targets = np.zeros((studies, slices, 6), dtype=np.uint8)
    for study in range(0, studies, 2):
        first = int(draws.integers(0, slices - 6))
        targets[study, first : first + 6, [1, 5]] = 1
    logits = 2.0 * targets - 1.0 + noise * draws.standard_normal(targets.shape)
    names = np.repeat([f"s{study:02d}" for study in range(studies)], slices)
    order = draws.permutation(len(names))  # answers need not come in the order of the slices
    predictions = SlicePredictions(
        expit(logits).reshape(-1, 6)[order].astype(np.float32),
        targets.reshape(-1, 6)[order],
        names[order],
        names[order],
        np.tile(np.arange(slices), studies)[order],
    )
    return predictions, np.full(len(names), 5.0)


def test_slices_are_smoothed_within_a_study_and_in_its_order() -> None:
    predictions, steps_mm = stacks(1.0, studies=4)
    smoothed = smoothed_over_slices(predictions, steps_mm, 5.0)
    rows = np.flatnonzero(predictions.study_ids == "s02")
    rows = rows[np.argsort(predictions.slice_indices[rows])]
    own = logit(predictions.probabilities[rows, 1].astype(np.float64))
    weights = np.exp(-0.5 * (np.arange(-4, 5) / 1.0) ** 2)
    padded = np.pad(own, 4, mode="edge")
    expected = [float(padded[at : at + 9] @ (weights / weights.sum())) for at in range(len(own))]
    np.testing.assert_allclose(logit(smoothed.probabilities[rows, 1]), expected, atol=2e-3)


def test_context_is_measured_in_millimetres() -> None:
    step = np.zeros((41, 1))
    step[18:] = 1.0  # between 17 and 18 mm, seen every 4 mm between 16 and 20: half a millimetre apart
    thin, thick = in_context(step, 1.0, 4.0), in_context(step[::4], 4.0, 4.0)
    np.testing.assert_allclose(thin[::4][3:8], thick[3:8], atol=0.08)
    assert in_context(step, 1.0, 0.0) is step
    assert in_context(step[:1], 1.0, 9.0).tolist() == [[0.0]]


def test_noise_asks_for_neighbours_and_sure_answers_do_not() -> None:
    noisy, steps_mm = stacks(2.0)
    assert best_context_mm(noisy, steps_mm) >= 5.0
    sure, steps_mm = stacks(0.01)
    assert best_context_mm(sure, steps_mm) == 0.0
    rule = fit_rule(noisy, steps_mm)
    assert rule.context_mm >= 5.0
    before, after = (
        roc_auc_score(noisy.targets[:, 5], each.probabilities[:, 5]) for each in (noisy, settled(noisy, steps_mm, rule))
    )
    assert after > before + 0.05
    healthy = SlicePredictions(
        noisy.probabilities, np.zeros_like(noisy.targets), noisy.patient_ids, noisy.study_ids, noisy.slice_indices
    )
    assert best_context_mm(healthy, steps_mm) == 0.0


def test_settled_probabilities_agree_with_the_frequencies_that_they_were_fitted_to() -> None:
    predictions, steps_mm = stacks(1.5)
    calibrated = settled(predictions, steps_mm, fit_rule(predictions, steps_mm)).probabilities[:, 5]
    assert calibrated.mean() == pytest.approx(predictions.targets[:, 5].mean(), abs=0.01)


def test_exclusive_answers_are_refused() -> None:
    predictions, steps_mm = stacks(1.0, studies=2)
    exclusive = SlicePredictions(
        predictions.probabilities,
        predictions.targets,
        predictions.patient_ids,
        predictions.study_ids,
        predictions.slice_indices,
        exclusive=True,
    )
    with pytest.raises(UserError, match="independent outputs"):
        fit_rule(exclusive, steps_mm)


def test_studies_speak_by_their_highest_slices_by_hand() -> None:
    probabilities = np.full((4, 6), 0.5, dtype=np.float32)
    probabilities[1, 5], probabilities[3, 0] = 0.9, 0.2
    targets = np.zeros((4, 6), dtype=np.uint8)
    targets[2, 1] = 1
    studies = np.array(["b", "a", "b", "a"])
    predictions = SlicePredictions(probabilities, targets, studies, studies, np.arange(4))
    logits, truth, patients = of_studies(predictions, 1)
    assert logits[0, 5] == pytest.approx(np.log(9), rel=1e-5)  # study a
    assert logits[0, 0] == pytest.approx(0)
    assert truth.tolist() == [[0] * 6, [0, 1, 0, 0, 0, 0]]
    assert patients.tolist() == ["a", "b"]
    logits, _, _ = of_studies(predictions, 3)  # of two slices each, so both speak
    assert logits[0, 5] == pytest.approx(np.log(9) / 2, rel=1e-5)
    assert logits[0, 0] == pytest.approx(-np.log(4) / 2, rel=1e-5)


def test_a_threshold_leaves_nine_in_ten_negatives_uncalled() -> None:
    probabilities = np.r_[np.linspace(0, 0.99, 100), 0.7]
    targets = np.r_[np.zeros(100, dtype=int), 1]
    threshold = specific_threshold(probabilities, targets)
    assert (probabilities[:100] < threshold).sum() == 90
    assert specific_threshold(probabilities[:5], np.zeros(5, dtype=int)) == 0.5


def test_a_type_too_rare_to_fit_has_its_base_rate_and_the_slope_of_any() -> None:
    draws = np.random.default_rng(4)
    truth = np.zeros((60, 6), dtype=np.uint8)
    truth[:20, 1] = truth[:20, 5] = 1
    truth[:2, 3] = 1  # two of sixty
    logits = draws.normal(2.0, 1.0, (60, 6)) + 3 * truth
    ids = np.array([f"{n:02d}" for n in range(60)])
    answers = SlicePredictions(
        1 / (1 + np.exp(-logits)), truth, ids, ids, np.zeros(60, dtype=np.int64), exclusive=False
    )
    rule = fit_rule(answers, np.full(60, 5.0))
    for level in ("slice", "study"):
        slope, offset = rule.calibration[level]["subarachnoid"]
        assert slope == rule.calibration[level]["any"][0] != 1.0
        called = 1 / (1 + np.exp(-(slope * logits[:, 3] + offset)))
        assert called.mean() == pytest.approx(3 / 62, abs=1e-4)
