"""How a classifier's answers become calls (masks: `mask_thresholds`): smoothed, calibrated, thresholds chosen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from hemobench.errors import UserError
from hemobench.inference.config import Calibration, Thresholds
from hemobench.inference.context import in_context, study_logits
from hemobench.labels import CLASSES
from hemobench.metrics.calibration import MIN_PLATT, fit_platt
from hemobench.training.result import SlicePredictions

SPECIFICITY = 0.9
PRECISION = 0.7
"""Of the types that are named, how many should be right."""
WORDS = (
    "a class is called from the calibrated probability on that leaves 90% of the validation patients' slices (or "
    "studies) without it uncalled; 0.5 where validation has too few to say"
)
OUT_OF_FOLD_WORDS = (
    "a class is called from the calibrated probability on that leaves 90% of the slices (or studies) without it "
    "uncalled, by networks that had not seen the patient (out of fold); 0.5 where there are too few to say"
)
# Over how far slices may be smoothed; the least that is as good as any is taken.
CONTEXTS_MM = (0.0, 2.5, 5.0, 7.5, 10.0)
# A study is judged by the mean of so many of its highest slices: one slice's false alarm does not decide alone. Three,
# between the one that phantoms like best and the five that CT-ICH does (docs/training-log.md).
STUDY_SLICES = 3
_WORTH = 0.002
_EPSILON = 1e-6
_MIN_NEGATIVE = 10


@dataclass(frozen=True)
class DecisionRule:
    """Calibration and thresholds by level and class, the rule in words, over how far slices are smoothed, and how
    many of its slices speak for a study."""

    calibration: Calibration
    thresholds: Thresholds
    words: str
    context_mm: float = 0.0
    study_slices: int = 1


@dataclass(frozen=True, eq=False)
class Levels:
    """Logits and targets (N, 6) of slices and of studies, in the order of CLASSES."""

    slices: tuple[NDArray[np.float64], NDArray[np.uint8]]
    studies: tuple[NDArray[np.float64], NDArray[np.uint8]]


def fit_levels(levels: Levels) -> tuple[Calibration, Thresholds]:
    """Calibration and thresholds of the levels "slice" and "study": Platt's, and a specificity of 90%."""
    calibration: dict[str, dict[str, tuple[float, float]]] = {}
    thresholds: dict[str, dict[str, float]] = {}
    for level, (logits, targets) in (("slice", levels.slices), ("study", levels.studies)):
        calibration[level], thresholds[level] = {}, {}
        overall = fit_platt(logits[:, -1], targets[:, -1])
        for column, name in enumerate(CLASSES):
            slope, offset = fit_platt(logits[:, column], targets[:, column])
            if min(targets[:, column].sum(), (1 - targets[:, column]).sum()) < MIN_PLATT and overall != (1.0, 0.0):
                # Too few to fit two numbers to, and a balanced training's logits are far too bold.
                slope, offset = overall[0], base_rate_offset(overall[0] * logits[:, column], targets[:, column])
            calibration[level][name] = (round(slope, 6), round(offset, 6))
            calibrated = expit(slope * logits[:, column] + offset)
            thresholds[level][name] = round(specific_threshold(calibrated, targets[:, column]), 6)
    return calibration, thresholds


def fit_rule(validation: SlicePredictions, steps_mm: NDArray[np.float64], words: str = WORDS) -> DecisionRule:
    """The rule from a classifier's answers on patients that it did not learn from.

    steps_mm: (N,) from each slice to the next of its study. Raises UserError for exclusive outputs.
    """
    if validation.exclusive:
        raise UserError("a run with loss cross-entropy; expected one of independent outputs; train with bce or focal")
    context_mm = best_context_mm(validation, steps_mm)
    smoothed = smoothed_over_slices(validation, steps_mm, context_mm)
    levels = Levels((logits_of(smoothed.probabilities), smoothed.targets), of_studies(smoothed)[:2])
    calibration, thresholds = fit_levels(levels)
    return DecisionRule(calibration, thresholds, words, context_mm, STUDY_SLICES)


def settled(predictions: SlicePredictions, steps_mm: NDArray[np.float64], rule: DecisionRule) -> SlicePredictions:
    """Answers smoothed over neighbouring slices and calibrated as the rule says."""
    smoothed = smoothed_over_slices(predictions, steps_mm, rule.context_mm)
    pairs = np.asarray([rule.calibration.get("slice", {}).get(name, (1.0, 0.0)) for name in CLASSES])
    probabilities = expit(logits_of(smoothed.probabilities) * pairs[:, 0] + pairs[:, 1])
    return dataclasses.replace(predictions, probabilities=probabilities)


def smoothed_over_slices(
    predictions: SlicePredictions, steps_mm: NDArray[np.float64], context_mm: float
) -> SlicePredictions:
    """Answers whose logits are averaged with those of neighbouring slices of the same study."""
    if not context_mm:
        return predictions
    logits = logits_of(predictions.probabilities)
    for study in np.unique(predictions.study_ids):
        rows = np.flatnonzero(predictions.study_ids == study)
        rows = rows[np.argsort(predictions.slice_indices[rows], kind="stable")]
        logits[rows] = in_context(logits[rows], float(steps_mm[rows[0]]), context_mm)
    return dataclasses.replace(predictions, probabilities=expit(logits))


def best_context_mm(validation: SlicePredictions, steps_mm: NDArray[np.float64]) -> float:
    """The least of CONTEXTS_MM whose AUROC of `any`, by slice and by study in the mean, is within 0.002 of the best; 0
    where validation has one class only."""
    found = {}
    for context_mm in CONTEXTS_MM:
        smoothed = smoothed_over_slices(validation, steps_mm, context_mm)
        logits, targets, _ = of_studies(smoothed)
        pairs = ((smoothed.probabilities[:, -1], smoothed.targets[:, -1]), (logits[:, -1], targets[:, -1]))
        known = [roc_auc_score(truth, answer) for answer, truth in pairs if 0 < truth.sum() < len(truth)]
        if not known:
            return 0.0
        found[context_mm] = float(np.mean(known))
    return min(context_mm for context_mm, score in found.items() if score >= max(found.values()) - _WORTH)


def specific_threshold(
    probabilities: NDArray[np.float64], targets: NDArray[np.integer], specificity: float = SPECIFICITY
) -> float:
    """Lowest probability that leaves at least `specificity` of the negatives uncalled; 0.5 with few negatives.

    >>> specific_threshold(np.arange(21) / 20, np.r_[np.zeros(20, dtype=int), 1], 0.9)
    0.9
    """
    negative = np.sort(probabilities[targets == 0])
    if len(negative) < _MIN_NEGATIVE or not targets.any():
        return 0.5
    allowed = int(np.floor((1 - specificity) * len(negative) + 1e-9))
    # The first value above all but `allowed` of the negatives.
    return float(negative[-allowed]) if allowed else float(min(1.0, np.nextafter(negative[-1], 2)))


def precise_threshold(
    probabilities: NDArray[np.float64], targets: NDArray[np.integer], precision: float = PRECISION
) -> float:
    """Lowest probability from which on at least `precision` of all that is named is right, arrays of one shape; 1 where
    nothing names so well, or nothing is right.

    >>> precise_threshold(np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1]), 0.65)
    0.4
    """
    order = np.argsort(-probabilities, axis=None, kind="stable")
    falling, right = probabilities.ravel()[order], targets.ravel()[order]
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    # Of equal probabilities all are named or none.
    last = np.r_[falling[1:] < falling[:-1], True]
    good = np.flatnonzero(last & (share >= precision))
    return float(falling[good[-1]]) if len(good) else 1.0


def base_rate_offset(logits: NDArray[np.float64], targets: NDArray[np.integer]) -> float:
    """What to add to logits (N,) so that their probabilities have the targets' frequency as their mean, counted with
    one example more of either kind (Laplace).

    >>> round(base_rate_offset(np.array([2.0, 2.0]), np.array([0, 0])), 3)  # 1 of 4: logit(0.25) - 2
    -3.099
    """
    rate = (targets.sum() + 1) / (len(targets) + 2)
    reach = 100 + float(np.abs(logits).max())  # far enough for every probability to be 0, or 1
    return float(brentq(lambda offset: expit(logits + offset).mean() - rate, -reach, reach))


def of_studies(
    predictions: SlicePredictions, slices: int = STUDY_SLICES
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.str_]]:
    """Logits (S, 6), the mean of each study's highest slices, targets (S, 6), and patient ids (S,) of the studies."""
    logits = logits_of(predictions.probabilities)
    _, first, study = np.unique(predictions.study_ids, return_index=True, return_inverse=True)
    rows = [np.flatnonzero(study == number) for number in range(len(first))]
    return (
        np.stack([study_logits(logits[own], slices) for own in rows]),
        np.stack([predictions.targets[own].max(axis=0) for own in rows]),
        predictions.patient_ids[first],
    )


def selected(predictions: SlicePredictions, chosen: NDArray[np.bool_]) -> SlicePredictions:
    """The answers of some of the slices."""
    columns = {
        each.name: getattr(predictions, each.name)[chosen]
        for each in dataclasses.fields(predictions)
        if each.name != "exclusive"
    }
    return SlicePredictions(**columns, exclusive=predictions.exclusive)


def logits_of(probabilities: NDArray[np.floating]) -> NDArray[Any]:
    """Logits of probabilities, kept finite."""
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), _EPSILON, 1 - _EPSILON)))
