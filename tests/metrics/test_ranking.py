"""Rank metrics against scikit-learn, ties and weights included, and against counts done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from hemobench.errors import UserError
from hemobench.metrics.ranking import (
    RankedScores,
    auroc,
    average_precision,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)


def _sample(seed: int, rows: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties (levels distinct values) that know something of their targets."""
    rng = np.random.default_rng(seed)
    targets = rng.random(rows) < 0.3
    scores = np.round((rng.random(rows) + 0.4 * targets) * levels) / levels
    return scores, targets


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_auroc_and_average_precision_agree_with_scikit_learn_with_and_without_ties(levels: int) -> None:
    scores, targets = _sample(levels, 300, levels)
    assert auroc(scores, targets) == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    assert average_precision(scores, targets) == pytest.approx(average_precision_score(targets, scores), abs=1e-12)


def test_weights_agree_with_scikit_learns_sample_weight_row_by_row() -> None:
    scores, targets = _sample(0, 120, 8)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 120)).astype(float)
    ranked = RankedScores.of(scores, targets)
    expected_area = [roc_auc_score(targets, scores, sample_weight=row) for row in weights]
    expected_precision = [average_precision_score(targets, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(ranked.auroc(weights), expected_area, atol=1e-12)
    np.testing.assert_allclose(ranked.average_precision(weights), expected_precision, atol=1e-12)


def test_a_weight_of_k_is_the_row_repeated_k_times() -> None:
    scores, targets = _sample(2, 60, 6)
    weights = np.random.default_rng(3).integers(0, 4, size=60)
    rows = np.repeat(np.arange(60), weights)
    ranked = RankedScores.of(scores, targets)
    weighting = weights[None, :].astype(float)
    assert ranked.auroc(weighting)[0] == pytest.approx(auroc(scores[rows], targets[rows]), abs=1e-12)
    assert ranked.sensitivity_at_specificity(weighting)[0] == pytest.approx(
        sensitivity_at_specificity(scores[rows], targets[rows]), abs=1e-12
    )


def test_the_order_of_tied_rows_does_not_matter() -> None:
    scores, targets = np.array([0.5, 0.5, 0.5, 0.9]), np.array([0, 1, 0, 1])
    # Pairs: (0.9 beats two) and (0.5 ties two): (2 + 1) / 4.
    assert auroc(scores, targets) == 0.75
    assert auroc(scores[[1, 0, 3, 2]], targets[[1, 0, 3, 2]]) == 0.75


def test_sensitivity_at_specificity_by_hand() -> None:
    # Ten negatives at 0.05..0.95; one may be called at 90%, so the best threshold lies above 0.85.
    negatives = np.arange(10) / 10 + 0.05
    scores = np.concatenate((negatives, [0.99, 0.9, 0.86, 0.5]))
    targets = np.repeat([0, 1], [10, 4])
    assert sensitivity_at_specificity(scores, targets, 0.9) == 0.75
    assert sensitivity_at_specificity(scores, targets, 1.0) == 0.25
    assert sensitivity_at_specificity(scores, targets, 0.0) == 1.0


def test_sensitivity_at_specificity_agrees_with_scikit_learns_roc_curve() -> None:
    scores, targets = _sample(7, 400, 25)
    false_alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
    expected = hits[1 - false_alarms >= 0.9 - 1e-12].max()
    assert sensitivity_at_specificity(scores, targets, 0.9) == pytest.approx(expected, abs=1e-12)


def test_specificity_at_sensitivity_agrees_with_scikit_learns_roc_curve_and_by_hand() -> None:
    scores, targets = _sample(8, 400, 25)
    false_alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
    expected = (1 - false_alarms)[hits >= 0.9 - 1e-12].max()
    assert specificity_at_sensitivity(scores, targets, 0.9) == pytest.approx(expected, abs=1e-12)
    # Ten positives at 0.05..0.95: nine of them are called from 0.15 on, with two of the three negatives.
    scores = np.concatenate((np.arange(10) / 10 + 0.05, [0.1, 0.2, 0.9]))
    assert specificity_at_sensitivity(scores, np.repeat([1, 0], [10, 3])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("targets", [[0, 0, 0], [1, 1, 1]])
def test_one_class_only_is_undefined(targets: list[int]) -> None:
    assert np.isnan(auroc([0.1, 0.2, 0.3], targets))
    assert np.isnan(sensitivity_at_specificity([0.1, 0.2, 0.3], targets))


def test_average_precision_without_positives_is_undefined_and_with_positives_only_is_one() -> None:
    assert np.isnan(average_precision([0.1, 0.2], [0, 0]))
    assert average_precision([0.1, 0.2], [1, 1]) == 1.0


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([0.1, np.nan], [0, 1], "1 of 2 scores are NaN"),
        ([0.1, 0.2], [0, 2], "value 2; expected 0 or 1"),
        ([0.1, 0.2], [0, 1, 1], "equally long"),
        ([], [], "one entry or more"),
    ],
)
def test_bad_input_is_named(scores: list[float], targets: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        auroc(scores, targets)
