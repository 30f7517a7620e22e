"""Scores with intervals of a run's answers, as a card holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hemobench.datasets.cache import Examples
from hemobench.labels import CLASSES
from hemobench.release.card import Measured
from hemobench.release.operating_points import of_studies
from hemobench.stats import WeightedStatistic, case_mean, classification_statistic, patient_bootstrap
from hemobench.training.result import CaseScores, SlicePredictions

JOINT = "_joint"
"""Ending of the metrics of a segmenter that judges together with a slice classifier."""
Studies = tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.str_]]
_SLICE_METRICS = (
    "auroc_any",
    "auroc_macro",
    *(f"auroc_{name}" for name in CLASSES[:-1]),
    "ap_any",
    "logloss_rsna",
    "brier_any",
    "ece_any",
    "sens_at_spec90_any",
)
_STUDY_METRICS = ("auroc_any", "auroc_macro")
_BY_ORDER = ("auroc_", "ap_", "sens_at_spec")
_CASE_METRICS = (
    "dice",
    "sensitivity",
    "precision",
    "nsd_2mm",
    "hd95_mm",
    "lesion_f1",
    "abs_volume_error_ml",
    "missed",
    "false_alarm",
    "lesion_sensitivity",
    "false_lesions",
)


def measure(
    predictions: SlicePredictions | CaseScores,
    asked: Examples,
    blind: SlicePredictions | None,
    ranked: SlicePredictions | None = None,
    studies: Studies | None = None,
) -> Measured:
    """Metrics of predictions on examples `asked`, with 95% intervals by patient.

    Beside a classifier stands what the slices' positions alone would score: the predictions `blind`, where there are
    some. ranked: answers to the same slices for metrics that depend on their order alone, where they are others.
    """
    patient_ids = predictions.patient_ids
    statistics: dict[str, WeightedStatistic] = {}
    of_study: dict[str, Any] = {}
    position = None
    if isinstance(predictions, CaseScores):
        statistics = {name: case_mean(values) for name, values in predictions.values.items() if _reported(name)}
    else:
        probabilities = np.asarray(predictions.probabilities, dtype=np.float64)
        order = np.asarray((ranked or predictions).probabilities, dtype=np.float64)
        for name in _SLICE_METRICS:
            values = order if name.startswith(_BY_ORDER) else probabilities
            statistics[name] = classification_statistic(name, values, predictions.targets)
        logits, targets, study_patients = studies or of_studies(ranked or predictions)
        for name in _STUDY_METRICS:
            of_study[f"{name}_study"] = _score(classification_statistic(name, expit(logits), targets), study_patients)
        if blind is not None:
            at_height = classification_statistic("auroc_any", blind.probabilities, blind.targets)
            position = _score(at_height, blind.patient_ids)
    scores = {name: _score(statistic, patient_ids) for name, statistic in statistics.items()} | of_study
    return Measured(asked.dataset, asked.phantom, len(np.unique(patient_ids)), len(patient_ids), scores, position)


def call_metrics(
    called: NDArray[np.bool_], targets: NDArray[np.integer], patient_ids: NDArray[np.str_]
) -> dict[str, dict[str, Any]]:
    """What a study's calls are worth, (S, 6) each, with 95% intervals by patient: sensitivity and specificity of any
    blood, and the share of the types named that are right, all types together."""
    bleeds, yes = targets[:, -1] > 0, called[:, -1].astype(np.float64)
    types = called.shape[1] - 1
    named = np.where(called[:, :-1], (targets[:, :-1] > 0).astype(np.float64), np.nan)
    return {
        "sensitivity_called_any_study": _score(case_mean(np.where(bleeds, yes, np.nan)), patient_ids),
        "specificity_called_any_study": _score(case_mean(np.where(bleeds, np.nan, 1 - yes)), patient_ids),
        "precision_named_types_study": _score(case_mean(named.ravel()), np.repeat(patient_ids, types)),
    }


def _reported(name: str) -> bool:
    return name.startswith(_CASE_METRICS) or name.startswith("voxel_accuracy")


def _score(statistic: WeightedStatistic, patient_ids: NDArray[np.str_]) -> dict[str, Any]:
    interval = patient_bootstrap(statistic, patient_ids, resamples=1000)
    return {
        "mean": interval.estimate,
        "ci": [interval.low, interval.high],
        "sd_seeds": None,
        "n": 1,
        "undefined": statistic.undefined,
    }
