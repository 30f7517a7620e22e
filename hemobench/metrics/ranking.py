"""Metrics that depend on the order of scores only: AUROC, average precision, sensitivity at a specificity and back.

One sort serves any number of weightings of the rows. Resampling patients with replacement is the same as giving each
row an integer weight, so a bootstrap of a thousand resamples is two cumulative sums over a (resamples, rows) array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from hemobench.metrics.validation import BoolArray, FloatArray, checked_scores

# Keeps 0.1 * 10 negatives from being a hair below one whole negative.
_ROUNDING = 1e-9
# Elements of the matrix of pairs by cluster, 160 MB; beyond it rows are counted instead.
_LARGEST_MATRIX = 20_000_000


@dataclass(frozen=True)
class RankedScores:
    """Scores of one class, sorted once; each method takes row weights (R, N) and returns R values.

    Equal scores are one threshold: nothing depends on the order of rows that tie.
    """

    order: NDArray[np.intp]
    """Row indices by falling score, (N,)."""
    ends: NDArray[np.intp]
    """Last position of each group of equal scores in that order, (G,)."""
    positive: BoolArray
    """Targets in that order, (N,)."""

    @classmethod
    def of(cls, scores: ArrayLike, targets: ArrayLike) -> RankedScores:
        """Sort scores (N,) with their targets (N,) of 0 and 1. UserError for other shapes, values or NaN."""
        values, truth = checked_scores(scores, targets)
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), values.size - 1)
        return cls(order=order, ends=ends, positive=truth[order])

    def counts(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weight of positives and of negatives at or above each distinct score, both (R, G)."""
        ranked = np.asarray(weights, dtype=np.float64)[:, self.order]
        everything = np.cumsum(ranked, axis=1)[:, self.ends]
        positives = np.cumsum(ranked * self.positive, axis=1)[:, self.ends]
        return positives, everything - positives

    def auroc(self, weights: FloatArray) -> FloatArray:
        """Area under the ROC curve for each weighting; NaN where one of the two classes has no weight."""
        hits, alarms = self.counts(weights)
        earlier_hits = np.pad(hits, ((0, 0), (1, 0)))[:, :-1]
        steps = np.diff(alarms, axis=1, prepend=0.0)
        area = (steps * (hits + earlier_hits)).sum(axis=1) / 2
        return _ratio(area, hits[:, -1] * alarms[:, -1])

    def auroc_by_cluster(
        self, cluster: NDArray[np.intp], clusters: int
    ) -> Callable[[FloatArray], FloatArray] | None:
        """`auroc` as a function of cluster weights (R, clusters), rows (N,) belonging to `cluster` 0..clusters-1.

        The pairs in the right order, counted by the cluster of the positive and of the negative, are one matrix: a
        weighting is a quadratic form in it, whatever the number of rows. None where that matrix would be large.
        """
        own = np.asarray(cluster)[self.order]
        group = np.searchsorted(self.ends, np.arange(own.size))
        bleeding, of_positive = np.unique(own[self.positive], return_inverse=True)
        healthy, of_negative = np.unique(own[~self.positive], return_inverse=True)
        levels, level = np.unique(group[self.positive], return_inverse=True)
        if not bleeding.size or not healthy.size:
            return lambda weights: np.full(len(weights), np.nan)
        if max(levels.size, bleeding.size) * healthy.size > _LARGEST_MATRIX:
            return None
        # Negatives below each level of the positives' scores, by cluster; those level with it count half.
        place = np.searchsorted(levels, group[~self.positive])
        level_with = np.append(levels, -1)[place] == group[~self.positive]
        shape = (levels.size + 1, healthy.size)
        below = np.bincount(place * healthy.size + of_negative, minlength=shape[0] * shape[1]).reshape(shape)
        beside = np.bincount((place * healthy.size + of_negative)[level_with], minlength=below.size).reshape(shape)
        below = below[::-1].cumsum(axis=0)[::-1]
        beaten = below[1:] + beside[:-1] / 2
        chosen = sparse.csr_array((np.ones(level.size), (of_positive, level)), shape=(bleeding.size, levels.size))
        pairs = np.asarray(chosen @ beaten)
        hits = np.bincount(of_positive).astype(np.float64)
        alarms = np.bincount(of_negative).astype(np.float64)

        def area(weights: FloatArray) -> FloatArray:
            right, wrong = weights[:, bleeding], weights[:, healthy]
            return _ratio(np.einsum("rn,rn->r", right @ pairs, wrong), (right @ hits) * (wrong @ alarms))

        return area

    def average_precision(self, weights: FloatArray) -> FloatArray:
        """Sum over thresholds of precision times the gain in recall; NaN where no positive has weight."""
        hits, alarms = self.counts(weights)
        called = hits + alarms
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        gain = np.diff(hits, axis=1, prepend=0.0)
        return _ratio((gain * precision).sum(axis=1), hits[:, -1])

    def sensitivity_at_specificity(self, weights: FloatArray, specificity: float = 0.9) -> FloatArray:
        """Highest sensitivity of a threshold whose specificity is at least the given one; NaN with one class only."""
        hits, alarms = self.counts(weights)
        negatives = alarms[:, -1:]
        allowed = alarms <= negatives * (1 - specificity + _ROUNDING)
        best = np.where(allowed, hits, 0.0).max(axis=1)
        return np.where(negatives[:, 0] > 0, _ratio(best, hits[:, -1]), np.nan)

    def specificity_at_sensitivity(self, weights: FloatArray, sensitivity: float = 0.9) -> FloatArray:
        """Highest specificity of a threshold whose sensitivity is at least the given one; NaN with one class only."""
        hits, alarms = self.counts(weights)
        positives, negatives = hits[:, -1:], alarms[:, -1]
        enough = hits >= positives * (sensitivity - _ROUNDING)
        fewest = np.where(enough, alarms, np.inf).min(axis=1)
        return np.where(positives[:, 0] > 0, _ratio(negatives - fewest, negatives), np.nan)


def auroc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Area under the ROC curve of scores (N,) for targets (N,) of 0 and 1; ties count half; NaN with one class only.

    Source: Hanley and McNeil, Radiology 1982, the probability that a positive scores above a negative.

    >>> auroc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    ranked = RankedScores.of(scores, targets)
    return float(ranked.auroc(_one_weighting(ranked))[0])


def average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """Average precision (scikit-learn's definition, no interpolation) of scores (N,); NaN without a positive."""
    ranked = RankedScores.of(scores, targets)
    return float(ranked.average_precision(_one_weighting(ranked))[0])


def sensitivity_at_specificity(scores: ArrayLike, targets: ArrayLike, specificity: float = 0.9) -> float:
    """Highest sensitivity at a specificity of at least `specificity`; no interpolation between thresholds."""
    ranked = RankedScores.of(scores, targets)
    return float(ranked.sensitivity_at_specificity(_one_weighting(ranked), specificity)[0])


def specificity_at_sensitivity(scores: ArrayLike, targets: ArrayLike, sensitivity: float = 0.9) -> float:
    """Highest specificity at a sensitivity of at least `sensitivity`; no interpolation between thresholds.

    >>> specificity_at_sensitivity([0.1, 0.4, 0.6, 0.8], [0, 1, 0, 1])
    0.5
    """
    ranked = RankedScores.of(scores, targets)
    return float(ranked.specificity_at_sensitivity(_one_weighting(ranked), sensitivity)[0])


def _one_weighting(ranked: RankedScores) -> FloatArray:
    return np.ones((1, ranked.order.size))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator, NaN where the denominator is 0: undefined, not zero."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
