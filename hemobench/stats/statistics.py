"""Statistics: scores as functions of which rows were drawn, and how often.

A statistic is a function of row indices. `WeightedStatistic`s are that too, and score a thousand resamples at once:
drawing a row k times is giving it the weight k. Those made here can also sum their rows up by patient beforehand, which
makes a resample cheaper: for means its cost is that of the number of patients, not of slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError, unknown_name
from hemobench.metrics.classification import (
    BASE_METRICS,
    STUDY,
    WeightedMetric,
    clustered_classification_metric,
    study_maximum,
    undefined_subtypes,
    weighted_classification_metric,
)

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]
RowStatistic = Callable[[IndexArray], float]
"""Row indices, repeated as often as drawn, -> the score of those rows (NaN where undefined)."""
ByCluster = Callable[[IndexArray, int], WeightedMetric]
"""(cluster of each row (N,), number of clusters) -> the metric as a function of cluster weights (R, clusters)."""


@dataclass(frozen=True)
class WeightedStatistic:
    """A statistic that takes row weights (R, rows) and gives R scores; called with row indices it gives one.

    `undefined` counts what the full sample leaves out: cases whose value is NaN, classes without an AUROC.
    `by_cluster` gives the same scores from weights of patients; None where only the rows will do.
    """

    evaluate: WeightedMetric
    rows: int
    undefined: int = 0
    by_cluster: ByCluster | None = None

    def __call__(self, rows: IndexArray) -> float:
        """Score of the rows with these indices."""
        weights = np.bincount(np.asarray(rows, dtype=np.intp), minlength=self.rows).astype(np.float64)
        return float(self.evaluate(weights[None, :])[0])


def case_mean(values: ArrayLike) -> WeightedStatistic:
    """Mean over cases of a per-case metric (N,): NaN values are left out of the mean and counted in `undefined`.

    Two models may be undefined on different cases (Dice on a case without a lesion is 0 for one that invents a lesion
    there and undefined for one that does not), so look at the counts beside the means.
    """
    cases = np.asarray(values, dtype=np.float64)
    if cases.ndim != 1 or cases.size == 0:
        raise UserError(f"case values of shape {cases.shape}; expected a vector (N,); give one value a case")
    defined = ~np.isnan(cases)
    return share(np.where(defined, cases, 0.0), defined, undefined=int(np.count_nonzero(~defined)))


def share(parts: ArrayLike, wholes: ArrayLike, *, undefined: int = 0) -> WeightedStatistic:
    """Sum of parts (N,) over sum of wholes (N,), rows weighted; NaN where the wholes drawn sum to 0.

    >>> float(share([1, 0, 1], [1, 1, 2]).evaluate(np.ones((1, 3)))[0])
    0.5
    """
    sums = np.stack([np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)], axis=1)
    return WeightedStatistic(partial(_quotient, sums), len(sums), undefined, partial(_quotient_by_cluster, sums))


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
    return WeightedStatistic(
        partial(_by_study, of_studies.evaluate, first, study),
        len(truth),
        of_studies.undefined,
        partial(_study_clusters, of_studies, first, study),
    )


@overload
def mean_over_seeds(statistics: Sequence[WeightedStatistic]) -> WeightedStatistic: ...


@overload
def mean_over_seeds(statistics: Sequence[RowStatistic]) -> RowStatistic: ...


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


def _classification_statistic(
    name: str, probabilities: ArrayLike, targets: NDArray[np.generic], rows: int
) -> WeightedStatistic:
    metric = weighted_classification_metric(name, probabilities, targets)
    left_out = len(undefined_subtypes(targets)) if name == "auroc_macro" else 0
    clustered = partial(clustered_classification_metric, name, probabilities, targets)
    return WeightedStatistic(metric, rows, left_out, clustered)


def _quotient(sums: FloatArray, weights: FloatArray) -> FloatArray:
    part, whole = (weights @ sums).T
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _quotient_by_cluster(sums: FloatArray, cluster: IndexArray, clusters: int) -> WeightedMetric:
    columns = [np.bincount(cluster, weights=column, minlength=clusters) for column in sums.T]
    return partial(_quotient, np.stack(columns, axis=1))


def _by_study(metric: WeightedMetric, first: IndexArray, study: IndexArray, weights: FloatArray) -> FloatArray:
    # All rows of a study carry their patient's weight, so the first one stands for the study.
    of_studies = weights[:, first]
    if not np.array_equal(of_studies[:, study], weights):
        raise _drawn_in_part()
    return metric(of_studies)


def _study_clusters(
    of_studies: WeightedStatistic, first: IndexArray, study: IndexArray, cluster: IndexArray, clusters: int
) -> WeightedMetric:
    if not np.array_equal(cluster[first][study], cluster):
        raise _drawn_in_part()
    assert of_studies.by_cluster is not None
    return of_studies.by_cluster(cluster[first], clusters)


def _drawn_in_part() -> UserError:
    return UserError(
        "a study was drawn in part; expected all its slices to belong to one patient; "
        "make study ids differ between patients"
    )


def _mean_evaluation(evaluations: Sequence[WeightedMetric], weights: FloatArray) -> FloatArray:
    return np.asarray(np.mean([evaluate(weights) for evaluate in evaluations], axis=0), dtype=np.float64)


def _mean_of_rows(statistics: Sequence[RowStatistic], rows: IndexArray) -> float:
    return float(np.mean([statistic(rows) for statistic in statistics]))
