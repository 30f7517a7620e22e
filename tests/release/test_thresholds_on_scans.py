"""A threshold is chosen where it is used: at the scan's voxels, by the way that `predict` goes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from small_checkpoints import small_config

from hemobench.case import Case, Loaded
from hemobench.inference.networks import find_ventricles
from hemobench.release.thresholds_on_scans import pooled_dice_on_scans
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume


class Bright:
    """A ventricle where the picture is bright: a logit of 8 * (grey - 0.5)."""

    description, context = "bright", None

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.float32(8) * (batch - np.float32(0.5))


def _case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    d, h, w = np.indices((24, 32, 32))
    radius = np.sqrt((d - 12) ** 2 + (h - 16) ** 2 + (w - 15) ** 2)
    voxels = np.clip(1.3 - radius / 10, 0.05, 1) + rng.normal(0, 0.05, radius.shape)
    voxels[radius > 14] = 0
    image = Volume(voxels.astype(np.float32), np.eye(4), "MR")
    loaded = Loaded(image, (radius < 6).astype(np.uint8), None)
    return Case(f"p{seed}", f"s{seed}", "made", "made", None, lambda: loaded)


@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_the_dice_at_a_threshold_is_that_of_the_masks_that_predict_makes(spacing: float) -> None:
    shape = tuple(int(32 / spacing) for _ in range(3))
    view = SegmentationView("ventricles", (spacing,) * 3, shape, None)
    cases = [_case(1), _case(2)]
    thresholds, dice = pooled_dice_on_scans(Bright(), view, cases)
    assert len(thresholds) == 100
    config = small_config("ventricles", view=view)
    for threshold in (0.2, 0.5, 0.8):
        rule = replace(config, thresholds={"voxel": {"ventricles": threshold}})
        both = called = true = 0
        for case in cases:
            loaded = case.load()
            assert loaded.foreground is not None
            labels = find_ventricles(loaded.image, rule, Bright(), lambda name: nullcontext()).labels > 0
            both += int((labels & loaded.foreground).sum())
            called, true = called + int(labels.sum()), true + int(loaded.foreground.sum())
        assert dice[round(threshold * 100)] == pytest.approx(2 * both / (called + true), abs=1e-3)
    assert 0 < dice.argmax() < 99


def test_cases_without_a_mask_say_nothing() -> None:
    bare = _case(3).load().image
    cases = [_case(1), replace(_case(3), load=lambda: Loaded(bare, None, None))]
    view = SegmentationView("ventricles", (1.0, 1.0, 1.0), (32, 32, 32), None)
    np.testing.assert_array_equal(
        pooled_dice_on_scans(Bright(), view, cases)[1], pooled_dice_on_scans(Bright(), view, cases[:1])[1]
    )
