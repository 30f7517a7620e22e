"""Do probabilities mean what they say: Brier score, expected calibration error, the reliability curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize
from scipy.special import expit, log_expit

from hemobench.errors import unknown_name
from hemobench.metrics.validation import BoolArray, FloatArray, checked_probabilities

ECE_BINS = 15
"""Bins of `ece_any`: 15 of equal width, as in Guo et al., ICML 2017."""
MIN_PLATT = 5
"""Fewest positives and negatives that a calibration is fitted to."""
STRATEGIES = ("equal-width", "equal-mass")


@dataclass(frozen=True)
class ReliabilityCurve:
    """One entry a bin that holds examples: mean probability, observed frequency, number of examples."""

    mean_probability: FloatArray
    frequency: FloatArray
    count: NDArray[np.int64]


def brier_score(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Mean squared distance of probabilities (N,) from targets (N,) of 0 and 1; 0 is best.

    Source: Brier, Monthly Weather Review 1950, the two-class form.

    >>> brier_score([1.0, 0.5], [1, 1])
    0.125
    """
    values, truth = _checked(probabilities, targets)
    return float(np.mean((values - truth) ** 2))


def expected_calibration_error(
    probabilities: ArrayLike, targets: ArrayLike, bins: int = ECE_BINS, strategy: str = "equal-width"
) -> float:
    """Mean over bins, weighted by count, of |mean probability - observed frequency|; inputs (N,).

    `equal-width` cuts [0, 1] into intervals (a, b]; `equal-mass` gives every bin the same number of examples, up to
    one, in order of probability. It is the probability of the positive class that is binned. Biased upward where bins
    hold few examples. Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    curve = reliability_curve(probabilities, targets, bins, strategy)
    gaps = np.abs(curve.mean_probability - curve.frequency)
    return float(np.average(gaps, weights=curve.count))


def reliability_curve(
    probabilities: ArrayLike, targets: ArrayLike, bins: int = ECE_BINS, strategy: str = "equal-width"
) -> ReliabilityCurve:
    """Mean probability against observed frequency in bins; empty bins are left out. See expected_calibration_error."""
    values, truth = _checked(probabilities, targets)
    if strategy not in STRATEGIES:
        raise unknown_name("binning strategy", strategy, STRATEGIES)
    index = width_bins(values, bins) if strategy == "equal-width" else _mass_bins(values, bins)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    sums = np.bincount(index, weights=values, minlength=bins)[filled]
    hits = np.bincount(index, weights=truth, minlength=bins)[filled]
    kept = count[filled].astype(np.int64)
    return ReliabilityCurve(mean_probability=sums / kept, frequency=hits / kept, count=kept)


def fit_platt(logits: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """(a, b) with a >= 0 of probability = sigmoid(a * logit + b), fitted to targets (N,) of 0 and 1.

    Maximum likelihood on Platt's softened targets, (n1 + 1) / (n1 + 2) and 1 / (n0 + 2), which keep the slope finite
    where the two kinds do not overlap. With fewer than MIN_PLATT of either kind nothing is fitted: (1, 0).
    Source: Platt, Advances in Large Margin Classifiers, 1999.

    >>> fit_platt([-1.0, 1.0], [0, 1])
    (1.0, 0.0)
    """
    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(targets).astype(np.bool_)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if min(positive, negative) < MIN_PLATT:
        return 1.0, 0.0
    wanted = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def surprise(parameters: FloatArray) -> tuple[float, FloatArray]:
        slope, offset = parameters
        answer = slope * scores + offset
        cost = -np.mean(wanted * log_expit(answer) + (1 - wanted) * log_expit(-answer))
        excess = expit(answer) - wanted
        return float(cost), np.asarray([np.mean(excess * scores), np.mean(excess)])

    found = optimize.minimize(surprise, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=((0, None), (None, None)))
    slope, offset = found.x
    return float(slope), float(offset)


def weighted_calibration_error(
    probabilities: FloatArray, targets: BoolArray, weights: FloatArray, bins: int = ECE_BINS
) -> FloatArray:
    """Equal-width expected calibration error for each row weighting: weights (R, N) -> (R,)."""
    # The weight a bin holds cancels: sum_b |sum of (p - y) in b| / sum of weights.
    member = width_bins(probabilities, bins)[:, None] == np.arange(bins)
    gaps = weights @ (member * (probabilities - targets)[:, None])
    error: FloatArray = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return error


def clustered_calibration_error(
    probabilities: FloatArray, targets: BoolArray, cluster: NDArray[np.intp], clusters: int, bins: int = ECE_BINS
) -> Callable[[FloatArray], FloatArray]:
    """The same as a function of weights of clusters (R, clusters); cluster (N,) from 0 to clusters - 1."""
    place = cluster * bins + width_bins(probabilities, bins)
    gaps = np.bincount(place, weights=probabilities - targets, minlength=clusters * bins).reshape(clusters, bins)
    counts = np.bincount(cluster, minlength=clusters)

    def error(weights: FloatArray) -> FloatArray:
        return np.asarray(np.abs(weights @ gaps).sum(axis=1) / (weights @ counts), dtype=np.float64)

    return error


def width_bins(probabilities: FloatArray, bins: int) -> NDArray[np.intp]:
    """Bin of each probability among intervals (a, b] of equal width; 0 goes to the first."""
    inner = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    return np.searchsorted(inner, probabilities, side="left")


def _mass_bins(probabilities: FloatArray, bins: int) -> NDArray[np.intp]:
    rank = np.empty(probabilities.size, dtype=np.intp)
    rank[np.argsort(probabilities, kind="stable")] = np.arange(probabilities.size)
    return rank * bins // probabilities.size


def _checked(probabilities: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, BoolArray]:
    values, truth = checked_probabilities(np.reshape(probabilities, (-1, 1)), np.reshape(targets, (-1, 1)), 1)
    return values[:, 0], truth[:, 0]
