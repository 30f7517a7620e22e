"""Metrics that depend on the order of scores only: AUROC, average precision, sensitivity at a specificity and back.

One sort serves any number of weightings of the rows. Resampling patients with replacement is the same as giving each
row an integer weight, so a bootstrap of a thousand resamples is two cumulative sums over a (resamples, rows) array.
Rows that share their weights, as the slices of a patient do, are summed up first in `ranking_by_cluster`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.metrics.validation import BoolArray, FloatArray, checked_scores

CountArray = NDArray[np.float32] | NDArray[np.float64]
"""Weights of rows summed up; single precision where that is exact."""
# Keeps 0.1 * 10 negatives from being a hair below one whole negative.
_ROUNDING = 1e-9


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
        order = np.argsort(-values)  # not stable, and several times faster: the order of ties does not matter
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
        return ratio(area, hits[:, -1] * alarms[:, -1])

    def average_precision(self, weights: FloatArray) -> FloatArray:
        """Sum over thresholds of precision times the gain in recall; NaN where no positive has weight."""
        hits, alarms = self.counts(weights)
        gain = np.diff(hits, axis=1, prepend=0.0)
        return ratio((gain * precision_of(hits, alarms)).sum(axis=1), hits[:, -1])

    def sensitivity_at_specificity(self, weights: FloatArray, specificity: float = 0.9) -> FloatArray:
        """Highest sensitivity of a threshold whose specificity is at least the given one; NaN with one class only."""
        hits, alarms = (counts.T for counts in self.counts(weights))
        return best_sensitivity(hits, alarms, hits[-1], alarms[-1], specificity)

    def specificity_at_sensitivity(self, weights: FloatArray, sensitivity: float = 0.9) -> FloatArray:
        """Highest specificity of a threshold whose sensitivity is at least the given one; NaN with one class only."""
        hits, alarms = (counts.T for counts in self.counts(weights))
        return best_specificity(hits, alarms, hits[-1], alarms[-1], sensitivity)


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


def precision_of(hits: CountArray, alarms: CountArray) -> FloatArray:
    """Share of positives among what is called: hits / (hits + alarms) of any shape, 0 where nothing is called."""
    called = hits + alarms
    # 0 / tiny is 0, and whatever has weight is larger.
    np.maximum(called, np.finfo(called.dtype).tiny, out=called)
    precision = hits.astype(np.float64)
    precision /= called
    return precision


def best_sensitivity(
    hits: CountArray, alarms: CountArray, positives: FloatArray, negatives: FloatArray, specificity: float
) -> FloatArray:
    """Highest sensitivity (R,) of T thresholds whose specificity is at least the given one; NaN with one class only.

    hits and alarms (T, R): weight of positives and of negatives at or above a threshold, whose totals are (R,).
    """
    allowed = alarms <= negatives * (1 - specificity + _ROUNDING)
    best = np.max(hits, axis=0, initial=0.0, where=allowed)
    return np.where(negatives > 0, ratio(best, positives), np.nan)


def best_specificity(
    hits: CountArray, alarms: CountArray, positives: FloatArray, negatives: FloatArray, sensitivity: float
) -> FloatArray:
    """Highest specificity (R,) of T thresholds whose sensitivity is at least the given one; see best_sensitivity."""
    enough = hits >= positives * (sensitivity - _ROUNDING)
    fewest = np.min(alarms, axis=0, initial=np.inf, where=enough)
    return np.where(positives > 0, ratio(negatives - fewest, negatives), np.nan)


def ratio(numerator: CountArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator, NaN where the denominator is 0: undefined, not zero."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
