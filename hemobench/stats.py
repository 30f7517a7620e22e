"""Intervals, paired differences and ranks by resampling patients, never slices: the patient is the unit.

Slices of one patient resemble each other, so resampling slices would give intervals that are too narrow. Here whole
patients are drawn with replacement (the cluster bootstrap: Efron and Tibshirani 1993, ch. 8; Field and Welsh, JRSS B
2007), every entry of a comparison is scored on the same draws (paired), and intervals are percentiles of the resampled
scores. They tell what other patients would do to the score of these trained networks; the spread over seeds, which
retraining adds, stands beside them as `sd_seeds`. With fewer than about twenty patients they are somewhat too narrow.

A statistic is a function of row indices. `WeightedStatistic`s are that too, and score a thousand resamples at once:
drawing a row k times is giving it the weight k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from hemobench.errors import UserError, unknown_name
from hemobench.metrics.classification import (
    BASE_METRICS,
    STUDY,
    WeightedMetric,
    study_maximum,
    undefined_subtypes,
    weighted_classification_metric,
)

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]
RowStatistic = Callable[[IndexArray], float]
"""Row indices, repeated as often as drawn, -> the score of those rows (NaN where undefined)."""

CONFIDENCE = 0.95
RESAMPLES = 1000
_CHUNK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class WeightedStatistic:
    """A statistic that takes row weights (R, rows) and gives R scores; called with row indices it gives one.

    `undefined` counts what the full sample leaves out: cases whose value is NaN, classes without an AUROC.
    """

    evaluate: WeightedMetric
    rows: int
    undefined: int = 0

    def __call__(self, rows: IndexArray) -> float:
        """Score of the rows with these indices."""
        weights = np.bincount(np.asarray(rows, dtype=np.intp), minlength=self.rows).astype(np.float64)
        return float(self.evaluate(weights[None, :])[0])


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


class RankIntervals(NamedTuple):
    """Rank (1 is best) of each model and the interval of its rank over resamples: three integer arrays (models,)."""

    rank: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


@dataclass(frozen=True)
class EntrySummary:
    """What a board says about one entry; entries keep the order in which they were given.

    `estimate` is the mean over seeds and `sd_seeds` their sample standard deviation (NaN with one seed). p_better_than
    holds, for every entry, the share of draws in which this one is better; tied_with the indices of the others that the
    data do not tell apart; p_better_than_next is that against the entry one rank below (NaN for the last).
    """

    estimate: float
    sd_seeds: float
    low: float
    high: float
    rank: int
    rank_interval: tuple[int, int]
    p_better_than: tuple[float, ...]
    p_better_than_next: float
    tied_with: tuple[int, ...]
    undefined: int
    undefined_resamples: int


def case_mean(values: ArrayLike) -> WeightedStatistic:
    """Mean over cases of a per-case metric (N,): NaN values are left out of the mean and counted in `undefined`.

    Two models may be undefined on different cases (Dice on a case without a lesion is 0 for one that invents a lesion
    there and undefined for one that does not), so look at the counts beside the means.
    """
    cases = np.asarray(values, dtype=np.float64)
    if cases.ndim != 1 or cases.size == 0:
        raise UserError(f"case values of shape {cases.shape}; expected a vector (N,); give one value a case")
    defined = ~np.isnan(cases)
    evaluate = partial(_defined_mean, np.where(defined, cases, 0.0), defined.astype(np.float64))
    return WeightedStatistic(evaluate, cases.size, int(np.count_nonzero(~defined)))


def classification_statistic(
    name: str, probabilities: ArrayLike, targets: ArrayLike, study_ids: ArrayLike | None = None
) -> WeightedStatistic:
    """The metric `name` of `classification_metrics`, `_study` ones included, of probabilities and targets (N, 6).

    `_study` needs study_ids (N,); a study is then drawn as a whole, with its patient.
    """
    truth = np.asarray(targets)
    if not name.endswith(STUDY):
        return _classification_statistic(name, probabilities, truth, len(truth))
    if study_ids is None:
        raise UserError(f"metric '{name}' without study ids; expected one id a row; pass study_ids")
    if name.removesuffix(STUDY) not in BASE_METRICS:
        raise unknown_name("classification metric", name, [base + STUDY for base in BASE_METRICS])
    study_probabilities, study_truth, first = study_maximum(probabilities, truth, study_ids)
    of_studies = _classification_statistic(name.removesuffix(STUDY), study_probabilities, study_truth, len(first))
    study = np.unique(np.asarray(study_ids), return_inverse=True)[1]
    evaluate = partial(_by_study, of_studies.evaluate, first, study)
    return WeightedStatistic(evaluate, len(truth), of_studies.undefined)


def mean_over_seeds(statistics: Sequence[RowStatistic]) -> RowStatistic:
    """The mean of several statistics on the same rows, one a seed; undefined where one of them is."""
    weighted = [statistic for statistic in statistics if isinstance(statistic, WeightedStatistic)]
    if not statistics or (weighted and len(weighted) != len(statistics)):
        raise UserError(f"{len(statistics)} statistics of mixed kinds; expected one kind and one or more; split them")
    if weighted:
        evaluations = [statistic.evaluate for statistic in weighted]
        undefined = sum(statistic.undefined for statistic in weighted)
        return WeightedStatistic(partial(_mean_evaluation, evaluations), weighted[0].rows, undefined)
    return partial(_mean_of_rows, tuple(statistics))


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
    patient_of_row, patients = _patients(patient_ids)
    _check_rows(entries, patient_of_row.size)
    draws = patient_draws(patients, resamples, seed)
    scores = np.full((len(entries), resamples), np.nan)
    block = max(1, _CHUNK_ELEMENTS // patient_of_row.size)
    for start in range(0, resamples, block):
        part = slice(start, start + block)
        weights = draws[part][:, patient_of_row]
        as_float = weights.astype(np.float64)
        for number, entry in enumerate(entries):
            if isinstance(entry, WeightedStatistic):
                scores[number, part] = entry.evaluate(as_float)
            else:
                scores[number, part] = [entry(np.repeat(np.arange(row.size), row)) for row in weights]
    return scores


def patient_bootstrap(
    statistic: RowStatistic,
    patient_ids: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Score of all rows and its percentile interval over draws of patients; patient_ids (N,) one a row."""
    scores = bootstrap_scores([statistic], patient_ids, resamples=resamples, seed=seed)[0]
    low, high, undefined = percentile_interval(scores, confidence)
    return Interval(_full_score(statistic, patient_ids), low, high, undefined, resamples)


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
    a, b = bootstrap_scores([statistic_a, statistic_b], patient_ids, resamples=resamples, seed=seed)
    low, high, undefined = percentile_interval(a - b, confidence)
    estimate = _full_score(statistic_a, patient_ids) - _full_score(statistic_b, patient_ids)
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


def rank_intervals(
    scores: ArrayLike,
    higher_is_better: bool,
    *,
    estimates: ArrayLike | None = None,
    confidence: float = CONFIDENCE,
) -> RankIntervals:
    """Ranks of models from paired scores (models, resamples), 1 best, and the interval of each rank.

    `rank` orders `estimates` (models,) where given, else the mean score. Models that tie share the better rank. In a
    draw that is undefined for a model this one ranks last; draws undefined for all are left out.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise UserError(f"scores of shape {values.shape}; expected (models, resamples); use bootstrap_scores")
    usable = values[:, np.isfinite(values).any(axis=0)]
    centre = _row_means(usable) if estimates is None else np.asarray(estimates, dtype=np.float64)
    rank = _ranks(centre[:, None], higher_is_better)[:, 0]
    if not usable.size:
        return RankIntervals(rank, np.ones_like(rank), np.full_like(rank, len(values)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(_ranks(usable, higher_is_better), [tail, 1 - tail], axis=1, method="inverted_cdf")
    return RankIntervals(rank, low.astype(np.int64), high.astype(np.int64))


def summarise_entries(
    entries: Sequence[Sequence[RowStatistic]],
    patient_ids: ArrayLike,
    *,
    higher_is_better: bool,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[EntrySummary, ...]:
    """A board's statistics: each entry is one statistic a seed, all on the same rows with patient_ids (N,).

    Entries are tied where neither is better in more than a share (1 + confidence) / 2 of the draws: between 0.025 and
    0.975 at 95%. Ranks, intervals and comparisons are those of the mean over seeds.
    """
    means = [mean_over_seeds(seeds) for seeds in entries]
    by_seed = [np.array([_full_score(statistic, patient_ids) for statistic in seeds]) for seeds in entries]
    estimates = np.array([values.mean() for values in by_seed])
    scores = bootstrap_scores(means, patient_ids, resamples=resamples, seed=seed)
    ranks = rank_intervals(scores, higher_is_better, estimates=estimates, confidence=confidence)
    better = np.array([[p_better(a, b, higher_is_better) for b in scores] for a in scores])
    return tuple(
        _entry_summary(number, by_seed[number], means[number], scores, ranks, better, confidence)
        for number in range(len(entries))
    )


def _entry_summary(
    number: int,
    seeds: FloatArray,
    statistic: RowStatistic,
    scores: FloatArray,
    ranks: RankIntervals,
    better: FloatArray,
    confidence: float,
) -> EntrySummary:
    low, high, undefined = percentile_interval(scores[number], confidence)
    tail = (1 - confidence) / 2
    others = [other for other in range(len(scores)) if other != number]
    # Stable in the entries' order, so that ties in rank have one next entry each.
    standing = sorted(range(len(scores)), key=lambda entry: int(ranks.rank[entry]))
    place = standing.index(number) + 1
    return EntrySummary(
        estimate=float(seeds.mean()),
        sd_seeds=float(seeds.std(ddof=1)) if seeds.size > 1 else float("nan"),
        low=low,
        high=high,
        rank=int(ranks.rank[number]),
        rank_interval=(int(ranks.low[number]), int(ranks.high[number])),
        p_better_than=tuple(float(p) for p in better[number]),
        p_better_than_next=float(better[number, standing[place]]) if place < len(standing) else float("nan"),
        # Written so that an undefined comparison (NaN) counts as a tie: nothing tells the two apart.
        tied_with=tuple(other for other in others if not abs(better[number, other] - 0.5) > 0.5 - tail),
        undefined=statistic.undefined if isinstance(statistic, WeightedStatistic) else 0,
        undefined_resamples=undefined,
    )


def _classification_statistic(
    name: str, probabilities: ArrayLike, targets: NDArray[np.generic], rows: int
) -> WeightedStatistic:
    metric = weighted_classification_metric(name, probabilities, targets)
    left_out = len(undefined_subtypes(targets)) if name == "auroc_macro" else 0
    return WeightedStatistic(metric, rows, left_out)


def _defined_mean(values: FloatArray, defined: FloatArray, weights: FloatArray) -> FloatArray:
    count = weights @ defined
    return np.divide(weights @ values, count, out=np.full(count.shape, np.nan), where=count > 0)


def _by_study(metric: WeightedMetric, first: IndexArray, study: IndexArray, weights: FloatArray) -> FloatArray:
    # All rows of a study carry their patient's weight, so the first one stands for the study.
    of_studies = weights[:, first]
    if not np.array_equal(of_studies[:, study], weights):
        raise UserError(
            "a study was drawn in part; expected all its slices to belong to one patient; "
            "make study ids differ between patients"
        )
    return metric(of_studies)


def _mean_evaluation(evaluations: Sequence[WeightedMetric], weights: FloatArray) -> FloatArray:
    return np.asarray(np.mean([evaluate(weights) for evaluate in evaluations], axis=0), dtype=np.float64)


def _mean_of_rows(statistics: Sequence[RowStatistic], rows: IndexArray) -> float:
    return float(np.mean([statistic(rows) for statistic in statistics]))


def _full_score(statistic: RowStatistic, patient_ids: ArrayLike) -> float:
    return float(statistic(np.arange(np.asarray(patient_ids).size)))


def _patients(patient_ids: ArrayLike) -> tuple[IndexArray, int]:
    ids = np.asarray(patient_ids)
    if ids.ndim != 1 or ids.size == 0:
        raise UserError(f"patient ids of shape {ids.shape}; expected a vector (N,); give one id a row")
    names, patient_of_row = np.unique(ids, return_inverse=True)
    return patient_of_row.astype(np.intp), names.size


def _check_rows(entries: Sequence[RowStatistic], rows: int) -> None:
    for number, entry in enumerate(entries):
        if isinstance(entry, WeightedStatistic) and entry.rows != rows:
            raise UserError(
                f"entry {number} has {entry.rows} rows and there are {rows} patient ids; "
                "expected one id a row; score every entry on the same cases"
            )


def _row_means(values: FloatArray) -> FloatArray:
    return np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in values])


def _ranks(values: FloatArray, higher_is_better: bool) -> NDArray[np.int64]:
    cost = np.where(np.isfinite(values), -values if higher_is_better else values, np.inf)
    return np.asarray(rankdata(cost, method="min", axis=0), dtype=np.int64)
