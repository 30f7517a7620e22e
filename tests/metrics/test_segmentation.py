"""Segmentation metrics on hand-drawn masks and against scikit-learn and MONAI; the three empty cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou
from sklearn import metrics as sk

from hemobench.errors import UserError
from hemobench.metrics.definitions import METRICS
from hemobench.metrics.segmentation import (
    LesionCounts,
    lesion_counts,
    lesion_f1,
    lesions_abc2_ml,
    segmentation_metrics,
    voxel_counts,
)
from hemobench.metrics.volumetry import abc2_ml

SPACING = (5.0, 0.5, 0.8)


def _random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random((6, 15, 14)) < 0.2
    return target ^ (rng.random(target.shape) < 0.1), target


def test_hand_drawn_case() -> None:
    prediction, target = np.zeros((2, 3, 10, 10), dtype=bool)
    target[1, 2:6, 2:6] = True
    prediction[1, 2:6, 3:8] = True
    # 12 voxels shared, 8 only predicted, 4 only true, 300 in all; one voxel is 5 * 0.5 * 0.8 = 2 mm3.
    measured = segmentation_metrics(prediction, target, SPACING, "any")
    assert measured["dice_any"] == pytest.approx(24 / 36)
    assert measured["iou_any"] == pytest.approx(12 / 24)
    assert measured["sensitivity_any"] == pytest.approx(12 / 16)
    assert measured["precision_any"] == pytest.approx(12 / 20)
    assert measured["specificity_any"] == pytest.approx(276 / 284)
    assert measured["voxel_accuracy"] == pytest.approx(288 / 300)
    assert measured["voxel_accuracy_background"] == pytest.approx(284 / 300)
    assert measured["volume_ml_true_any"] == pytest.approx(0.032)
    assert measured["volume_ml_pred_any"] == pytest.approx(0.040)
    assert measured["volume_error_ml_any"] == pytest.approx(0.008)
    assert measured["lesion_f1_any"] == 1.0
    # Columns 2 and 7 are the farthest surface voxels: one step of 0.8 mm and two.
    assert measured["nsd_2mm_any"] == 1.0
    assert measured["hd95_mm_any"] == pytest.approx(1.6)


@pytest.mark.parametrize("seed", [0, 1])
def test_overlap_agrees_with_scikit_learn_and_monai(seed: int) -> None:
    prediction, target = _random_pair(seed)
    measured = segmentation_metrics(prediction, target, SPACING, "subdural")
    flat = target.ravel(), prediction.ravel()
    tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, target)]
    assert measured["dice_subdural"] == pytest.approx(sk.f1_score(*flat))
    assert measured["dice_subdural"] == pytest.approx(compute_dice(*tensors).item(), abs=1e-6)
    assert measured["iou_subdural"] == pytest.approx(compute_iou(*tensors).item(), abs=1e-6)
    assert measured["sensitivity_subdural"] == pytest.approx(sk.recall_score(*flat))
    assert measured["precision_subdural"] == pytest.approx(sk.precision_score(*flat))
    assert measured["specificity_subdural"] == pytest.approx(sk.recall_score(*flat, pos_label=0))
    assert measured["voxel_accuracy"] == pytest.approx(sk.accuracy_score(*flat))


def _filled() -> np.ndarray:
    mask = np.zeros((4, 10, 10), dtype=bool)
    mask[1:3, 4:8, 4:8] = True
    return mask


def _undefined(measured: dict[str, float]) -> set[str]:
    return {name for name, value in measured.items() if math.isnan(value)}


DIAGONAL_MM = math.sqrt(20.0**2 + 5.0**2 + 8.0**2)


def test_empty_prediction_of_a_lesion_scores_the_worst() -> None:
    target = _filled()
    measured = segmentation_metrics(np.zeros_like(target), target, SPACING)
    assert _undefined(measured) == {"precision_any", "lesion_precision_any", "false_alarm_any"}
    assert (measured["missed_any"], measured["lesion_sensitivity_any"], measured["false_lesions_any"]) == (1, 0, 0)
    zero = ("dice_any", "iou_any", "sensitivity_any", "nsd_2mm_any", "lesion_f1_any", "volume_ml_pred_any")
    assert [measured[name] for name in zero] == [0.0] * len(zero)
    assert measured["hd95_mm_any"] == pytest.approx(DIAGONAL_MM)
    assert measured["volume_error_ml_any"] == pytest.approx(-0.064)
    assert measured["abs_volume_error_ml_any"] == pytest.approx(0.064)
    # Finding nothing is right in 92% of the voxels, which is why accuracy stands beside the all-background one.
    assert measured["voxel_accuracy"] == measured["voxel_accuracy_background"] == pytest.approx(368 / 400)


def test_empty_target_with_an_invented_lesion_scores_the_worst() -> None:
    prediction = _filled()
    measured = segmentation_metrics(prediction, np.zeros_like(prediction), SPACING)
    assert _undefined(measured) == {"sensitivity_any", "lesion_sensitivity_any", "missed_any"}
    assert (measured["false_alarm_any"], measured["lesion_precision_any"], measured["false_lesions_any"]) == (1, 0, 1)
    zero = ("dice_any", "iou_any", "precision_any", "nsd_2mm_any", "lesion_f1_any", "volume_ml_true_any")
    assert [measured[name] for name in zero] == [0.0] * len(zero)
    assert measured["hd95_mm_any"] == pytest.approx(DIAGONAL_MM)
    assert measured["voxel_accuracy_background"] == 1.0
    assert measured["voxel_accuracy"] == pytest.approx(368 / 400)


def test_both_empty_is_undefined_and_not_perfect() -> None:
    empty = np.zeros((4, 10, 10), dtype=bool)
    measured = segmentation_metrics(empty, empty, SPACING)
    names = (
        "dice",
        "iou",
        "sensitivity",
        "precision",
        "nsd_2mm",
        "hd95_mm",
        "lesion_f1",
        "lesion_sensitivity",
        "lesion_precision",
        "missed",
    )
    assert (measured["false_alarm_any"], measured["false_lesions_any"]) == (0, 0)
    assert _undefined(measured) == {f"{name}_any" for name in names}
    assert measured["specificity_any"] == measured["voxel_accuracy"] == 1.0
    assert measured["volume_error_ml_any"] == 0.0


def test_a_target_that_fills_the_field_leaves_specificity_undefined() -> None:
    full = np.ones((2, 3, 3), dtype=bool)
    assert math.isnan(voxel_counts(full, full).specificity)


def test_lesions_are_counted_as_touching_components() -> None:
    target, prediction = np.zeros((2, 3, 20, 20), dtype=bool)
    target[0, 1:4, 1:4] = True
    target[1, 4, 4] = True  # touches the first at a corner only: the same lesion
    target[2, 15:17, 15:17] = True
    target[0, 10, 10] = True  # third lesion, missed
    prediction[1, 4, 4] = True
    prediction[2, 16:19, 16:19] = True
    prediction[0, 18, 2] = True  # invented
    prediction[0, 1, 18] = True  # invented
    # 2 of 3 true lesions found, 2 of 4 predicted ones right.
    assert lesion_f1(prediction, target) == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert lesion_counts(prediction, target) == LesionCounts(true=3, found=2, predicted=4, right=2)
    measured = segmentation_metrics(prediction, target, SPACING)
    assert measured["lesion_sensitivity_any"] == pytest.approx(2 / 3)
    assert measured["lesion_precision_any"] == 0.5
    assert (measured["false_lesions_any"], measured["missed_any"]) == (2, 0)


def test_a_prediction_beside_the_lesion_misses_it_and_is_no_false_alarm_of_a_healthy_case() -> None:
    target, prediction = np.zeros((2, 2, 12, 12), dtype=bool)
    target[0, :3, :3] = prediction[0, 3:6, :3] = True
    measured = segmentation_metrics(prediction, target, SPACING)
    assert measured["missed_any"] == 1
    assert math.isnan(measured["false_alarm_any"])
    assert measured["false_lesions_any"] == 1


def test_abc2_is_summed_over_lesions_and_stands_beside_the_volume() -> None:
    target = np.zeros((6, 30, 30), dtype=bool)
    target[0:2, 2:12, 2:12] = True
    target[4, 20:24, 20:25] = True
    apart = [target.copy(), target.copy()]
    apart[0][3:], apart[1][:3] = False, False
    expected = sum(abc2_ml(part, SPACING) for part in apart)
    measured = segmentation_metrics(~target, target, SPACING)
    assert measured["abc2_ml_true_any"] == pytest.approx(expected)
    # One voxel is 2 mm3.
    assert measured["abc2_error_ml_any"] == pytest.approx(expected - 220 * 0.002)
    assert lesions_abc2_ml(np.zeros_like(target), SPACING) == 0.0


def test_millilitres_of_a_sheared_grid_are_its_determinant() -> None:
    # Slices 4 mm apart that slide by 3 mm each: 5 mm from voxel to voxel, which would give 25% too much.
    steps = np.array([[0.0, 0.0, -1.0], [3.0, -1.0, 0.0], [4.0, 0.0, 0.0]])
    target, prediction = np.zeros((2, 5, 12, 12), dtype=bool)
    target[1:4, 2:10, 1:11] = True
    prediction[1:3, 2:10, 1:11] = True
    measured = segmentation_metrics(prediction, target, steps)
    assert measured["volume_ml_true_any"] == pytest.approx(240 * 4.0 / 1000)
    assert measured["abs_volume_error_ml_any"] == pytest.approx(80 * 4.0 / 1000)
    # The top slice's far voxels are a slice and its slide away from what was found.
    assert 4.0 <= measured["hd95_mm_any"] <= 5.0


def test_lesions_that_never_meet_score_zero() -> None:
    target, prediction = np.zeros((2, 1, 9, 9), dtype=bool)
    target[0, 0, 0] = prediction[0, 8, 8] = True
    assert lesion_f1(prediction, target) == 0.0


@pytest.mark.parametrize("suffix", ["any", "intraventricular", "ventricles"])
def test_every_key_is_in_the_registry(suffix: str) -> None:
    prediction, target = _random_pair(4)
    assert set(segmentation_metrics(prediction, target, SPACING, suffix)) <= set(METRICS)


def test_integer_masks_are_taken_and_label_maps_refused() -> None:
    prediction, target = _random_pair(5)
    expected = segmentation_metrics(prediction, target, SPACING)
    measured = segmentation_metrics(prediction.astype(np.uint8), target.astype(np.int64), SPACING)
    assert measured == pytest.approx(expected, nan_ok=True, abs=0)
    with pytest.raises(UserError, match="value 3; expected 0 or 1"):
        segmentation_metrics(prediction, target * np.uint8(3), SPACING)
    with pytest.raises(UserError, match="one shape"):
        segmentation_metrics(prediction, target[1:], SPACING)
