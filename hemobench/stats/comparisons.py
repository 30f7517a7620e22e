"""Which differences of a board are real: all pairs of entries at once, in every score that the board asks about.

The best entry of a board was chosen for its score, so comparing each of the others with it at 5% finds differences
between equals far more often than that, and correcting for the comparisons with the best alone is not enough: whichever
pair lies farthest apart would have been looked at. So all pairs are tested together. A difference, divided by its
standard error, counts as real if it is larger than the largest of all pairs is in 95% of the draws around no difference
(the max-t method: Westfall and Young 1993; with independent entries, Tukey's test). The draws keep what comparisons
share, so this costs less power than Bonferroni's or Holm's correction. A pair that is settled no longer counts against
those that are left (step-down: Romano and Wolf, Econometrica 2005): where some entries are plainly worse, the others
are compared as if they stood alone, and still at most 5% of boards make a false claim, whichever of their entries are
equal. Among entries that are all equal there is one step.

A board that asks several questions (which has the higher Dice, which the higher sensitivity) tests each pair in each of
them, all together as one family: each more question makes every claim dearer, and the 5% are those of the whole board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hemobench.stats.bootstrap import CONFIDENCE, p_better
from hemobench.stats.statistics import FloatArray

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Scores:
    """One score of a board's entries: estimates (K,), deviations by draws of patients and of seeds (K, R), and the
    seeds' variances (K,). Deviations by patients are on the same draws for all entries and all scores of the board,
    those by seeds independent."""

    estimates: FloatArray
    patient_part: FloatArray
    seed_part: FloatArray
    seed_variance: FloatArray
    higher_is_better: bool


@dataclass(frozen=True)
class Comparisons:
    """All pairs (K, K) of a board's entries in one score: row minus column.

    `low` and `high` are simultaneous limits, of one step for all pairs and scores: with the board's confidence all of
    them hold. Those of a pair that a later step settles end at 0. p is two-sided and adjusted for all pairs and scores;
    better is the share of draws, unadjusted, in which the row is better. A pair is tied unless p is at most
    1 - confidence, which is exactly when its limits do not lie on both sides of 0, and which implies that `better` is
    above (1 + confidence) / 2 or below (1 - confidence) / 2, 0.975 or 0.025 at 95%. The converse does not hold.
    """

    difference: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    better: FloatArray
    confidence: float

    @property
    def pairs(self) -> int:
        """How many comparisons were made in this score."""
        return len(self.p) * (len(self.p) - 1) // 2

    def tied(self, one: int, other: int) -> bool:
        """Whether the patients and seeds do not tell two entries apart; an undefined comparison does not."""
        return not self.p[one, other] <= 1 - self.confidence + _ROUNDING


def compare_all(asked: Sequence[Scores], *, confidence: float = CONFIDENCE) -> tuple[Comparisons, ...]:
    """Compare a board's entries in each of its scores; all pairs in all scores are one family."""
    measured = [_measured(scores) for scores in asked]
    sizes = np.concatenate([one.sizes for one in measured])
    p = step_down(np.concatenate([one.scores for one in measured]), sizes)
    # A p of (1 + draws beyond) / (1 + draws) is at most 1 - confidence if the value is beyond the k-th largest draw.
    beyond = int((1 - confidence) * (sizes.shape[1] + 1) + 1e-9)
    largest = sizes.max(axis=0, initial=0.0)
    critical = float(np.partition(largest, -beyond)[-beyond]) if beyond else np.inf
    parts = np.split(p, np.cumsum([len(one.errors) for one in measured])[:-1])
    return tuple(
        _settled(scores, one.errors, part, critical, confidence)
        for scores, one, part in zip(asked, measured, parts, strict=True)
    )


def step_down(scores: ArrayLike, draws: ArrayLike) -> FloatArray:
    """p (M,) of M hypotheses, adjusted for all, from scores (M,) and what chance gives them in R draws (M, R).

    The largest score is held against the largest of all in each draw, the next against the largest of all but the
    first, and so on; p never falls on the way. Source: Westfall and Young 1993, algorithm 2.8; Romano and Wolf 2005.

    >>> step_down([3.0, 2.0], [[2.5, 0.0, 0.0], [0.0, 1.5, 0.5]]).tolist()
    [0.25, 0.25]
    """
    given, sizes = np.asarray(scores, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    order = np.argsort(-given, kind="stable")
    left = np.maximum.accumulate(sizes[order][::-1], axis=0)[::-1]
    beyond = np.count_nonzero(left >= given[order][:, None], axis=1)
    p = np.empty(given.size)
    p[order] = np.maximum.accumulate((1 + beyond) / (sizes.shape[1] + 1))
    return p


class _Measured(NamedTuple):
    """Pairs (M,) in the order of `combinations`: standard errors, differences in them, and the same by draw (M, R)."""

    errors: FloatArray
    scores: FloatArray
    sizes: FloatArray


def _measured(asked: Scores) -> _Measured:
    estimates, patient_part = asked.estimates, asked.patient_part
    deviations = patient_part + asked.seed_part
    pairs = list(combinations(range(len(estimates)), 2))
    errors, scores = np.zeros((2, len(pairs)))
    sizes = np.zeros((len(pairs), deviations.shape[1]))
    for number, (one, other) in enumerate(pairs):
        apart, gap = patient_part[one] - patient_part[other], abs(estimates[one] - estimates[other])
        known = apart[np.isfinite(apart)]
        spread = float(known.var(ddof=1)) if known.size > 1 else float("nan")
        errors[number] = np.sqrt(spread + asked.seed_variance[one] + asked.seed_variance[other])
        if errors[number] > 0:
            # A draw without a score for both says nothing of them.
            sizes[number] = np.nan_to_num(np.abs(deviations[one] - deviations[other]) / errors[number])
            scores[number] = np.nan_to_num(gap / errors[number])
        elif errors[number] == 0 and gap > 0:
            scores[number] = np.inf  # apart by the same in every draw
    return _Measured(errors, scores, sizes)


def _settled(
    asked: Scores, errors: FloatArray, adjusted: FloatArray, critical: float, confidence: float
) -> Comparisons:
    estimates = asked.estimates
    draws = estimates[:, None] + asked.patient_part + asked.seed_part
    count = len(estimates)
    low, high, p = np.full((3, count, count), np.nan)
    np.fill_diagonal(p, 1.0)
    np.fill_diagonal(low, 0.0)
    np.fill_diagonal(high, 0.0)
    better = np.full((count, count), 0.5)
    difference = estimates[:, None] - estimates[None, :]
    for (one, other), width, in_family in zip(combinations(range(count), 2), errors, adjusted, strict=True):
        better[one, other] = p_better(draws[one], draws[other], asked.higher_is_better)
        better[other, one] = 1 - better[one, other]
        gap = difference[one, other]
        if not np.isfinite(gap) or not np.isfinite(width):
            continue
        own_low, own_high, own_p = _alone(draws[one] - draws[other], confidence)
        p[one, other] = p[other, one] = min(1.0, max(in_family, own_p))
        reach = critical * width if width > 0 else 0.0
        lower, upper = min(gap - reach, own_low), max(gap + reach, own_high)
        if p[one, other] <= 1 - confidence + _ROUNDING:
            lower, upper = (max(lower, 0.0), upper) if gap > 0 else (lower, min(upper, 0.0))
        low[one, other], high[one, other], low[other, one], high[other, one] = lower, upper, -upper, -lower
    return Comparisons(difference, low, high, p, better, confidence)


def _alone(differences: FloatArray, confidence: float) -> tuple[float, float, float]:
    """Percentile limits and two-sided p of one pair's draws (R,); the limits leave out 0 if p is small enough."""
    known = np.sort(differences[np.isfinite(differences)])
    rank = int((1 - confidence) / 2 * (known.size + 1) + 1e-9)
    below, above = np.count_nonzero(known <= 0), np.count_nonzero(known >= 0)
    p = min(1.0, 2 * (1 + min(below, above)) / (known.size + 1))
    if not rank:
        return -np.inf, np.inf, p
    return float(known[rank - 1]), float(known[-rank]), p
