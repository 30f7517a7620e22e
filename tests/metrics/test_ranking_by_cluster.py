"""Rank metrics at weights of clusters against scikit-learn at the weights of their rows, and against exact counts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from hemobench.errors import UserError
from hemobench.metrics import ranking_by_cluster
from hemobench.metrics.ranking import RankedScores
from hemobench.metrics.ranking_by_cluster import ClusteredScores

CLUSTERS = 17
METRICS = ("auroc", "average_precision", "sensitivity_at_specificity", "specificity_at_sensitivity")
HEALTHY, BLEEDING = 5, 3


def _sample(levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties (levels distinct values), targets and cluster of 300 rows; two clusters of one class only."""
    rng = np.random.default_rng(levels)
    cluster = rng.integers(0, CLUSTERS, size=300)
    targets = rng.random(300) < 0.2
    targets[cluster == BLEEDING], targets[cluster == HEALTHY] = True, False
    return np.round((rng.random(300) + 0.4 * targets) * levels) / levels, targets, cluster


def _weights(whole: bool) -> np.ndarray:
    """Weights of 25 draws; the first has no positive and the second no negative."""
    rng = np.random.default_rng(4)
    weights = rng.multinomial(CLUSTERS, np.full(CLUSTERS, 1 / CLUSTERS), size=25).astype(float)
    weights *= 1.0 if whole else rng.random(weights.shape)
    weights[:2] = 0
    weights[0, HEALTHY] = weights[1, BLEEDING] = 2
    return weights


def _of_rows(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[float]:
    """The four METRICS by scikit-learn."""
    false_alarms, hits, _ = roc_curve(targets, scores, sample_weight=weights, drop_intermediate=False)
    return [
        roc_auc_score(targets, scores, sample_weight=weights),
        average_precision_score(targets, scores, sample_weight=weights),
        hits[1 - false_alarms >= 0.9 - 1e-9].max(),
        (1 - false_alarms)[hits >= 0.9 - 1e-9].max(),
    ]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("levels", [1, 3, 30, 10**6])
def test_metrics_of_clusters_are_scikit_learns_at_the_weights_of_rows(levels: int, whole: bool) -> None:
    scores, targets, cluster = _sample(levels)
    weights = _weights(whole)
    ranked = ClusteredScores.of(scores, targets, cluster, CLUSTERS)
    found = np.stack([getattr(ranked, name)(weights) for name in METRICS], axis=1)
    expected = [_of_rows(scores, targets, row[cluster]) for row in weights[2:]]
    np.testing.assert_allclose(found[2:], expected, rtol=0, atol=1e-12)
    assert np.isnan(found[0]).all()
    # With positives only every call is right: precision is one, and nothing else is defined.
    np.testing.assert_array_equal(found[1], [np.nan, 1.0, np.nan, np.nan])


@pytest.mark.parametrize("name", METRICS)
def test_neither_chunks_nor_precision_change_a_metric(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = ClusteredScores.of(*_sample(30), CLUSTERS)
    weights = _weights(whole=True)
    at_once = getattr(ranked, name)(weights)
    monkeypatch.setattr(ranking_by_cluster, "_CHUNK_ELEMENTS", 100)
    np.testing.assert_allclose(getattr(ranked, name)(weights), at_once, rtol=0, atol=1e-15)
    monkeypatch.setattr(ranking_by_cluster, "_EXACT_UP_TO", 0.0)
    np.testing.assert_allclose(getattr(ranked, name)(weights), at_once, rtol=0, atol=1e-15)


def test_counts_beyond_single_precision_stay_exact() -> None:
    # 2**24 + 1 negatives of one score: single precision would drop the last of them, which the positive ties.
    many = 2**24
    weights = np.array([[many, 1, 1, 3]], dtype=float)
    ranked = ClusteredScores.of([0.9, 0.5, 0.5, 0.1], [0, 0, 1, 0], np.arange(4), 4)
    right, pairs = Fraction(1, 2) + 3, many + 4
    assert ranked.auroc(weights)[0] == float(right / pairs)
    assert ranked.average_precision(weights)[0] == float(Fraction(1, many + 2))
    assert ranked.specificity_at_sensitivity(weights)[0] == float(Fraction(3, pairs))


def test_single_precision_is_used_only_where_it_is_exact() -> None:
    whole, largest = np.array([[3.0, 0.0, 1.0]]), 2.0**23
    assert ranking_by_cluster._counting_type(whole, largest) is np.float32
    assert ranking_by_cluster._counting_type(whole, largest + 1) is np.float64
    assert ranking_by_cluster._counting_type(whole + 1e-9, 1.0) is np.float64


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("name", METRICS)
def test_one_class_only_is_what_it_is_for_rows(name: str, target: int) -> None:
    scores, targets, cluster = np.array([0.1, 0.2, 0.2]), np.full(3, target), np.array([0, 2, 2])
    weights = np.array([[1.0, 1.0, 2.0], [0.0, 4.0, 0.0]])
    found = getattr(ClusteredScores.of(scores, targets, cluster, 3), name)(weights)
    of_rows = getattr(RankedScores.of(scores, targets), name)(weights[:, cluster])
    np.testing.assert_array_equal(found, of_rows)
    assert np.isnan(found[1])


def test_bad_scores_are_named() -> None:
    with pytest.raises(UserError, match="1 of 2 scores are NaN"):
        ClusteredScores.of([0.1, np.nan], [0, 1], np.arange(2), 2)
