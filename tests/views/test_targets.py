"""Targets of data sets that know less than five types a slice: binary masks, labels of the study alone."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES, UNTYPED
from hemobench.views.head_box import head_box
from hemobench.views.render import render, render_mask
from hemobench.views.view import ClassificationView, SegmentationView
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


def test_types_are_a_label_map_that_keeps_the_commonest_of_a_coarse_voxel() -> None:
    label_map = np.zeros((2, 8, 8), dtype=np.uint8)
    label_map[0, 0:2, 0:2] = [[2, 2], [5, 0]]  # three quarters blood, most of it type 2
    label_map[0, 2:4, 2:4] = [[5, 0], [0, 0]]  # a quarter blood
    label_map[1, 4:6, 4:6] = 3
    view = SegmentationView("subtypes", (1, 2, 2), (2, 4, 4))
    assert view.outputs == ("any", *SUBTYPES)
    _, target = render(Loaded(IMAGE, label_map, None), view, "case a")
    # Neighbours count too, with the triangle's weights 1/8 3/8 3/8 1/8 along each axis.
    assert target[0, 0, 1, 2, 2] == 3
    assert target[0, 0, 0, 0, 0] == 2
    assert target[0, 0, 0, 1, 1] == 0


def test_types_need_a_label_map_that_has_them() -> None:
    loaded = Loaded(IMAGE, None, None, blood_mask=np.ones((2, 8, 8), dtype=bool))
    with pytest.raises(UserError, match="no label map of types"):
        render(loaded, SegmentationView("subtypes", (1, 1, 1), (2, 8, 8)), "case a")


def test_the_head_box_passes_over_a_thin_head_holder() -> None:
    voxels = np.full((4, 100, 100), -1000.0)
    voxels[:, 20:60, 30:60] = 40.0
    voxels[0, 96, 50] = 200.0
    assert head_box(Volume(voxels, np.eye(4))) == ((0, 3), (20, 59), (30, 59))
    assert head_box(Volume(np.full((1, 10, 12), -1000.0), np.eye(4))) == ((0, 0), (0, 9), (0, 11))


def test_the_plane_is_cut_about_the_head() -> None:
    voxels = np.full((2, 40, 40), -1000.0)
    voxels[:, 24:32, 8:16] = 40.0
    image, _ = render(
        Loaded(Volume(voxels, np.eye(4)), np.zeros((2, 40, 40), dtype=np.uint8), None),
        SegmentationView(spacing_mm=(1, 1, 1), shape=(2, 8, 8)),
        "case a",
    )
    assert (image == 128).all()  # brain window: 40 HU is its middle


def test_blood_of_a_mask_has_the_type_of_its_slice_where_that_has_one() -> None:
    blood = np.zeros((2, 8, 8), dtype=bool)
    blood[:, 2:6, 2:6] = True
    labels = np.array([[0, 0, 1, 0, 0], [1, 0, 0, 0, 1]], dtype=np.uint8)  # intraventricular; epidural and subdural
    loaded = Loaded(IMAGE, None, labels, blood_mask=blood)
    _, target = render(loaded, SegmentationView("subtypes", (1, 1, 1), (2, 8, 8)), "case a")
    assert np.unique(target[0, 0, 0]).tolist() == [0, 3]
    assert np.unique(target[0, 0, 1]).tolist() == [0, UNTYPED]
    assert ((target[0, 0] > 0).sum(axis=(1, 2)) == 16).all()


def test_a_head_without_millimetres_is_scaled_to_an_average_one() -> None:
    voxels = np.full((2, 40, 40), -1000.0, dtype=np.float32)
    voxels[:, 10:30, 12:28] = 30.0  # 20 rows: 194 mm, so 9.7 mm a pixel
    label_map = np.zeros((2, 40, 40), dtype=np.uint8)
    label_map[:, 14:18, 16:20] = 5
    view = SegmentationView("subtypes", (1, 9.7, 9.7), (2, 20, 16), "brain")
    _, target = render(Loaded(Volume(voxels, np.eye(4)), label_map, None), view, "case a", spacing_known=False)
    assert (target[0, 0] == 5).sum() == 2 * 16
    _, nominal = render(Loaded(Volume(voxels, np.eye(4)), label_map, None), view, "case a")
    assert (nominal[0, 0] == 5).sum() < 2 * 4


@pytest.mark.parametrize("spacing_known", [True, False])
@pytest.mark.parametrize("target", ["subtypes", "haemorrhage"])
def test_anybodys_mask_comes_onto_the_grid_as_the_true_one_does(target: str, spacing_known: bool) -> None:
    label_map = np.zeros((2, 8, 8), dtype=np.uint8)
    label_map[0, 0:3, 0:2], label_map[1, 4:6, 3:7] = 2, 5
    # Of a coarser grid than the image's, and 194 mm of head where millimetres are nominal.
    view = SegmentationView(target, (1, 2, 2) if spacing_known else (1, 50, 50), (2, 4, 4))
    _, true = render(Loaded(IMAGE, label_map, None), view, "case a", spacing_known=spacing_known)
    found = render_mask(label_map, IMAGE, view, spacing_known=spacing_known)
    np.testing.assert_array_equal(found, true[0, 0])
    assert set(np.unique(found)) == ({0, 2, 5} if target == "subtypes" else {0, 1})
