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
from hemobench.metrics.calibration import weighted_calibration_error
from hemobench.metrics.ranking import RankedScores
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
    if name not in _BUILDERS:
        raise unknown_name("classification metric", name, BASE_METRICS)
    return _BUILDERS[name](values, truth)


def classification_metrics(
    probabilities: ArrayLike, targets: ArrayLike, study_ids: ArrayLike | None = None
) -> dict[str, float]:
    """Every metric of BASE_METRICS on probabilities (N, 6) and targets (N, 6) in the order of CLASSES.

    With study_ids (N,) the same metrics come again with `_study` at the end, over studies whose probability and target
    are the maximum over their slices. `accuracy` is that of `any` at 0.5; `accuracy_exact` wants all six right;
    `auroc_macro` is the mean over the subtypes that are defined (`undefined_subtypes` names the others). Undefined
    metrics are NaN.
    """
    values, truth = checked_probabilities(probabilities, targets, len(CLASSES))
    metrics = _metrics_at_weight_one(values, truth, "")
    if study_ids is not None:
        study_values, study_truth, _ = study_maximum(values, truth, study_ids)
        metrics.update(_metrics_at_weight_one(study_values, study_truth, STUDY))
    return metrics


def _metrics_at_weight_one(values: FloatArray, truth: BoolArray, ending: str) -> dict[str, float]:
    weights = np.ones((1, len(values)))
    return {name + ending: float(build(values, truth)(weights)[0]) for name, build in _BUILDERS.items()}


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


def _auroc(values: FloatArray, truth: BoolArray, column: int) -> WeightedMetric:
    return RankedScores.of(values[:, column], truth[:, column]).auroc


def _macro_auroc(values: FloatArray, truth: BoolArray) -> WeightedMetric:
    return partial(_mean_of_defined, [_auroc(values, truth, k) for k in range(len(SUBTYPES))])


def _mean_builder(rows: Callable[[FloatArray, BoolArray], FloatArray]) -> Callable[..., WeightedMetric]:
    return lambda values, truth: partial(_weighted_mean, rows(values, truth))


def _right_any(values: FloatArray, truth: BoolArray) -> FloatArray:
    return ((values[:, _ANY] >= CALL_THRESHOLD) == truth[:, _ANY]).astype(np.float64)


def _right_all(values: FloatArray, truth: BoolArray) -> FloatArray:
    return np.all((values >= CALL_THRESHOLD) == truth, axis=1).astype(np.float64)


_BUILDERS: Mapping[str, Callable[[FloatArray, BoolArray], WeightedMetric]] = {
    "auroc_any": partial(_auroc, column=_ANY),
    "auroc_macro": _macro_auroc,
    **{f"auroc_{name}": partial(_auroc, column=k) for k, name in enumerate(SUBTYPES)},
    "ap_any": lambda values, truth: RankedScores.of(values[:, _ANY], truth[:, _ANY]).average_precision,
    "logloss_rsna": _mean_builder(lambda values, truth: _row_log_loss(values, truth, np.array(RSNA_WEIGHTS))),
    "brier_any": _mean_builder(lambda values, truth: (values[:, _ANY] - truth[:, _ANY]) ** 2),
    "ece_any": lambda values, truth: partial(weighted_calibration_error, values[:, _ANY], truth[:, _ANY]),
    "accuracy": _mean_builder(_right_any),
    "accuracy_exact": _mean_builder(_right_all),
    "sens_at_spec90_any": lambda values, truth: (
        RankedScores.of(values[:, _ANY], truth[:, _ANY]).sensitivity_at_specificity
    ),
}
BASE_METRICS: tuple[str, ...] = tuple(_BUILDERS)
"""Names of the classification metrics on slices; each exists on studies too, with `_study` at the end."""
