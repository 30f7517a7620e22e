"""Classification metrics over the six outputs (five subtypes, then `any`), on slices and on studies.

Every board metric is defined once, as a function of row weights (`weighted_classification_metric`); the value of a
test set is that function at weights of one, its bootstrap is the same function at the counts of a resample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.metrics.calibration import clustered_calibration_error, weighted_calibration_error
from hemobench.metrics.ranking import RankedScores
from hemobench.metrics.ranking_by_cluster import ClusteredScores
from hemobench.metrics.validation import BoolArray, FloatArray, checked_probabilities

RSNA_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0)
"""Class weights of the RSNA 2019 challenge's log loss, in the order of CLASSES: `any` counts twice."""
CALL_THRESHOLD = 0.5
"""A class is called present at this probability or above, in every accuracy here."""
STUDY = "_study"
_PROBABILITY_FLOOR = 1e-15
_ANY = CLASSES.index("any")

WeightedMetric = Callable[[FloatArray], FloatArray]
"""Row weights (R, N) -> R values; NaN where the metric is undefined for that weighting."""


def exact_accuracy(probabilities: ArrayLike, targets: ArrayLike, threshold: float = CALL_THRESHOLD) -> float:
    """Share of rows of (N, K) in which all K classes are called right."""
    values, truth = checked_probabilities(probabilities, targets)
    return float(np.mean(np.all((values >= threshold) == truth, axis=1)))


def class_accuracies(probabilities: ArrayLike, targets: ArrayLike, threshold: float = CALL_THRESHOLD) -> FloatArray:
    """Share of rows of (N, K) called right, for each class: (K,)."""
    values, truth = checked_probabilities(probabilities, targets)
    return np.asarray(np.mean((values >= threshold) == truth, axis=0), dtype=np.float64)


def exclusive_accuracy(scores: ArrayLike, classes: ArrayLike) -> float:
    """Share of rows whose highest score (N, K) is the true class (N,) of 0..K-1: the paper's six-class accuracy.

    Scores may be logits or probabilities; of equal highest scores the first counts.
    """
    matrix = confusion_matrix(scores, classes)
    return float(np.trace(matrix) / matrix.sum())


def confusion_matrix(scores: ArrayLike, classes: ArrayLike) -> NDArray[np.int64]:
    """Counts (K, K) of true class (row) against the class with the highest of scores (N, K) (column)."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(classes)
    if values.ndim != 2 or truth.shape != values.shape[:1] or values.size == 0:
        raise UserError(
            f"scores of shape {values.shape} and classes of shape {truth.shape}; expected (N, K) and (N,); "
            "give one class index a row"
        )
    if not np.all(np.isfinite(values)):
        raise UserError("scores hold NaN or infinity; expected finite numbers; look for a diverged training run")
    kinds = values.shape[1]
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= kinds:
        raise UserError(
            f"classes of type {truth.dtype} from {truth.min()} to {truth.max()}; expected integers 0 to {kinds - 1}; "
            "map names to class indices first"
        )
    flat = truth.astype(np.intp) * kinds + values.argmax(axis=1)
    return np.bincount(flat, minlength=kinds * kinds).reshape(kinds, kinds).astype(np.int64)


def log_loss(probabilities: ArrayLike, targets: ArrayLike, class_weights: Sequence[float] | None = None) -> float:
    """Mean multi-label log loss of (N, K) in nats, classes weighted and the weights normalised to a sum of one.

    Probabilities are kept 1e-15 away from 0 and 1, as the challenge's scorer does.
    """
    values, truth = checked_probabilities(probabilities, targets)
    weights = np.ones(values.shape[1]) if class_weights is None else np.asarray(class_weights, dtype=np.float64)
    return float(np.mean(_row_log_loss(values, truth, weights)))


def logloss_rsna(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """The RSNA 2019 challenge's weighted log loss of (N, 6): five subtypes with weight 1, `any` with 2, over 7."""
    values, truth = checked_probabilities(probabilities, targets, len(CLASSES))
    return log_loss(values, truth, RSNA_WEIGHTS)


def undefined_subtypes(targets: ArrayLike) -> tuple[str, ...]:
    """Subtypes whose AUROC is undefined on targets (N, 6), all or none being positive: left out of `auroc_macro`."""
    truth = np.asarray(targets).astype(np.bool_)
    return tuple(name for k, name in enumerate(SUBTYPES) if truth[:, k].all() or not truth[:, k].any())


def study_maximum(
    probabilities: ArrayLike, targets: ArrayLike, study_ids: ArrayLike
) -> tuple[FloatArray, BoolArray, NDArray[np.intp]]:
    """Slices (N, 6) to studies (S, 6): a study's probability and target are the maximum over its slices.

    Also returns the index of each study's first slice, (S,). Studies are in the order of their sorted ids.
    """
    values, truth = checked_probabilities(probabilities, targets)
    ids = np.asarray(study_ids)
    if ids.shape != values.shape[:1]:
        raise UserError(f"{ids.shape} study ids for {values.shape[0]} rows; expected one a row; repeat the study's id")
    _, first, study = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(study, kind="stable")
    starts = np.searchsorted(study[order], np.arange(first.size))
    return (
        np.maximum.reduceat(values[order], starts, axis=0),
        np.logical_or.reduceat(truth[order], starts, axis=0),
        first,
    )


def weighted_classification_metric(name: str, probabilities: ArrayLike, targets: ArrayLike) -> WeightedMetric:
    """The slice metric `name` of probabilities (N, 6) and targets (N, 6) as a function of row weights.

    Known names are BASE_METRICS. UserError for another name, for shapes, NaN and values outside 0..1.
    """
    values, truth = checked_probabilities(probabilities, targets, len(CLASSES))
    if name not in BASE_METRICS:
        raise unknown_name("classification metric", name, BASE_METRICS)
    return _built(name, values, truth)


def clustered_classification_metric(
    name: str, probabilities: ArrayLike, targets: ArrayLike, cluster: NDArray[np.intp], clusters: int
) -> WeightedMetric:
    """The slice metric `name` as a function of weights of clusters (R, clusters), which all their rows share.

    cluster: (N,) from 0 to clusters - 1. Equal to `weighted_classification_metric` at the weights of rows, and faster,
    as the rows are summed up by cluster before anything is weighted.
    """
    values, truth = checked_probabilities(probabilities, targets, len(CLASSES))
    if name in _AUROC_COLUMNS:
        return _mean_of_parts(
            [ClusteredScores.of(values[:, k], truth[:, k], cluster, clusters).auroc for k in _AUROC_COLUMNS[name]]
        )
    if name in _OF_RANKS:
        return _OF_RANKS[name](ClusteredScores.of(values[:, _ANY], truth[:, _ANY], cluster, clusters))
    if name == "ece_any":
        return clustered_calibration_error(values[:, _ANY], truth[:, _ANY], cluster, clusters)
    if name in _OF_CALLS:
        part, whole = _OF_CALLS[name](values, truth)
        parts, wholes = (np.bincount(cluster, weights=rows, minlength=clusters) for rows in (part, whole))
        return partial(_share, parts.astype(np.float64), wholes.astype(np.float64))
    if name not in _ROW_MEANS:
        raise unknown_name("classification metric", name, BASE_METRICS)
    counts = np.bincount(cluster, minlength=clusters).astype(np.float64)
    sums = np.bincount(cluster, weights=_ROW_MEANS[name](values, truth), minlength=clusters).astype(np.float64)
    return partial(_row_sum_ratio, sums, counts)


def classification_metrics(
    probabilities: ArrayLike, targets: ArrayLike, study_ids: ArrayLike | None = None
) -> dict[str, float]:
    """Every metric of BASE_METRICS on probabilities (N, 6) and targets (N, 6) in the order of CLASSES.

    With study_ids (N,) the same metrics come again with `_study` at the end, over studies whose probability and target
    are the maximum over their slices. `accuracy` is that of `any` at 0.5, as is what ends in `_at_half_any`;
    `accuracy_exact` wants all six right; `auroc_macro` is the mean over the subtypes that are defined
    (`undefined_subtypes` names the others). Undefined metrics are NaN.
    """
    values, truth = checked_probabilities(probabilities, targets, len(CLASSES))
    metrics = _metrics_at_weight_one(values, truth, "")
    if study_ids is not None:
        study_values, study_truth, _ = study_maximum(values, truth, study_ids)
        metrics.update(_metrics_at_weight_one(study_values, study_truth, STUDY))
    return metrics


def _metrics_at_weight_one(values: FloatArray, truth: BoolArray, ending: str) -> dict[str, float]:
    weights = np.ones((1, len(values)))
    return {name + ending: float(_built(name, values, truth)(weights)[0]) for name in BASE_METRICS}


def _row_log_loss(values: FloatArray, truth: BoolArray, class_weights: FloatArray) -> FloatArray:
    if class_weights.shape != values.shape[1:] or class_weights.min() < 0 or class_weights.sum() <= 0:
        raise UserError(
            f"class weights {class_weights.tolist()}; expected {values.shape[1]} numbers of 0 or more, not all 0; "
            "give one a class"
        )
    of_truth = np.where(truth, values, 1 - values)
    losses = -np.log(np.clip(of_truth, _PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR))
    return np.asarray(losses @ (class_weights / class_weights.sum()), dtype=np.float64)


def _weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    mean: FloatArray = (weights @ values) / weights.sum(axis=1)
    return mean


def _mean_of_defined(parts: Sequence[WeightedMetric], weights: FloatArray) -> FloatArray:
    values = np.stack([part(weights) for part in parts])
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _built(name: str, values: FloatArray, truth: BoolArray) -> WeightedMetric:
    if name in _AUROC_COLUMNS:
        return _mean_of_parts([RankedScores.of(values[:, k], truth[:, k]).auroc for k in _AUROC_COLUMNS[name]])
    if name in _ROW_MEANS:
        return partial(_weighted_mean, _ROW_MEANS[name](values, truth))
    if name in _OF_RANKS:
        return _OF_RANKS[name](RankedScores.of(values[:, _ANY], truth[:, _ANY]))
    if name in _OF_CALLS:
        return partial(_share, *_OF_CALLS[name](values, truth))
    return partial(weighted_calibration_error, values[:, _ANY], truth[:, _ANY])


def _mean_of_parts(parts: Sequence[WeightedMetric]) -> WeightedMetric:
    return parts[0] if len(parts) == 1 else partial(_mean_of_defined, parts)


def _row_sum_ratio(sums: FloatArray, counts: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((weights @ sums) / (weights @ counts), dtype=np.float64)


def _right_any(values: FloatArray, truth: BoolArray) -> FloatArray:
    return ((values[:, _ANY] >= CALL_THRESHOLD) == truth[:, _ANY]).astype(np.float64)


def _right_all(values: FloatArray, truth: BoolArray) -> FloatArray:
    return np.all((values >= CALL_THRESHOLD) == truth, axis=1).astype(np.float64)


def _share(parts: FloatArray, wholes: FloatArray, weights: FloatArray) -> FloatArray:
    part, whole = weights @ parts, weights @ wholes
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _found_of_true(values: FloatArray, truth: BoolArray) -> tuple[FloatArray, FloatArray]:
    called, true = values[:, _ANY] >= CALL_THRESHOLD, truth[:, _ANY]
    return (called & true).astype(np.float64), true.astype(np.float64)


def _true_of_called(values: FloatArray, truth: BoolArray) -> tuple[FloatArray, FloatArray]:
    called, true = values[:, _ANY] >= CALL_THRESHOLD, truth[:, _ANY]
    return (called & true).astype(np.float64), called.astype(np.float64)


_AUROC_COLUMNS: Mapping[str, tuple[int, ...]] = {
    "auroc_any": (_ANY,),
    "auroc_macro": tuple(range(len(SUBTYPES))),
    **{f"auroc_{name}": (k,) for k, name in enumerate(SUBTYPES)},
}
_ROW_MEANS: Mapping[str, Callable[[FloatArray, BoolArray], FloatArray]] = {
    "logloss_rsna": lambda values, truth: _row_log_loss(values, truth, np.array(RSNA_WEIGHTS)),
    "brier_any": lambda values, truth: (values[:, _ANY] - truth[:, _ANY]) ** 2,
    "accuracy": _right_any,
    "accuracy_exact": _right_all,
}
_OF_RANKS: Mapping[str, Callable[[RankedScores | ClusteredScores], WeightedMetric]] = {
    "ap_any": lambda ranked: ranked.average_precision,
    "sens_at_spec90_any": lambda ranked: ranked.sensitivity_at_specificity,
    "spec_at_sens90_any": lambda ranked: ranked.specificity_at_sensitivity,
}
_OF_CALLS: Mapping[str, Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]] = {
    "sens_at_half_any": _found_of_true,
    "ppv_at_half_any": _true_of_called,
}
BASE_METRICS: tuple[str, ...] = (
    *_AUROC_COLUMNS,
    "ap_any",
    "logloss_rsna",
    "brier_any",
    "ece_any",
    "accuracy",
    "accuracy_exact",
    "sens_at_spec90_any",
    "spec_at_sens90_any",
    *_OF_CALLS,
)
"""Names of the classification metrics on slices; each exists on studies too, with `_study` at the end."""
