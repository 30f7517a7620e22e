"""Segmentation metrics of one case: overlap, surface distance, volume. A board shows their mean over cases.

Empty masks, key by key (E = empty, F = filled):

| prediction, target | dice, iou | sensitivity | precision | nsd | hd95_mm | lesion_f1 | missed | false_alarm |
|---|---|---|---|---|---|---|---|---|
| E, F (missed) | 0 | 0 | NaN | 0 | field's diagonal | 0 | 1 | NaN |
| F, E (invented) | 0 | NaN | 0 | 0 | field's diagonal | 0 | NaN | 1 |
| E, E | NaN | NaN | NaN | NaN | NaN | NaN | NaN | 0 |
| F, F, apart (missed) | 0 | 0 | 0 | by distance | by distance | 0 | 1 | NaN |
| F, F, touching | > 0 | > 0 | > 0 | by distance | by distance | > 0 | 0 | NaN |

NaN is undefined: it is counted beside the mean, never taken for a perfect score. The mean of `missed` is the share of
cases with a lesion in which no voxel of one is found, that of `false_alarm` the share of cases without one in which
something is called. lesion_sensitivity and lesion_precision are undefined where there is no true or predicted lesion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from hemobench.components import TOUCHING
from hemobench.metrics.surface import bounding_box, surface_distances
from hemobench.metrics.validation import BoolArray, checked_masks, checked_steps
from hemobench.metrics.volumetry import abc2_ml, volume_ml


@dataclass(frozen=True)
class VoxelCounts:
    """The confusion matrix of one case in voxels, and the scores that follow from it; NaN where undefined."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def accuracy(self) -> float:
        """Share of voxels that are right: near one for any small lesion, found or not."""
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_positive + self.false_negative)

    @property
    def background_accuracy(self) -> float:
        """The voxel accuracy of a prediction that finds nothing on this case."""
        background = self.true_negative + self.false_positive
        return _ratio(background, background + self.true_positive + self.false_negative)

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), which is F1; NaN if both masks are empty."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN if both masks are empty."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); NaN if the target is empty."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN if the prediction is empty."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP); NaN if the target fills the field."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive)


def voxel_counts(prediction: ArrayLike, target: ArrayLike) -> VoxelCounts:
    """Confusion matrix of two masks (D, H, W). UserError for other shapes or values."""
    predicted, truth = checked_masks(prediction, target)
    hits = int(np.count_nonzero(predicted & truth))
    called, present = int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
    return VoxelCounts(hits, called - hits, present - hits, predicted.size - called - present + hits)


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of one case: true ones, those of them found, predicted ones, those of them right."""

    true: int
    found: int
    predicted: int
    right: int

    @property
    def sensitivity(self) -> float:
        """Share of true lesions that are found; NaN where there is none."""
        return _ratio(self.found, self.true)

    @property
    def precision(self) -> float:
        """Share of predicted lesions that are right; NaN where there is none."""
        return _ratio(self.right, self.predicted)

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 if one mask is empty, NaN if both are."""
        if not self.true or not self.predicted:
            return float("nan") if self.true == self.predicted else 0.0
        recall, precision = self.sensitivity, self.precision
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def lesion_counts(prediction: ArrayLike, target: ArrayLike) -> LesionCounts:
    """Count lesions, that is components of touching voxels (26 neighbours), of masks (D, H, W).

    A true lesion is found if the prediction shares one voxel with it, a predicted one is right if it shares one with
    the target.
    """
    predicted, truth = checked_masks(prediction, target)
    either = predicted | truth
    if not either.any():
        return LesionCounts(0, 0, 0, 0)
    box = bounding_box(either)
    return LesionCounts(*_touched(truth[box], predicted[box]), *_touched(predicted[box], truth[box]))


def lesion_f1(prediction: ArrayLike, target: ArrayLike) -> float:
    """F1 over lesions of masks (D, H, W): see `lesion_counts`. 0 if one mask is empty, NaN if both are."""
    return lesion_counts(prediction, target).f1


def lesions_abc2_ml(mask: ArrayLike, spacing_mm: ArrayLike, slice_rule: str = "kothari") -> float:
    """Sum of ABC/2 in mL over the lesions (26 neighbours) of a mask (D, H, W), as a reader measures one at a time."""
    filled, _ = checked_masks(mask, mask)
    if not filled.any():
        return 0.0
    components, number = ndimage.label(filled[bounding_box(filled)], structure=TOUCHING)
    boxes = ndimage.find_objects(components)
    return sum(abc2_ml(components[boxes[k]] == k + 1, spacing_mm, slice_rule) for k in range(number))


def segmentation_metrics(
    prediction: ArrayLike, target: ArrayLike, spacing_mm: ArrayLike, suffix: str = "any"
) -> dict[str, float]:
    """All metrics of one case: masks (D, H, W), spacing (slice, row, column) in mm, or the affine's (3, 3).

    Millilitres are voxels times the steps' determinant; on a sheared grid only the affine's are right.
    Keys: voxel_accuracy, voxel_accuracy_background (what finding nothing would score) and, with `_<suffix>` at the end,
    dice, iou, sensitivity, precision, specificity, nsd_2mm, hd95_mm, lesion_f1, lesion_sensitivity, lesion_precision,
    false_lesions (predicted ones that touch no true one), missed, false_alarm, volume_ml_true, volume_ml_pred,
    volume_error_ml (prediction minus truth), abs_volume_error_ml, and abc2_ml_true, abc2_error_ml (minus truth): what
    the bedside formula makes of the true lesions. Empty masks: see the module.
    """
    predicted, truth = checked_masks(prediction, target)
    steps = checked_steps(spacing_mm)
    counts = voxel_counts(predicted, truth)
    surfaces = surface_distances(predicted, truth, steps)
    voxel_volume_ml = float(abs(np.linalg.det(steps))) / 1000.0
    true_ml, pred_ml = volume_ml(truth, voxel_volume_ml), volume_ml(predicted, voxel_volume_ml)
    lesions = lesion_counts(predicted, truth)
    abc2 = lesions_abc2_ml(truth, steps)
    named = {
        "dice": counts.dice,
        "iou": counts.iou,
        "sensitivity": counts.sensitivity,
        "precision": counts.precision,
        "specificity": counts.specificity,
        "nsd_2mm": surfaces.nsd(2.0),
        "hd95_mm": surfaces.hd95_mm(),
        "lesion_f1": lesions.f1,
        "lesion_sensitivity": lesions.sensitivity,
        "lesion_precision": lesions.precision,
        "false_lesions": float(lesions.predicted - lesions.right),
        "missed": float(counts.true_positive == 0) if lesions.true else float("nan"),
        "false_alarm": float("nan") if lesions.true else float(lesions.predicted > 0),
        "volume_ml_true": true_ml,
        "volume_ml_pred": pred_ml,
        "volume_error_ml": pred_ml - true_ml,
        "abs_volume_error_ml": abs(pred_ml - true_ml),
        "abc2_ml_true": abc2,
        "abc2_error_ml": abc2 - true_ml,
    }
    overall = {"voxel_accuracy": counts.accuracy, "voxel_accuracy_background": counts.background_accuracy}
    return overall | {f"{name}_{suffix}": value for name, value in named.items()}


def _touched(mask: BoolArray, other: BoolArray) -> tuple[int, int]:
    """Number of components of `mask`, and of those that share a voxel with `other`."""
    components, number = ndimage.label(mask, structure=TOUCHING)
    return int(number), int(np.unique(components[other & mask]).size)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
