"""Targets of data sets that know less than five types a slice: binary masks, labels of the study alone."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.datasets.case import Loaded
from hemobench.datasets.views import ClassificationView, SegmentationView, render
from hemobench.errors import UserError
from hemobench.volume import Volume

IMAGE = Volume(np.full((2, 8, 8), 40.0), np.diag([1.0, 1.0, 1.0, 1.0]))


def test_untyped_blood_is_a_segmentation_target_and_no_classification_one() -> None:
    mask = np.zeros((2, 8, 8), dtype=bool)
    mask[1, 2:4, 3:6] = True
    loaded = Loaded(IMAGE, None, None, blood_mask=mask)
    _, target = render(loaded, SegmentationView(spacing_mm=(1, 1, 1), shape=(2, 8, 8)), "case a")
    np.testing.assert_array_equal(target[0, 0], mask)
    with pytest.raises(UserError, match="no slice labels"):
        render(loaded, ClassificationView(size=8), "case a")


def test_study_labels_stand_for_every_slice_where_nothing_else_is_known() -> None:
    _, target = render(Loaded(IMAGE, None, None, study_labels=(0, 1, 0, 0, 1)), ClassificationView(size=8), "case a")
    assert target.tolist() == [[0, 1, 0, 0, 1, 1]] * 2
    known = np.zeros((2, 5), dtype=np.uint8)
    _, target = render(Loaded(IMAGE, None, known, study_labels=(0, 1, 0, 0, 1)), ClassificationView(size=8), "case a")
    assert not target.any()
