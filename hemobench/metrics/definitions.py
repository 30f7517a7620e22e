"""Every metric by name: its direction (declared here and nowhere else), task, unit and one line of meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hemobench.errors import UserError, unknown_name
from hemobench.labels import SUBTYPES
from hemobench.metrics.classification import STUDY

SEGMENTATION_SUFFIXES: tuple[str, ...] = ("any", *SUBTYPES, "ventricles")


@dataclass(frozen=True)
class MetricInfo:
    """One metric. higher_is_better is None for quantities that have no better end (a volume, a signed error)."""

    name: str
    higher_is_better: bool | None
    task: str
    unit: str
    description: str


def metric_info(name: str) -> MetricInfo:
    """The metric called `name`; UserError that lists the names there are.

    >>> metric_info("hd95_mm_any").higher_is_better
    False
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def higher_is_better(name: str) -> bool:
    """Direction in which to rank by metric `name`; UserError if it is unknown or has none."""
    direction = metric_info(name).higher_is_better
    if direction is None:
        raise UserError(f"ranking by '{name}'; expected a metric with a better end; use abs_volume_error_ml or dice")
    return direction


def metric_range(name: str) -> tuple[float, float]:
    """The values that metric `name` can have; intervals end there.

    >>> metric_range("dice_any"), metric_range("hd95_mm_any"), metric_range("volume_error_ml_any")
    ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    info = metric_info(name)
    signed = "_error_ml" in name and not name.startswith("abs_")
    counted = name.startswith("false_lesions")
    return -math.inf if signed else 0.0, 1.0 if info.unit == "1" and not counted else math.inf


_CLASSIFICATION: tuple[tuple[str, bool, str], ...] = (
    ("auroc_any", True, "area under the ROC curve of `any`"),
    ("auroc_macro", True, "mean area under the ROC curve over the subtypes for which it is defined"),
    *((f"auroc_{name}", True, f"area under the ROC curve of {name} haemorrhage") for name in SUBTYPES),
    ("ap_any", True, "average precision of `any`"),
    ("logloss_rsna", False, "log loss over six classes, `any` counting twice (RSNA 2019 challenge)"),
    ("brier_any", False, "mean squared error of the probability of `any`"),
    ("ece_any", False, "expected calibration error of `any`, 15 bins of equal width"),
    ("accuracy", True, "share with `any` called right at 0.5"),
    ("accuracy_exact", True, "share with all six classes called right at 0.5"),
    ("sens_at_spec90_any", True, "sensitivity for `any` at a specificity of at least 90%"),
    ("spec_at_sens90_any", True, "specificity for `any` at a sensitivity of at least 90%"),
    ("sens_at_half_any", True, "sensitivity for `any`, called at a probability of 0.5"),
    ("ppv_at_half_any", True, "precision of `any`, called at a probability of 0.5: share of calls that are right"),
)
_SEGMENTATION: tuple[tuple[str, bool | None, str, str], ...] = (
    ("dice", True, "1", "Dice overlap (voxel F1)"),
    ("iou", True, "1", "intersection over union"),
    ("sensitivity", True, "1", "share of true voxels found"),
    ("precision", True, "1", "share of predicted voxels that are right"),
    ("specificity", True, "1", "share of background voxels left alone"),
    ("nsd_2mm", True, "1", "normalised surface Dice at a tolerance of 2 mm; 0 if missed"),
    ("hd95_mm", False, "mm", "95th percentile Hausdorff distance; the field's diagonal if missed"),
    ("lesion_f1", True, "1", "F1 over connected lesions, found when one voxel is shared"),
    ("lesion_sensitivity", True, "1", "share of true lesions found, by one voxel shared"),
    ("lesion_precision", True, "1", "share of predicted lesions that share a voxel with a true one"),
    ("false_lesions", False, "1", "predicted lesions a case that touch no true one"),
    ("missed", False, "1", "share of cases with a lesion in which no voxel of one is found"),
    ("false_alarm", False, "1", "share of cases without a lesion in which one is called"),
    ("volume_ml_true", None, "mL", "true volume"),
    ("volume_ml_pred", None, "mL", "predicted volume"),
    ("volume_error_ml", None, "mL", "predicted minus true volume"),
    ("abs_volume_error_ml", False, "mL", "absolute difference of predicted and true volume"),
    ("abc2_ml_true", None, "mL", "ABC/2 of the true lesions, the bedside estimate, summed"),
    ("abc2_error_ml", None, "mL", "ABC/2 of the true lesions minus their volume"),
)


def _all_metrics() -> dict[str, MetricInfo]:
    infos = [
        MetricInfo(name + ending, better, "classification", "nat" if name == "logloss_rsna" else "1", text + where)
        for ending, where in (("", ", over slices"), (STUDY, ", over studies (maximum over slices)"))
        for name, better, text in _CLASSIFICATION
    ]
    infos += [
        MetricInfo("voxel_accuracy", True, "segmentation", "1", "share of voxels that are right"),
        MetricInfo("voxel_accuracy_background", None, "segmentation", "1", "voxel accuracy of finding nothing"),
    ]
    infos += [
        MetricInfo(f"{name}_{suffix}", better, "segmentation", unit, f"{text} ({suffix})")
        for suffix in SEGMENTATION_SUFFIXES
        for name, better, unit, text in _SEGMENTATION
    ]
    infos += [
        MetricInfo(f"{name}_any_calibrated{ending}", False, "classification", "1", f"{text}, calibrated on validation")
        for ending in ("", STUDY)
        for name, text in (("ece", "expected calibration error of `any`"), ("brier", "Brier score of `any`"))
    ]
    infos.append(
        MetricInfo("accuracy_exclusive", True, "classification", "1", "share right among the paper's six classes")
    )
    return {info.name: info for info in infos}


METRICS: dict[str, MetricInfo] = _all_metrics()
