"""A board's statistics: each entry's score with its interval, spread and rank, and what tells entries apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata, t

from hemobench.errors import UserError
from hemobench.stats.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    bootstrap_with_estimates,
    patients_of,
    percentile_interval,
)
from hemobench.stats.comparisons import Comparisons, Scores, compare_all
from hemobench.stats.seeds import seed_draws, seed_patient_variance, seed_variances
from hemobench.stats.statistics import FloatArray, RowStatistic, WeightedStatistic


class Question(NamedTuple):
    """One score that a board compares its entries in: a statistic for each entry's seeds, and its better end."""

    entries: Sequence[Sequence[RowStatistic]]
    higher_is_better: bool


class RankIntervals(NamedTuple):
    """Rank (1 is best) of each model and the interval of its rank over resamples: three integer arrays (models,)."""

    rank: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


@dataclass(frozen=True)
class VarianceParts:
    """Variance of an entry's mean score by its causes: which patients, which seeds, and chance between the two.

    With one seed `seed` is unknown (NaN) and `interaction` is part of `patient`.
    """

    patient: float
    seed: float
    interaction: float


@dataclass(frozen=True)
class Gap:
    """An entry's score minus another's, with simultaneous limits and p adjusted for all pairs (see Comparisons)."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class EntrySummary:
    """What a board says about one entry; entries keep the order in which they were given.

    `estimate` is the mean over seeds and `sd_seeds` their sample standard deviation (NaN with one seed); low and high
    the interval over draws of patients and seeds. p_better_than holds, for every entry, the share of draws in which
    this one is better, that pair taken alone; p_better_than_next is that against the entry one rank below (NaN for the
    last). tied_with: indices of the others that patients and seeds do not tell apart, all pairs (and scores, where a
    board asks about several) tested together (see Comparisons); settled_from_next and tied_with_best are read from it.
    to_others: the score minus each entry's, its own included, in the order given.
    """

    estimate: float
    sd_seeds: float
    low: float
    high: float
    rank: int
    rank_interval: tuple[int, int]
    p_better_than: tuple[float, ...]
    p_better_than_next: float
    settled_from_next: bool
    tied_with: tuple[int, ...]
    tied_with_best: bool
    to_best: Gap
    to_others: tuple[Gap, ...]
    variance: VarianceParts
    undefined: int
    undefined_resamples: int


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
    """A board's statistics in one score: each entry is one statistic a seed, all on the rows of patient_ids (N,).

    A draw takes patients with replacement, the same for every entry, and adds what retraining would change
    (`seeds`). Intervals, ranks and comparisons are those of the mean over seeds.
    """
    question = Question(entries, higher_is_better)
    return summarise_questions([question], patient_ids, resamples=resamples, seed=seed, confidence=confidence)[0]


def summarise_questions(
    questions: Sequence[Question],
    patient_ids: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[tuple[EntrySummary, ...], ...]:
    """The statistics of each of a board's questions, on the same draws of patients, all differences tested together."""
    drawn = [
        _drawn(question, patient_ids, resamples, seed, number, confidence) for number, question in enumerate(questions)
    ]
    compared = compare_all([one.scores for one in drawn], confidence=confidence)
    found = []
    for question, one, own in zip(questions, drawn, compared, strict=True):
        scores = one.scores
        draws = scores.estimates[:, None] + scores.patient_part + scores.seed_part
        ranks = rank_intervals(draws, question.higher_is_better, estimates=scores.estimates, confidence=confidence)
        found.append(
            tuple(
                _entry_summary(place, statistics, one.by_seed[place], one.resampled[place], draws[place], ranks, own)
                for place, statistics in enumerate(question.entries)
            )
        )
    return tuple(found)


class _Drawn(NamedTuple):
    """A question's scores by entry and seed, their resamples, and what comparisons take from them."""

    by_seed: list[FloatArray]
    resampled: list[FloatArray]
    scores: Scores


def _drawn(
    question: Question, patient_ids: ArrayLike, resamples: int, seed: int, number: int, confidence: float
) -> _Drawn:
    entries = question.entries
    if not entries or not all(entries):
        raise UserError(f"{len(entries)} entries, some without a statistic; expected one a seed; train them first")
    flat = [statistic for seeds in entries for statistic in seeds]
    estimates, scores = bootstrap_with_estimates(flat, patient_ids, resamples=resamples, seed=seed)
    ends = np.cumsum([len(seeds) for seeds in entries])[:-1]
    by_seed, resampled = np.split(estimates, ends), np.split(scores, ends)
    means = np.array([values.mean() for values in by_seed])
    stretch = few_patients_factor(patients_of(patient_ids)[1], confidence)
    patient_part = stretch * (np.stack([values.mean(axis=0) for values in resampled]) - means[:, None])
    retraining = seed_variances(by_seed, resampled)
    seed_part = seed_draws(retraining, resamples, seed, number)
    alone = np.array([variance.alone for variance in retraining])
    return _Drawn(by_seed, resampled, Scores(means, patient_part, seed_part, alone, question.higher_is_better))


def few_patients_factor(patients: int, confidence: float = CONFIDENCE) -> float:
    """By how much deviations over draws of few patients are too small for an interval of this confidence.

    A bootstrap of n patients has (n - 1) / n of the variance and does not know that it was estimated: 3% at 60
    patients, 22% at 10. Source: Hesterberg, The American Statistician 2015, section 3.2.

    >>> round(few_patients_factor(60), 3), round(few_patients_factor(10), 2)
    (1.03, 1.22)
    """
    if patients < 2:
        return 1.0
    upper = (1 + confidence) / 2
    return float(t.ppf(upper, patients - 1) / norm.ppf(upper) * np.sqrt(patients / (patients - 1)))


def variance_parts(by_seed: FloatArray, resampled: FloatArray) -> VarianceParts:
    """Causes of the variance of the mean over seeds, from scores by seed (S,) and their resamples (S, R)."""
    mean = resampled.mean(axis=0)
    known = mean[np.isfinite(mean)]
    whole = float(known.var(ddof=1)) if known.size > 1 else float("nan")
    if by_seed.size < 2:
        return VarianceParts(whole, float("nan"), float("nan"))
    interaction = seed_patient_variance(resampled)
    seeds = float(by_seed.var(ddof=1)) / by_seed.size
    return VarianceParts(max(0.0, whole - interaction), max(0.0, seeds - interaction), interaction)


def _entry_summary(
    number: int,
    statistics: Sequence[RowStatistic],
    seeds: FloatArray,
    resampled: FloatArray,
    draws: FloatArray,
    ranks: RankIntervals,
    compared: Comparisons,
) -> EntrySummary:
    low, high, undefined = percentile_interval(draws, compared.confidence)
    # Stable in the entries' order, so that ties in rank have one next entry each.
    standing = sorted(range(len(ranks.rank)), key=lambda entry: int(ranks.rank[entry]))
    place, best = standing.index(number) + 1, standing[0]
    below = standing[place] if place < len(standing) else None
    tied = tuple(other for other in range(len(ranks.rank)) if other != number and compared.tied(number, other))
    left_out = [statistic.undefined for statistic in statistics if isinstance(statistic, WeightedStatistic)]
    fields = np.stack([compared.difference[number], compared.low[number], compared.high[number], compared.p[number]])
    gaps = tuple(Gap(*map(float, values)) for values in fields.T)
    return EntrySummary(
        estimate=float(seeds.mean()),
        sd_seeds=float(seeds.std(ddof=1)) if seeds.size > 1 else float("nan"),
        low=low,
        high=high,
        rank=int(ranks.rank[number]),
        rank_interval=(int(ranks.low[number]), int(ranks.high[number])),
        p_better_than=tuple(float(p) for p in compared.better[number]),
        p_better_than_next=float("nan") if below is None else float(compared.better[number, below]),
        settled_from_next=below is not None and below not in tied,
        tied_with=tied,
        tied_with_best=number == best or best in tied,
        to_best=gaps[best],
        to_others=gaps,
        variance=variance_parts(seeds, resampled),
        undefined=sum(left_out),
        undefined_resamples=undefined,
    )


def _row_means(values: FloatArray) -> FloatArray:
    return np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in values])


def _ranks(values: FloatArray, higher_is_better: bool) -> NDArray[np.int64]:
    cost = np.where(np.isfinite(values), -values if higher_is_better else values, np.inf)
    return np.asarray(rankdata(cost, method="min", axis=0), dtype=np.int64)
