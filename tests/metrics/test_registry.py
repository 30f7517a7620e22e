"""The registry covers what the metrics compute and what the design names, and directions are right in effect."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.metrics.classification import classification_metrics
from hemobench.metrics.definitions import METRICS, higher_is_better, metric_info
from hemobench.metrics.segmentation import segmentation_metrics

DESIGN_NAMES = (
    "auroc_any",
    "auroc_macro",
    "auroc_epidural",
    "auroc_subdural",
    "ap_any",
    "logloss_rsna",
    "brier_any",
    "ece_any",
    "accuracy",
    "sens_at_spec90_any",
    "auroc_any_study",
    "dice_any",
    "dice_epidural",
    "dice_ventricles",
    "nsd_2mm_any",
    "hd95_mm_any",
    "volume_error_ml_any",
    "voxel_accuracy",
    "lesion_f1_any",
)


def _targets() -> np.ndarray:
    targets = np.zeros((60, 6), dtype=np.uint8)
    targets[np.arange(50), np.arange(50) % 5] = 1
    targets[:, 5] = targets[:, :5].max(axis=1)
    return targets


def test_every_computed_and_every_designed_name_is_registered() -> None:
    targets = _targets()
    computed = classification_metrics(np.full((60, 6), 0.5), targets, np.arange(60) // 3)
    assert set(computed) | set(DESIGN_NAMES) <= set(METRICS)
    assert all(info.name == name for name, info in METRICS.items())


def test_a_perfect_classifier_beats_an_inverted_one_in_the_declared_direction() -> None:
    targets = _targets()
    studies = np.arange(60)
    good = classification_metrics(np.where(targets, 0.95, 0.05), targets, studies)
    bad = classification_metrics(np.where(targets, 0.05, 0.95), targets, studies)
    for name in good:
        assert (good[name] > bad[name]) == higher_is_better(name), name
        assert good[name] != bad[name], name


def test_a_perfect_mask_beats_a_displaced_one_in_the_declared_direction() -> None:
    target = np.zeros((4, 30, 30), dtype=bool)
    target[1:3, 3:8, 3:8] = True
    moved = np.roll(target, 15, axis=2)
    moved[3, 20:25, 3:8] = True
    good, bad = (segmentation_metrics(mask, target, (5, 1, 1)) for mask in (target, moved))
    ranked = [name for name in good if metric_info(name).higher_is_better is not None]
    assert len(ranked) == 15
    for name in ranked:
        assert good[name] != bad[name], name
        assert (good[name] > bad[name]) == higher_is_better(name), name


def test_unknown_names_and_names_without_direction_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown metric 'dice_al'.*did you mean 'dice_any'"):
        metric_info("dice_al")
    with pytest.raises(UserError, match="abs_volume_error_ml"):
        higher_is_better("volume_error_ml_any")
