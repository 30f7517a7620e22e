"""The patient bootstrap: draws of patients, scores of many statistics on the same draws, percentile intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError
from hemobench.stats.statistics import FloatArray, IndexArray, RowStatistic, WeightedStatistic

CONFIDENCE = 0.95
RESAMPLES = 1000
# Small enough that the few arrays of this size that a metric of rows makes stay in the cache.
_CHUNK_ELEMENTS = 200_000


@dataclass(frozen=True)
class Interval:
    """Score of all patients with its interval; `undefined` of `resamples` draws had no score and were left out."""

    estimate: float
    low: float
    high: float
    undefined: int
    resamples: int


@dataclass(frozen=True)
class Difference:
    """Score of a minus score of b on the same patients; p_better is the share of draws in which a is better."""

    estimate: float
    low: float
    high: float
    p_better: float
    undefined: int
    resamples: int


def patient_draws(patients: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each patient is drawn in each resample: (resamples, patients), every row summing to `patients`."""
    if patients < 1 or resamples < 1:
        raise UserError(f"{resamples} resamples of {patients} patients; expected one or more of both; raise them")
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1.0 / patients), size=resamples)


def bootstrap_scores(
    entries: Sequence[RowStatistic], patient_ids: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> FloatArray:
    """Scores (entries, resamples) of every entry on the same draws of patients; patient_ids (N,) one a row.

    WeightedStatistics are scored in blocks, other functions one resample at a time. NaN where a draw has no score.
    """
    return bootstrap_with_estimates(entries, patient_ids, resamples=resamples, seed=seed)[1]


def bootstrap_with_estimates(
    entries: Sequence[RowStatistic], patient_ids: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Scores of all rows (entries,), and those of `bootstrap_scores` (entries, resamples)."""
    patient_of_row, patients = patients_of(patient_ids)
    _check_rows(entries, patient_of_row.size)
    # The sample itself comes first: every patient once.
    draws = np.concatenate([np.ones((1, patients), dtype=np.int64), patient_draws(patients, resamples, seed)])
    as_float = draws.astype(np.float64)
    scores = np.stack([_scores_of(entry, patient_of_row, draws, as_float) for entry in entries])
    return scores[:, 0], scores[:, 1:]


def patient_bootstrap(
    statistic: RowStatistic,
    patient_ids: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Score of all rows and its percentile interval over draws of patients; patient_ids (N,) one a row.

    With fewer than about twenty patients it is somewhat too narrow.
    """
    estimates, scores = bootstrap_with_estimates([statistic], patient_ids, resamples=resamples, seed=seed)
    low, high, undefined = percentile_interval(scores[0], confidence)
    return Interval(float(estimates[0]), low, high, undefined, resamples)


def paired_patient_bootstrap(
    statistic_a: RowStatistic,
    statistic_b: RowStatistic,
    patient_ids: ArrayLike,
    *,
    higher_is_better: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Difference a minus b on the same draws of patients, and how often a is better (equal draws count half)."""
    both = [statistic_a, statistic_b]
    estimates, (a, b) = bootstrap_with_estimates(both, patient_ids, resamples=resamples, seed=seed)
    low, high, undefined = percentile_interval(a - b, confidence)
    estimate = float(estimates[0] - estimates[1])
    return Difference(estimate, low, high, p_better(a, b, higher_is_better), undefined, resamples)


def percentile_interval(scores: FloatArray, confidence: float = CONFIDENCE) -> tuple[float, float, int]:
    """Low, high and the number of NaN left out of resampled scores (R,); NaN bounds where none is defined."""
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence}; expected a number between 0 and 1; 0.95 is usual")
    defined = scores[np.isfinite(scores)]
    undefined = int(scores.size - defined.size)
    if not defined.size:
        return float("nan"), float("nan"), undefined
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high), undefined


def p_better(a: FloatArray, b: FloatArray, higher_is_better: bool) -> float:
    """Share of paired resamples (R,) in which a is better than b, ties counting half; NaN if none is defined."""
    difference = (a - b) if higher_is_better else (b - a)
    defined = difference[np.isfinite(difference)]
    return float(np.mean((defined > 0) + 0.5 * (defined == 0))) if defined.size else float("nan")


def patients_of(patient_ids: ArrayLike) -> tuple[IndexArray, int]:
    """Number of each row's patient (N,), counted from 0, and how many patients there are."""
    ids = np.asarray(patient_ids)
    if ids.ndim != 1 or ids.size == 0:
        raise UserError(f"patient ids of shape {ids.shape}; expected a vector (N,); give one id a row")
    names, patient_of_row = np.unique(ids, return_inverse=True)
    return patient_of_row.astype(np.intp), names.size


def _scores_of(
    entry: RowStatistic, patient_of_row: IndexArray, draws: NDArray[np.int64], as_float: FloatArray
) -> FloatArray:
    """One entry's score in each draw (R,)."""
    if not isinstance(entry, WeightedStatistic):
        weights = draws[:, patient_of_row]
        return np.asarray([entry(np.repeat(np.arange(row.size), row)) for row in weights], dtype=np.float64)
    if entry.by_cluster is not None:
        return entry.by_cluster(patient_of_row, draws.shape[1])(as_float)
    block = max(1, _CHUNK_ELEMENTS // patient_of_row.size)
    parts = [as_float[start : start + block] for start in range(0, len(as_float), block)]
    return np.concatenate([entry.evaluate(part[:, patient_of_row]) for part in parts])


def _check_rows(entries: Sequence[RowStatistic], rows: int) -> None:
    for number, entry in enumerate(entries):
        if isinstance(entry, WeightedStatistic) and entry.rows != rows:
            raise UserError(
                f"entry {number} has {entry.rows} rows and there are {rows} patient ids; "
                "expected one id a row; score every entry on the same cases"
            )
