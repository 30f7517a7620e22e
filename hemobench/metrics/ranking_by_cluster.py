"""Rank metrics of rows that share their weights by cluster, as the slices of a patient do in a bootstrap of patients.

AUROC's numerator is a quadratic form in the weights w of clusters: the sum over clusters p and q of w_p w_q K[p, q],
with K[p, q] the pairs of a positive row of p and a negative row of q in the wrong order, ties counting half. K is a
product of three matrices: positives by cluster and level, "at or above", negatives by level and cluster. The outer two
are as sparse as there are rows and the middle one is a running sum, so applying them one after the other costs a step
or two per row and weighting, with the weightings side by side in memory; K itself is never made. A level is a distinct
score of a positive: other thresholds add false alarms and no hit, and serve no metric.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from hemobench.metrics.ranking import (
    CountArray,
    RankedScores,
    best_sensitivity,
    best_specificity,
    precision_of,
    ratio,
)
from hemobench.metrics.validation import FloatArray

# Levels (or clusters) times weightings held at once: 32 MB in double precision.
_CHUNK_ELEMENTS = 4_000_000
# Whole numbers and halves are exact in single precision up to here.
_EXACT_UP_TO = 2.0**23


@dataclass(frozen=True)
class _Rows:
    level: NDArray[np.intp]
    """Level of each row, numbered by falling score."""
    cluster: NDArray[np.intp]
    """Cluster of each row."""


@dataclass(frozen=True)
class ClusteredScores:
    """Scores of one class, sorted once; each method takes weights of clusters (R, C) and returns R values.

    Equal to the methods of RankedScores at the weights of the rows. Counts are made in single precision where weights
    are whole and totals so small that this is exact, else in double. Beside the weights at most about 150 MB are held
    at a time, however many rows and weightings there are (until levels or clusters pass four million).
    """

    positives: _Rows
    """Positive rows; their level is that of their score."""
    negatives: _Rows
    """Negative rows; their level is the highest at or below their score, the number of levels if there is none."""
    tied: NDArray[np.bool_]
    """Whether a negative row's score is that of its level, (negatives,)."""
    levels: int
    """L, the number of distinct scores of positives."""
    sizes: FloatArray
    """Positive and negative rows of each cluster, (2, C)."""

    @classmethod
    def of(cls, scores: ArrayLike, targets: ArrayLike, cluster: NDArray[np.intp], clusters: int) -> ClusteredScores:
        """Sort scores (N,) with targets (N,) of 0 and 1; rows belong to cluster (N,) of 0..clusters-1.

        UserError as for RankedScores.
        """
        ranked = RankedScores.of(scores, targets)
        sizes = np.diff(ranked.ends, prepend=-1)
        group = np.repeat(np.arange(sizes.size), sizes)
        is_level = np.bincount(group[ranked.positive], minlength=sizes.size) > 0
        level: NDArray[np.intp] = (np.cumsum(is_level) - is_level)[group]
        own, positive = np.asarray(cluster, dtype=np.intp)[ranked.order], ranked.positive
        halves = _Rows(level[positive], own[positive]), _Rows(level[~positive], own[~positive])
        of_clusters = [np.bincount(half.cluster, minlength=clusters) for half in halves]
        return cls(
            *halves,
            tied=is_level[group][~positive],
            levels=int(np.count_nonzero(is_level)),
            sizes=np.stack(of_clusters).astype(np.float64),
        )

    def auroc(self, weights: FloatArray) -> FloatArray:
        """Area under the ROC curve for each weighting; NaN where one of the two classes has no weight."""
        positives, negatives = self._totals(weights)
        kind = _counting_type(weights, float(self.sizes[0].max() * negatives.max()))
        rows, tied = self.negatives, self.tied
        # A negative level with a positive is half above it: half of it is counted there, half one level on.
        shares = np.concatenate([np.where(tied, 0.5, 1.0), np.full(np.count_nonzero(tied), 0.5)])
        split = _Rows(np.append(rows.level, rows.level[tied] + 1), np.append(rows.cluster, rows.cluster[tied]))
        alarms, (bleeding, hits) = self._matrix(split, shares, kind), self._by_cluster(kind)
        wrong = [
            np.einsum("cr,cr->r", hits @ _summed_down(alarms @ chunk), chunk[bleeding], dtype=np.float64)
            for chunk in self._chunks(weights, kind)
        ]
        return ratio(positives * negatives - np.concatenate(wrong), positives * negatives)

    def average_precision(self, weights: FloatArray) -> FloatArray:
        """Sum over thresholds of precision times the gain in recall; NaN where no positive has weight."""
        bleeding, gains = self._by_cluster(np.float64)
        gained = [
            np.einsum("cr,cr->r", gains @ precision_of(hits, alarms), chunk[bleeding], dtype=np.float64)
            for chunk, hits, alarms in self._counts(weights)
        ]
        return ratio(np.concatenate(gained), self._totals(weights)[0])

    def sensitivity_at_specificity(self, weights: FloatArray, specificity: float = 0.9) -> FloatArray:
        """Highest sensitivity of a threshold whose specificity is at least the given one; NaN with one class only."""
        found = []
        for chunk, hits, alarms in self._counts(weights):
            positives, negatives = self._totals(chunk.T)
            found.append(best_sensitivity(hits, alarms, positives, negatives, specificity))
        return np.concatenate(found)

    def specificity_at_sensitivity(self, weights: FloatArray, sensitivity: float = 0.9) -> FloatArray:
        """Highest specificity of a threshold whose sensitivity is at least the given one; NaN with one class only."""
        found = []
        for chunk, hits, alarms in self._counts(weights):
            positives, negatives = self._totals(chunk.T)
            found.append(best_specificity(hits, alarms, positives, negatives, sensitivity))
        return np.concatenate(found)

    def _counts(self, weights: FloatArray) -> Iterator[tuple[CountArray, CountArray, CountArray]]:
        """Chunks of weights (C, r), and the weight of positives and of negatives at or above each level, (L, r)."""
        kind = _counting_type(weights, float(self._totals(weights).sum(axis=0).max()))
        hits, alarms = self._matrix(self.positives, 1.0, kind), self._matrix(self.negatives, 1.0, kind)
        for chunk in self._chunks(weights, kind):
            yield chunk, _summed_down(hits @ chunk), _summed_down(alarms @ chunk)

    def _totals(self, weights: CountArray) -> FloatArray:
        """Weight of all positives and of all negatives, (2, R)."""
        # Not by BLAS, whose threads cost more than they give here and wait for each other on a busy machine.
        return np.einsum("tc,rc->tr", self.sizes, weights, dtype=np.float64)

    def _by_cluster(self, kind: type[np.floating]) -> tuple[NDArray[np.intp], sparse.csr_array]:
        """The P clusters with a positive, (P,), and their positives by level, (P, L)."""
        bleeding = np.flatnonzero(self.sizes[0])
        return bleeding, self._matrix(self.positives, 1.0, kind).T.tocsr()[bleeding]

    def _matrix(self, rows: _Rows, shares: ArrayLike, kind: type[np.floating]) -> sparse.csr_array:
        """Rows by level and cluster, (L, C), each counting its share; those below every level are left out."""
        above = rows.level < self.levels
        data = np.broadcast_to(np.asarray(shares, dtype=kind), rows.level.shape)[above]
        place = (rows.level[above], rows.cluster[above])
        return sparse.csr_array((data, place), shape=(max(1, self.levels), self.sizes.shape[1]))

    def _chunks(self, weights: FloatArray, kind: type[np.floating]) -> Iterator[CountArray]:
        """Weights (R, C) in parts of some weightings each, a weighting a column: (C, r)."""
        width = max(1, _CHUNK_ELEMENTS // max(self.levels, weights.shape[1]))
        for start in range(0, len(weights), width):
            yield np.ascontiguousarray(weights[start : start + width].T, dtype=kind)


def _counting_type(weights: FloatArray, largest: float) -> type[np.floating]:
    """The type in which weights (R, C) add up exactly to a count of `largest`; double where none does."""
    exact = largest <= _EXACT_UP_TO and np.array_equal(np.rint(weights), weights)
    return np.float32 if exact else np.float64


def _summed_down(counts: CountArray) -> CountArray:
    """Running sums down the columns of counts (L, r), in place: row by row, as np.cumsum down columns is slower."""
    for above, here in pairwise(counts):
        here += above
    return counts
