"""From RunResults to a Board: a pure function, every metric over the same draws of the test patients and of seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.compare import sentences as words
from hemobench.compare.agreement import abc2_agreement, volume_agreement
from hemobench.compare.calibrated import CALIBRATED, Calibrated, calibrated
from hemobench.compare.folds import by_seed, spread_of, variance_shares
from hemobench.compare.leaderboard import Board, Entry, Gap, MetricScore
from hemobench.compare.leaderboard import Question as Asked
from hemobench.errors import UserError
from hemobench.evaluation.pooled_folds import joined
from hemobench.labels import SUBTYPES
from hemobench.metrics.classification import STUDY
from hemobench.metrics.definitions import METRICS, higher_is_better, metric_range
from hemobench.stats import (
    EntrySummary,
    Question,
    WeightedStatistic,
    case_mean,
    classification_statistic,
    summarise_questions,
)
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

Predictions = SlicePredictions | CaseScores
EXCLUSIVE_METRIC = "accuracy_exclusive"
FITTED = "ece_any_calibrated"
# Beside the metrics that a suite shows, in a table of their own, where the runs hold them.
OPERATING = (
    *("sens_at_spec90_any", "spec_at_sens90_any", "ece_any", "ece_any_calibrated", "brier_any", "brier_any_calibrated"),
)
DETECTION = ("missed", "false_alarm", "lesion_sensitivity", "lesion_precision", "false_lesions", "volume_error_ml")
TYPE_METRICS = ("auroc_any", *(f"auroc_{name}" for name in SUBTYPES))


@dataclass(frozen=True)
class BoardFacts:
    """What a board says about itself, whatever its runs scored. also: see Board; None for what its task calls for.
    questions: metrics beside rank_by in which all pairs are tested, in one family with those of the ranking."""

    task: str
    title: str
    data: str
    data_fingerprint: str
    phantom: bool
    rank_by: str
    shown: tuple[str, ...]
    resamples: int
    view: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    leaky: bool = False
    also: tuple[str, ...] | None = None
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Existing:
    """What a board must know of an entry that nobody trained for it: its settings, and whether its answers can be
    scored by a metric (that of the ranking they can)."""

    told: Mapping[str, Any]
    answers: Callable[[str], bool]


@dataclass(frozen=True)
class Scored:
    """What a seed is scored on: its test answers, and by metric what calibration made of them."""

    test: Predictions
    fits: Mapping[str, Calibrated] = field(default_factory=dict)


def build_board(
    facts: BoardFacts,
    runs: Mapping[str, Sequence[RunResult]],
    references: Mapping[str, Predictions] | None = None,
    *,
    folds: int = 1,
    existing: Mapping[str, Existing] | None = None,
) -> Board:
    """Rank entries, name to one run a seed, by `facts.rank_by`; references stand below them without a rank.

    With `folds` a seed has so many runs, one after the other, whose test answers are pooled (see `folds`). existing:
    the entries that nobody trained for the board, by name. Such a one has a single run (a fold): its answers are the
    same whichever seed the others were trained with, so no part of its variance comes from seeds and its spread over
    them is NaN. Metrics that it does not answer it does not have.

    Raises:
        UserError: no entries, entries scored on different test cases, a metric that the runs do not hold.
    """
    seeds = {name: by_seed(group, folds) for name, group in runs.items()}
    tests = {name: [joined([run.test for run in seed]) for seed in group] for name, group in seeds.items()}
    references = dict(references or {})
    patient_ids = _common_patients(tests, references)
    also = _also(facts, tests) if facts.also is None else facts.also
    fits = [metric for metric in (*facts.shown, *also) if metric in CALIBRATED]
    predictions = {
        name: [_scored(seed, test, fits) for seed, test in zip(seeds[name], group, strict=True)]
        for name, group in tests.items()
    }
    names, existing = list(predictions), existing or {}
    together = (facts.rank_by, *facts.questions)
    summaries: dict[str, dict[str, EntrySummary]] = {}
    for family in (together, *((metric,) for metric in _computed(facts, tests, also) if metric not in together)):
        answering = {
            metric: [name for name in names if name not in existing or existing[name].answers(metric)]
            for metric in family
        }
        asked = {metric: [predictions[name] for name in having] for metric, having in answering.items() if having}
        found = _summaries(asked, patient_ids, facts.resamples)
        summaries |= {metric: dict(zip(answering[metric], found[metric], strict=True)) for metric in asked}
    entries = [_ranked_entry(name, predictions, seeds[name], facts, summaries) for name in names]
    entries = [_untrained(entry, existing[entry.name]) if entry.name in existing else entry for entry in entries]
    entries.sort(key=lambda entry: entry.rank or 0)
    trained = [entry for entry in entries if entry.name not in existing]
    known = [metric for metric in summaries if metric not in CALIBRATED]
    rows = [_reference_entry(name, item, patient_ids, facts, known) for name, item in references.items()]
    patients, any_test = len(np.unique(patient_ids)), tests[names[0]][0]
    spread = spread_of(facts.rank_by, any_test) if folds > 1 else "a score"
    questions = tuple(
        _question(metric, entries, summaries[metric], patients) for metric in facts.questions if metric in summaries
    )
    return Board(
        **{**vars(facts), "also": also, "questions": questions},
        entries=(*entries, *rows),
        patients=patients,
        answer=words.answer(facts.rank_by, entries, patients),
        cautions=words.cautions(trained, patients, spread),
        method=words.method(len(entries), folds, len(questions)),
        abc2_agreement=abc2_agreement(any_test),
    )


def _also(facts: BoardFacts, tests: Mapping[str, Sequence[Predictions]]) -> tuple[str, ...]:
    """Metrics that no board goes without, as far as its runs hold them and it does not show them already."""
    every = [item for group in tests.values() for item in group]
    if any(_is_exclusive(item) for item in every):
        return ()
    if facts.task == "classification":
        return tuple(metric for metric in OPERATING if metric not in facts.shown)
    held = set.intersection(*(set(item.values) for item in every if isinstance(item, CaseScores)))
    suffixes = sorted(name.removeprefix("volume_ml_true") for name in held if name.startswith("volume_ml_true"))
    names = [f"{metric}{suffix}" for suffix in suffixes for metric in DETECTION]
    return tuple(metric for metric in names if metric in held and metric not in facts.shown)


def _computed(facts: BoardFacts, tests: Mapping[str, Sequence[Predictions]], also: Sequence[str]) -> list[str]:
    """The metrics that a board holds: those it shows and, for classifiers, the AUROC of each type."""
    every = [item for group in tests.values() for item in group]
    types = facts.task == "classification" and not any(_is_exclusive(item) for item in every)
    extra = TYPE_METRICS if types else ()
    return list(dict.fromkeys((facts.rank_by, *facts.shown, *extra, *also)))


def _scored(runs: Sequence[RunResult], test: Predictions, calibrated_metrics: Sequence[str]) -> Scored:
    """A seed's answers on test, with those calibrated on each run's own validation patients where a metric asks."""
    pairs = [
        (run.validation, run.test)
        for run in runs
        if isinstance(run.validation, SlicePredictions) and isinstance(run.test, SlicePredictions)
    ]
    return Scored(test, {metric: calibrated(metric, pairs) for metric in calibrated_metrics} if pairs else {})


def _summaries(
    asked: Mapping[str, Sequence[Sequence[Scored]]], patient_ids: NDArray[np.str_], resamples: int
) -> dict[str, tuple[EntrySummary, ...]]:
    """By metric, entries in their order; differences in all these metrics are tested together."""
    questions = []
    for metric, entries in asked.items():
        direction = METRICS[metric].higher_is_better
        statistics = [[_statistic(metric, item) for item in group] for group in entries]
        questions.append(Question(statistics, True if direction is None else direction))
    return dict(zip(asked, summarise_questions(questions, patient_ids, resamples=resamples), strict=True))


def _question(metric: str, entries: Sequence[Entry], summaries: Mapping[str, EntrySummary], patients: int) -> Asked:
    """What is settled in a metric beside that of the ranking, entries in the ranking's order."""
    names = list(summaries)
    gaps = {
        one: {
            other: Gap(**vars(gap)) for other, gap in zip(names, summaries[one].to_others, strict=True) if other != one
        }
        for one in (entry.name for entry in entries)
        if one in summaries
    }
    return Asked(metric, words.question(metric, gaps, patients), gaps)


def _statistic(metric: str, scored: Scored) -> WeightedStatistic:
    predictions = scored.test
    if metric in scored.fits:
        return scored.fits[metric].statistic
    if isinstance(predictions, CaseScores):
        if metric not in predictions.values:
            held = ", ".join(sorted(predictions.values))
            raise UserError(f"metric {metric} on these runs; expected one they hold: {held}; correct the suite")
        return case_mean(predictions.values[metric])
    if _is_exclusive(predictions) != (metric == EXCLUSIVE_METRIC):
        raise UserError(
            f"metric {metric} on a board where losses of exclusive classes (cross-entropy) meet it; expected "
            f"{EXCLUSIVE_METRIC} there and only there; rank such entries on a board of their own"
        )
    if predictions.exclusive:
        hits = predictions.probabilities.argmax(axis=1) == predictions.targets.argmax(axis=1)
        return case_mean(hits.astype(np.float64))
    return classification_statistic(metric, predictions.probabilities, predictions.targets, predictions.study_ids)


def _is_exclusive(predictions: Predictions) -> bool:
    return isinstance(predictions, SlicePredictions) and predictions.exclusive


def _ranked_entry(
    name: str,
    predictions: Mapping[str, Sequence[Scored]],
    seeds: Sequence[Sequence[RunResult]],
    facts: BoardFacts,
    summaries: Mapping[str, Mapping[str, EntrySummary]],
) -> Entry:
    names, own, runs = list(predictions), predictions[name], [run for folds in seeds for run in folds]
    higher_is_better(facts.rank_by)  # UserError for a metric without a better end
    ranking = summaries[facts.rank_by][name]
    held = {metric: group[name] for metric, group in summaries.items() if name in group}
    better = ranking.p_better_than_next
    config = runs[0].config.resolved().to_mapping()
    config.pop("seed")
    return Entry(
        name=name,
        rank=ranking.rank,
        rank_interval=ranking.rank_interval,
        metrics={metric: _score(metric, summary, own[0].test, len(own)) for metric, summary in held.items()},
        p_better_than_next=None if math.isnan(better) else better,
        tied_with=tuple(names[other] for other in ranking.tied_with),
        parameters=runs[0].parameters,
        train_seconds=_mean([sum(run.timings.get("train_seconds", math.nan) for run in folds) for folds in seeds]),
        infer_ms_per_case=_mean([run.timings.get("infer_ms_per_case", math.nan) for run in runs]),
        config=config,
        seeds=tuple(folds[0].seed for folds in seeds),
        seed_scores={metric: _by_seed(metric, own) for metric in held},
        settled_from_next=ranking.settled_from_next,
        tied_with_best=ranking.tied_with_best,
        to_best=Gap(**vars(ranking.to_best)),
        to_others={
            other: Gap(**vars(gap)) for other, gap in zip(names, ranking.to_others, strict=True) if other != name
        },
        variance_shares=variance_shares(facts.rank_by, seeds) if len(seeds[0]) > 1 else _variance_shares(ranking),
        calibration=tuple(pair for scored in own if FITTED in scored.fits for pair in scored.fits[FITTED].platt),
        volume_agreement=volume_agreement([scored.test for scored in own]),
    )


def _untrained(entry: Entry, existing: Existing) -> Entry:
    """An entry without what only training gives: seeds, parameters, a configuration, causes of its variance."""
    return replace(entry, parameters=None, config=dict(existing.told), seeds=(), variance_shares={})


def _variance_shares(summary: EntrySummary) -> dict[str, float]:
    """Shares of patients, seeds and chance between them in the variance of the mean; {} where it has none."""
    parts = {name: value for name, value in vars(summary.variance).items() if math.isfinite(value)}
    whole = sum(parts.values())
    return {name: value / whole for name, value in parts.items()} if whole > 0 else {}


def _reference_entry(
    name: str, predictions: Predictions, patient_ids: NDArray[np.str_], facts: BoardFacts, metrics: Sequence[str]
) -> Entry:
    scores = {}
    for metric in metrics:
        (summary,) = _summaries({metric: [[Scored(predictions)]]}, patient_ids, facts.resamples)[metric]
        scores[metric] = _score(metric, summary, predictions, 1)
    return Entry(
        name=name,
        rank=None,
        rank_interval=None,
        metrics=scores,
        p_better_than_next=None,
        tied_with=(),
        parameters=None,
        train_seconds=None,
        infer_ms_per_case=None,
    )


def _score(metric: str, summary: EntrySummary, predictions: Predictions, seeds: int) -> MetricScore:
    """`undefined` is per seed, rounded up where seeds differ (a case may be undefined for one network only)."""
    ids = predictions.study_ids
    units = len(np.unique(ids)) if metric.endswith(STUDY) else len(ids)
    undefined = math.ceil(summary.undefined / seeds)
    least, most = metric_range(metric)
    low, high = np.clip([summary.low, summary.high], least, most)
    return MetricScore(summary.estimate, (float(low), float(high)), summary.sd_seeds, units, undefined)


def _by_seed(metric: str, seeds: Sequence[Scored]) -> tuple[float, ...]:
    everyone = np.arange(len(seeds[0].test.patient_ids))
    return tuple(_statistic(metric, scored)(everyone) for scored in seeds)


def _mean(values: Sequence[float]) -> float | None:
    defined = [value for value in values if math.isfinite(value)]
    return sum(defined) / len(defined) if defined else None


def _common_patients(
    predictions: Mapping[str, Sequence[Predictions]], references: Mapping[str, Predictions]
) -> NDArray[np.str_]:
    """Patient of each test row, which must be the same in every run: else a paired comparison means nothing."""
    rows = [(name, item) for name, group in predictions.items() for item in group]
    if not rows or not all(predictions.values()):
        raise UserError("a board without runs; expected each entry to have one run a seed; train them first")
    first = rows[0][1]
    for name, item in (*rows, *references.items()):
        same = np.array_equal(item.patient_ids, first.patient_ids) and np.array_equal(item.study_ids, first.study_ids)
        if not same:
            raise UserError(
                f"'{name}' was scored on other test cases than '{rows[0][0]}'; expected the same for every entry; "
                "train the board again in an empty --output folder"
            )
    return first.patient_ids
