"""Which differences of a board are real: all pairs of entries at once.

The best entry of a board was chosen for its score, so comparing each of the others with it at 5% finds differences
between equals far more often than that, and correcting for the comparisons with the best alone is not enough: whichever
pair lies farthest apart would have been looked at. So all pairs are tested together. A difference, divided by its
standard error, counts as real if it is larger than the largest of all pairs is in 95% of the draws around no difference
(the max-t method: Westfall and Young 1993; Romano and Wolf, JASA 2005; with independent entries, Tukey's test). The
draws keep what comparisons share, so this costs less power than Bonferroni's or Holm's correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hemobench.stats.bootstrap import CONFIDENCE, p_better
from hemobench.stats.statistics import FloatArray


@dataclass(frozen=True)
class Comparisons:
    """All pairs (K, K) of a board's entries: row minus column.

    `low` and `high` are simultaneous limits: with the board's confidence all of them hold. p is two-sided and adjusted
    for all pairs; better is the share of draws, unadjusted, in which the row is better. A pair is tied unless p is at
    most 1 - confidence, which is exactly when its limits leave out 0, and which implies that `better` is above
    (1 + confidence) / 2 or below (1 - confidence) / 2, 0.975 or 0.025 at 95%. The converse does not hold.
    """

    difference: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    better: FloatArray
    confidence: float

    @property
    def pairs(self) -> int:
        """How many comparisons were made."""
        return len(self.p) * (len(self.p) - 1) // 2

    def tied(self, one: int, other: int) -> bool:
        """Whether the patients and seeds do not tell two entries apart; an undefined comparison does not."""
        return not self.p[one, other] <= 1 - self.confidence + 1e-12


def compare_all(
    estimates: FloatArray,
    patient_part: FloatArray,
    seed_part: FloatArray,
    seed_variance: FloatArray,
    *,
    higher_is_better: bool,
    confidence: float = CONFIDENCE,
) -> Comparisons:
    """Compare entries by their scores (K,), deviations by draws of patients and of seeds (K, R), and the seeds'
    variances (K,). Deviations by patients are on the same draws for all entries, those by seeds independent."""
    count, resamples = patient_part.shape
    deviations = patient_part + seed_part
    difference = estimates[:, None] - estimates[None, :]
    error = np.zeros((count, count))
    largest = np.zeros(resamples)
    for one in range(count):
        for other in range(one + 1, count):
            apart = patient_part[one] - patient_part[other]
            known = apart[np.isfinite(apart)]
            spread = float(known.var(ddof=1)) if known.size > 1 else float("nan")
            error[one, other] = error[other, one] = np.sqrt(spread + seed_variance[one] + seed_variance[other])
            if error[one, other] > 0:
                largest = np.fmax(largest, np.abs(deviations[one] - deviations[other]) / error[one, other])
    return _settled(estimates, difference, error, deviations, largest, higher_is_better, confidence)


def _settled(
    estimates: FloatArray,
    difference: FloatArray,
    error: FloatArray,
    deviations: FloatArray,
    largest: FloatArray,
    higher_is_better: bool,
    confidence: float,
) -> Comparisons:
    count, resamples = deviations.shape
    low, high, p = np.full((3, count, count), np.nan)
    better = np.full((count, count), 0.5)
    # A p of (1 + draws beyond) / (1 + draws) is at most 1 - confidence if the value is beyond the k-th largest draw.
    beyond = int((1 - confidence) * (resamples + 1) + 1e-9)
    critical = float(np.partition(largest, -beyond)[-beyond]) if beyond else np.inf
    draws = estimates[:, None] + deviations
    for one in range(count):
        p[one, one], low[one, one], high[one, one] = 1.0, 0.0, 0.0
        for other in range(one + 1, count):
            better[one, other] = p_better(draws[one], draws[other], higher_is_better)
            better[other, one] = 1 - better[one, other]
            if not np.isfinite(difference[one, other]) or not np.isfinite(error[one, other]):
                continue
            own_low, own_high, own_p = _alone(draws[one] - draws[other], confidence)
            gap, width = difference[one, other], error[one, other]
            # Equal in every draw: a gap of nothing is no difference, any other is one without doubt.
            score = abs(gap) / width if width > 0 else (np.inf if gap else 0.0)
            adjusted = (1 + np.count_nonzero(largest >= score)) / (resamples + 1)
            p[one, other] = p[other, one] = min(1.0, max(adjusted, own_p))
            reach = critical * width if width > 0 else 0.0
            low[one, other], high[one, other] = min(gap - reach, own_low), max(gap + reach, own_high)
            low[other, one], high[other, one] = -high[one, other], -low[one, other]
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
