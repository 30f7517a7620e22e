"""Metrics as pure functions: validate, compute, return. Undefined is NaN; directions stand in the registry."""

from __future__ import annotations

from hemobench.metrics.calibration import brier_score, expected_calibration_error, reliability_curve
from hemobench.metrics.classification import (
    BASE_METRICS,
    class_accuracies,
    classification_metrics,
    confusion_matrix,
    exact_accuracy,
    exclusive_accuracy,
    log_loss,
    logloss_rsna,
    study_maximum,
    undefined_subtypes,
)
from hemobench.metrics.definitions import METRICS, SEGMENTATION_SUFFIXES, MetricInfo, higher_is_better, metric_info
from hemobench.metrics.ranking import auroc, average_precision, sensitivity_at_specificity, specificity_at_sensitivity
from hemobench.metrics.segmentation import lesion_counts, lesion_f1, lesions_abc2_ml, segmentation_metrics, voxel_counts
from hemobench.metrics.surface import hd95_mm, nsd, surface_distances
from hemobench.metrics.volumetry import abc2_ml, bland_altman, volume_ml

__all__ = [
    "BASE_METRICS",
    "METRICS",
    "SEGMENTATION_SUFFIXES",
    "MetricInfo",
    "abc2_ml",
    "auroc",
    "average_precision",
    "bland_altman",
    "brier_score",
    "class_accuracies",
    "classification_metrics",
    "confusion_matrix",
    "exact_accuracy",
    "exclusive_accuracy",
    "expected_calibration_error",
    "hd95_mm",
    "higher_is_better",
    "lesion_counts",
    "lesion_f1",
    "lesions_abc2_ml",
    "log_loss",
    "logloss_rsna",
    "metric_info",
    "nsd",
    "reliability_curve",
    "segmentation_metrics",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "study_maximum",
    "surface_distances",
    "undefined_subtypes",
    "volume_ml",
    "voxel_counts",
]
