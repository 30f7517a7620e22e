"""Metrics as people call them: "sensitivity at 90% specificity" for `sens_at_spec90_any`."""

from __future__ import annotations

from hemobench.labels import SUBTYPES
from hemobench.metrics.classification import STUDY

# The stem of a metric's name in words; what `of` names (a type, the ventricles) follows after a comma.
_WORDS = {
    "auroc": "AUROC",
    "ap": "average precision",
    "logloss_rsna": "log loss (RSNA)",
    "brier": "Brier score",
    "ece": "calibration error",
    "accuracy": "accuracy",
    "accuracy_exact": "accuracy, all classes at once",
    "accuracy_exclusive": "accuracy among the paper's classes",
    "sens_at_spec90": "sensitivity at 90% specificity",
    "spec_at_sens90": "specificity at 90% sensitivity",
    "sens_at_half": "sensitivity at a probability of 0.5",
    "ppv_at_half": "precision at a probability of 0.5",
    "voxel_accuracy": "voxel accuracy",
    "voxel_accuracy_background": "voxel accuracy of an empty mask",
    "dice": "Dice",
    "iou": "intersection over union",
    "sensitivity": "voxel sensitivity",
    "precision": "voxel precision",
    "specificity": "voxel specificity",
    "nsd_2mm": "surface Dice at 2 mm",
    "hd95_mm": "95% Hausdorff distance, mm",
    "lesion_f1": "lesion F1",
    "lesion_sensitivity": "lesion sensitivity",
    "lesion_precision": "lesion precision",
    "false_lesions": "false lesions a case",
    "missed": "missed cases",
    "false_alarm": "false alarms",
    "volume_ml_true": "true volume, mL",
    "volume_ml_pred": "predicted volume, mL",
    "volume_error_ml": "volume error, mL",
    "abs_volume_error_ml": "absolute volume error, mL",
    "abc2_ml_true": "ABC/2, mL",
    "abc2_error_ml": "ABC/2 error, mL",
}
# `any` is the usual case and goes without saying.
_OF = {"any": "", "macro": "mean over types", "ventricles": "ventricles", **{name: name for name in SUBTYPES}}


def metric_words(name: str) -> str:
    """A metric's name in words; a name that is none of ours with spaces for its underscores.

    >>> metric_words("sens_at_spec90_any"), metric_words("dice_epidural"), metric_words("ece_any_calibrated_study")
    ('sensitivity at 90% specificity', 'Dice, epidural', 'calibration error, calibrated, by study')
    """
    stem, after = name, []
    if stem.endswith(STUDY):
        stem, after = stem.removesuffix(STUDY), ["by study"]
    if stem.endswith("_calibrated"):
        stem, after = stem.removesuffix("_calibrated"), ["calibrated", *after]
    if stem not in _WORDS:
        stem, _, of = stem.rpartition("_")
        if stem not in _WORDS or of not in _OF:
            return name.replace("_", " ")
        after = [*filter(None, [_OF[of]]), *after]
    return ", ".join([_WORDS[stem], *after])
