"""Agreement with independent implementations: scipy's bootstrap, DeLong's variance of AUROC, analysis of variance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from hemobench.stats import (
    case_mean,
    classification_statistic,
    paired_patient_bootstrap,
    patient_bootstrap,
)

RESAMPLES = 4000


def _placements(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives below it, and for each negative the share of positives above it."""
    right = (scores[truth][:, None] > scores[~truth]) + 0.5 * (scores[truth][:, None] == scores[~truth])
    return right.mean(axis=1), right.mean(axis=0)


def _delong(one: np.ndarray, other: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs of two tests and their covariance. Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988."""
    parts = [_placements(scores, truth) for scores in (one, other)]
    positives, negatives = np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])
    covariance = np.cov(positives) / positives.shape[1] + np.cov(negatives) / negatives.shape[1]
    return positives.mean(axis=1), covariance


def _two_tests(patients: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = np.arange(patients) % 3 == 0
    shared = rng.normal(size=patients)
    logits = [1.2 * truth + shared + 0.7 * rng.normal(size=patients), 0.9 * truth + shared]
    return *(1 / (1 + np.exp(-values)) for values in logits), truth


def _auroc(scores: np.ndarray, truth: np.ndarray):
    return classification_statistic("auroc_any", np.tile(scores[:, None], 6), np.tile(truth[:, None], 6))


def test_auroc_and_its_spread_agree_with_delong() -> None:
    one, other, truth = _two_tests()
    areas, covariance = _delong(one, other, truth)
    for scores, area, variance in zip((one, other), areas, np.diag(covariance), strict=True):
        interval = patient_bootstrap(_auroc(scores, truth), np.arange(truth.size), resamples=RESAMPLES)
        assert interval.estimate == pytest.approx(area, abs=1e-12)
        assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(np.sqrt(variance), rel=0.06)


def test_a_paired_difference_of_auroc_agrees_with_delong() -> None:
    one, other, truth = _two_tests()
    areas, covariance = _delong(one, other, truth)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = paired_patient_bootstrap(
        _auroc(one, truth), _auroc(other, truth), np.arange(truth.size), resamples=RESAMPLES
    )
    assert found.estimate == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.06)
    assert found.p_better == pytest.approx(scipy_stats.norm.cdf(found.estimate / error), abs=0.02)


def test_intervals_agree_with_scipys_bootstrap() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.beta(5, 2, size=(2, 60))
    ids = np.arange(60)
    theirs = scipy_stats.bootstrap(
        (one,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(3)
    )
    ours = patient_bootstrap(case_mean(one), ids, resamples=RESAMPLES)
    low, high = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.04 * (high - low))

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    theirs = scipy_stats.bootstrap(
        (one, other), difference, paired=True, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(4)
    )
    paired = paired_patient_bootstrap(case_mean(one), case_mean(other), ids, resamples=RESAMPLES)
    low, high = theirs.confidence_interval
    assert (paired.low, paired.high) == pytest.approx((low, high), abs=0.04 * (high - low))
