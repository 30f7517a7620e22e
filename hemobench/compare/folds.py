"""Cross-validation on boards: a seed's K networks, each asked about people it never saw, give one set of answers.

What a board ranks are the answers pooled over the folds, each patient's by the one network that learnt and chose
nothing on that patient, so that intervals, ranks and comparisons rest on all patients. A metric is that of the pooled
answers, not a mean of K scores: an AUROC therefore also compares slices that two networks scored, as a threshold in use
would. Validation answers stay with their fold, because a patient who helped to choose one fold's epoch is tested in
another: calibration is fitted fold by fold and applied to that fold's answers alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.splits import Split
from hemobench.errors import UserError
from hemobench.evaluation.pooled_folds import joined
from hemobench.labels import CLASSES
from hemobench.stats import FloatArray, variance_components
from hemobench.training.result import CaseScores, Predictions, RunResult

_ANY = CLASSES.index("any")


def by_seed(runs: Sequence[RunResult], folds: int) -> list[tuple[RunResult, ...]]:
    """An entry's runs, seed after seed and in each fold after fold, as the runs of each seed.

    Raises: UserError where they are not so many or so ordered.
    """
    groups = [tuple(runs[start : start + folds]) for start in range(0, len(runs), folds)]
    if any(len(group) != folds or len({run.seed for run in group}) > 1 for group in groups):
        seeds = [run.seed for run in runs]
        raise UserError(f"runs of seeds {seeds}; expected {folds} of each in a row, one a fold; train what is missing")
    return groups


def fingerprint_of(splits: Sequence[Split]) -> str:
    """The split's fingerprint, or one of all folds together."""
    if len(splits) == 1:
        return splits[0].fingerprint
    return hashlib.sha256(" ".join(split.fingerprint for split in splits).encode()).hexdigest()


def variance_shares(metric: str, seeds: Sequence[Sequence[RunResult]]) -> dict[str, float]:
    """Shares of patients, seeds, folds and chance (`interaction`) in the variance of an entry's mean score.

    Of each patient's score, see `spread_of`, by analysis of variance (`stats.components`). With one seed, seeds are
    left out and chance is part of patients. {} where a fold has fewer than two patients with a score in every seed.
    """
    parts = [run.test for run in seeds[0]]
    people = np.concatenate([part.patient_ids for part in parts])
    _, first, patient = np.unique(people, return_index=True, return_inverse=True)
    fold = np.repeat(np.arange(len(parts)), [len(part.patient_ids) for part in parts])[first]
    rows = [_row_scores(metric, joined([run.test for run in folds])) for folds in seeds]
    scores = np.stack([_means(values, patient, len(first)) for values in rows])
    known = np.isfinite(scores).all(axis=0)
    scores, fold = scores[:, known], fold[known]
    if np.bincount(fold, minlength=len(parts)).min() < 2:
        return {}
    seed, number = np.indices(scores.shape)
    found = variance_components(scores.ravel(), number.ravel(), seed.ravel(), np.tile(fold, len(scores)))
    of_mean = asdict(found.of_mean(patients=len(fold), seeds=len(scores), folds=len(parts)))
    of_mean["interaction"] = of_mean.pop("residual")
    whole = float(np.nansum(list(of_mean.values())))
    return {name: value / whole for name, value in of_mean.items() if np.isfinite(value)} if whole > 0 else {}


def spread_of(metric: str, test: Predictions) -> str:
    """The score, in words, that `variance_shares` divides: the metric itself where each case or slice has a value.

    Others of classifiers, such as an AUROC, have none for one patient; the Brier score of `any`, a proper score that
    every patient has, stands for them.
    """
    own = isinstance(test, CaseScores) or test.exclusive
    return f"{metric} by patient" if own else "the Brier score of `any` by patient (an AUROC has no value for one)"


def _row_scores(metric: str, test: Predictions) -> FloatArray:
    if isinstance(test, CaseScores):
        return test.values[metric]
    if test.exclusive:
        return np.asarray(test.probabilities.argmax(axis=1) == test.targets.argmax(axis=1), dtype=np.float64)
    return np.asarray((test.probabilities[:, _ANY].astype(np.float64) - test.targets[:, _ANY]) ** 2)


def _means(values: FloatArray, patient: NDArray[np.intp], patients: int) -> FloatArray:
    """Mean (P,) of each patient's rows (N,) that have a value; NaN without any."""
    known = np.isfinite(values)
    counts = np.bincount(patient[known], minlength=patients)
    sums = np.bincount(patient[known], weights=values[known], minlength=patients)
    return np.divide(sums, counts, out=np.full(patients, np.nan), where=counts > 0)
