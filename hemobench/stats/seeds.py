"""What retraining would change: the variance over seeds, and draws of it.

A benchmark has few seeds, and resampling three of them gives ten different draws and two thirds of their variance. So
the seeds' part of a draw comes from their estimated variance and says how little is known of it: a chi-squared draw of
the variance, a normal draw with it; together Student's t with as many degrees of freedom as the variance has. This is
the generalised interval for mixed models (Weerahandi, JASA 1993; Burdick and Graybill 1992).

The networks of two seeds score differently on the same patients for two reasons: one is better, or each is better on
some patients by chance. The patients' draws carry the second already, so it is taken off the seeds' part.

An entry's own variance over seeds is shrunk towards that of the board's other entries as far as they agree: empirical
Bayes on log variances, as in Smyth, Stat Appl Genet Mol Biol 2004 (limma). Two seeds alone say next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaincinv, polygamma

from hemobench.errors import UserError
from hemobench.stats.statistics import FloatArray

# An entry whose seeds agree to the last digit would pull the mean of the logarithms down without end.
_SMALLEST_SHARE = 1e-5
_NEWTON_STEPS = 50
# The stream of the seeds' draws, apart from that of the patients'.
_STREAM = 1


@dataclass(frozen=True)
class SeedVariance:
    """Variance of an entry's mean score that retraining alone causes, and its parts.

    `of_mean` is the shrunken variance over seeds divided by their number, known with `freedom` degrees of freedom;
    `interaction` is the part of it that is chance between seeds and patients, which draws of patients carry already.
    """

    of_mean: float
    freedom: float
    interaction: float

    @property
    def alone(self) -> float:
        """The part that draws of patients do not carry."""
        return max(0.0, self.of_mean - self.interaction)

    def draws(self, normal: FloatArray, luck: FloatArray) -> FloatArray:
        """Deviations (R,) of the mean score by retraining, from normal numbers and numbers between 0 and 1 (R,).

        `luck` says how the estimated variance turned out; entries share it, as they share most of their estimate.
        """
        if not self.of_mean > 0:
            return np.zeros(normal.shape)
        plausible = self.of_mean * self.freedom / (2 * gammaincinv(self.freedom / 2, luck))
        return np.asarray(normal * np.sqrt(np.maximum(0.0, plausible - self.interaction)), dtype=np.float64)


def seed_draws(variances: Sequence[SeedVariance], resamples: int, seed: int, score: int = 0) -> FloatArray:
    """Deviations (entries, resamples) of mean scores by retraining; zeros where an entry has one seed.

    Which of a board's scores, by number: how retraining moves one beside another is not known from a few seeds, and
    independent draws make the largest of all differences no smaller than related ones would (Royen 2014).
    """
    rng = np.random.default_rng([seed, _STREAM, score] if score else [seed, _STREAM])
    # 1 - [0, 1) leaves out 0, at which a variance would be infinite.
    luck = 1 - rng.random(resamples)
    return np.stack([variance.draws(rng.standard_normal(resamples), luck) for variance in variances])


def seed_variances(by_seed: Sequence[FloatArray], resampled: Sequence[FloatArray]) -> list[SeedVariance]:
    """From each entry's scores by seed (S,) and their resamples (S, R) to the variance that retraining adds."""
    several = [number for number, scores in enumerate(by_seed) if scores.size > 1 and np.isfinite(scores).all()]
    found = [SeedVariance(0.0, 0.0, 0.0)] * len(by_seed)
    if not several:
        return found
    own = [float(by_seed[number].var(ddof=1)) for number in several]
    shrunken, freedom = moderated_variances(own, [by_seed[number].size - 1 for number in several])
    for place, number in enumerate(several):
        count = by_seed[number].size
        interaction = seed_patient_variance(resampled[number])
        found[number] = SeedVariance(float(shrunken[place]) / count, float(freedom[place]), interaction)
    return found


def seed_patient_variance(resampled: FloatArray) -> float:
    """Variance of the mean over seeds that the chance between seeds and patients causes, from resamples (S, R)."""
    usable = resampled[:, np.isfinite(resampled).all(axis=0)]
    if usable.shape[0] < 2 or usable.shape[1] < 2:
        return 0.0
    seeds = usable.shape[0]
    apart = usable - usable.mean(axis=0)
    return float(apart.var(axis=1, ddof=1).sum() / (seeds - 1) / seeds)


def moderated_variances(variances: ArrayLike, freedom: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Sample variances (K,) with their degrees of freedom (K,), shrunk to a common value; and the freedom gained.

    Source: Smyth 2004, section 6.2. Where the variances scatter no more than chance alone makes them, all are the
    pooled one. Nothing is gained beyond the freedom that all have together.

    >>> moderated_variances([1.0, 3.0], [4, 4])
    (array([2., 2.]), array([8., 8.]))
    """
    own, degrees = np.asarray(variances, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    if own.shape != degrees.shape or own.ndim != 1 or not own.size or own.min() < 0 or degrees.min() <= 0:
        raise UserError(
            f"variances {own.tolist()} with degrees of freedom {degrees.tolist()}; expected as many of both, "
            "variances of 0 or more and freedom above 0; leave out entries with one seed"
        )
    together = float(degrees.sum())
    pooled = float(own @ degrees / together)
    if own.size < 2 or pooled == 0:
        return own, degrees
    logs = np.log(np.maximum(own, _SMALLEST_SHARE * pooled)) - digamma(degrees / 2) + np.log(degrees / 2)
    scatter = float(logs.var(ddof=1) - polygamma(1, degrees / 2).mean())
    if scatter <= 0:
        return np.full(own.shape, pooled), np.full(own.shape, together)
    prior = 2 * inverse_trigamma(scatter)
    centre = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    shrunken = (prior * centre + degrees * own) / (prior + degrees)
    return shrunken, np.minimum(prior + degrees, together)


def inverse_trigamma(value: float) -> float:
    """x > 0 with trigamma(x) = value > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix).

    >>> round(inverse_trigamma(float(polygamma(1, 2.5))), 9)
    2.5
    """
    x = 0.5 + 1 / value
    for _ in range(_NEWTON_STEPS):
        slope = float(polygamma(1, x))
        step = slope * (1 - slope / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
