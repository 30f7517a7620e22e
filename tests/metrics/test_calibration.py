"""Calibration against scikit-learn's calibration curve and sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from hemobench.errors import UserError
from hemobench.metrics.calibration import (
    brier_score,
    expected_calibration_error,
    fit_platt,
    reliability_curve,
    weighted_calibration_error,
)


def _sample(seed: int, rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.7, 1.5, size=rows)
    return probabilities, rng.random(rows) < probabilities**1.5


def test_brier_agrees_with_scikit_learn() -> None:
    probabilities, targets = _sample(0)
    assert brier_score(probabilities, targets) == pytest.approx(brier_score_loss(targets, probabilities), abs=1e-12)


def test_ece_by_hand_in_two_bins() -> None:
    probabilities, targets = [0.1, 0.3, 0.5, 0.9], [0, 1, 0, 1]
    # (0, 0.5]: mean 0.3, frequency 1/3, three of four; (0.5, 1]: 0.9 and 1, one of four.
    expected = 0.75 * (1 / 3 - 0.3) + 0.25 * 0.1
    assert expected_calibration_error(probabilities, targets, bins=2) == pytest.approx(expected, abs=1e-12)
    # Equal mass puts 0.5 into the upper half: |0.2 - 0.5| and |0.7 - 0.5|.
    assert expected_calibration_error(probabilities, targets, 2, "equal-mass") == pytest.approx(0.25, abs=1e-12)


def test_equal_width_curve_agrees_with_scikit_learn() -> None:
    probabilities, targets = _sample(1)
    frequency, mean_probability = calibration_curve(targets, probabilities, n_bins=15, strategy="uniform")
    curve = reliability_curve(probabilities, targets)
    np.testing.assert_allclose(curve.frequency, frequency)
    np.testing.assert_allclose(curve.mean_probability, mean_probability)
    assert curve.count.sum() == 500


def test_equal_mass_bins_hold_as_many_examples_each() -> None:
    probabilities, targets = _sample(2, rows=151)
    counts = reliability_curve(probabilities, targets, 15, "equal-mass").count
    assert counts.size == 15
    assert counts.max() - counts.min() <= 1


def test_calibrated_probabilities_score_near_zero_and_overconfident_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.random(50_000)
    targets = rng.random(50_000) < probabilities
    assert expected_calibration_error(probabilities, targets) < 0.01
    assert expected_calibration_error(np.where(probabilities > 0.5, 1.0, 0.0), targets) == pytest.approx(0.25, abs=0.01)


def test_weights_of_k_are_rows_repeated_k_times() -> None:
    probabilities, targets = _sample(4, rows=80)
    weights = np.random.default_rng(5).integers(0, 4, size=(3, 80))
    measured = weighted_calibration_error(probabilities, targets, weights.astype(float))
    expected = [expected_calibration_error(np.repeat(probabilities, row), np.repeat(targets, row)) for row in weights]
    np.testing.assert_allclose(measured, expected, atol=1e-12)


def test_edges_belong_to_a_bin() -> None:
    assert expected_calibration_error([0.0, 1.0], [0, 1]) == 0.0


def test_bad_input_is_named() -> None:
    with pytest.raises(UserError, match="sigmoid"):
        brier_score([1.7], [1])
    with pytest.raises(UserError, match=r"unknown binning strategy 'equal-wdth'.*equal-width"):
        expected_calibration_error([0.5], [1], strategy="equal-wdth")


def test_platt_finds_the_line_that_made_the_targets() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, 40_000)
    targets = rng.random(40_000) < 1 / (1 + np.exp(-(0.6 * logits - 1.2)))
    slope, offset = fit_platt(logits, targets)
    assert slope == pytest.approx(0.6, abs=0.02)
    assert offset == pytest.approx(-1.2, abs=0.04)


def test_platt_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    targets = rng.integers(0, 2, 60)
    logits = rng.normal(targets * 2.0, 1.5)
    # A classifier whose decision function is the score itself.
    same = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    same.coef_, same.intercept_ = np.array([[1.0]]), np.array([0.0])
    theirs = CalibratedClassifierCV(FrozenEstimator(same), method="sigmoid").fit(logits[:, None], targets)
    slope, offset = fit_platt(logits, targets)
    expected = theirs.predict_proba(logits[:, None])[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-(slope * logits + offset))), expected, atol=0.02)


def test_platt_stays_finite_without_overlap_and_never_turns_round() -> None:
    slope, offset = fit_platt(np.r_[np.full(20, -4.0), np.full(20, 4.0)], np.r_[np.zeros(20), np.ones(20)])
    assert 0 < slope < 5
    assert abs(offset) < 0.1
    assert fit_platt(np.r_[np.full(9, 3.0), np.full(9, -3.0)], np.r_[np.zeros(9), np.ones(9)])[0] == 0
