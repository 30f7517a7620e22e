"""Which bleeds of a phantom carry a label: those that can be told from what lies around."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.datasets.phantom.plan import PhantomSpec
from hemobench.datasets.phantom.visible import contrasts_hu, seen_alone
from hemobench.errors import UserError
from hemobench.volume import Volume


def _head() -> Loaded:
    """Brain of 32 HU with a bright clot of 60 HU, one of 35 HU, and one of 20 HU beside bone."""
    voxels = np.full((3, 60, 60), 32.0, dtype=np.float32)
    label_map = np.zeros((3, 60, 60), dtype=np.uint8)
    for label, (row, column), hu in ((2, (10, 10), 60.0), (2, (10, 40), 35.0), (5, (40, 20), 20.0)):
        box = (slice(0, 2), slice(row, row + 8), slice(column, column + 8))
        voxels[box], label_map[box] = hu, label
    voxels[:, 48:, :] = 900.0
    labels = np.array([[0, 1, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=np.uint8)
    return Loaded(Volume(voxels, np.diag([5.0, 1.0, 1.0, 1.0])), label_map, labels)


def test_contrast_is_the_distance_of_the_medians_and_bone_does_not_count() -> None:
    loaded = _head()
    assert loaded.label_map is not None
    found = sorted((label, contrast) for label, _, contrast in contrasts_hu(loaded.image, loaded.label_map))
    assert found == [(2, 3.0), (2, 28.0), (5, 12.0)]


def test_a_bleed_that_cannot_be_seen_carries_no_label() -> None:
    seen = seen_alone(_head(), 8.0)
    assert seen.label_map is not None
    assert seen.slice_labels is not None
    assert not seen.label_map[:, :, 35:].any()
    assert (seen.label_map[0, 10:18, 10:18] == 2).all()
    assert (seen.label_map[1, 40:48, 20:28] == 5).all()
    assert seen.slice_labels.tolist() == [[0, 1, 0, 0, 1], [0, 1, 0, 0, 1], [0] * 5]
    only_bright = seen_alone(_head(), 20.0)
    assert only_bright.slice_labels is not None
    assert only_bright.slice_labels[0].tolist() == [0, 1, 0, 0, 0]


def test_without_a_limit_nothing_changes() -> None:
    loaded = _head()
    assert seen_alone(loaded, 0.0) is loaded
    with pytest.raises(UserError, match="0 to 100 HU"):
        PhantomSpec(least_contrast_hu=-1.0)
