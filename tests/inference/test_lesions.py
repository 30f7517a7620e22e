from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.errors import UserError
from hemobench.inference.lesions import LesionRules, lesions_of, occupied_box
from hemobench.labels import LABEL_IDS
from hemobench.volume import LABEL_MAP, Volume, display_affine

KEEP_ALL = LesionRules(min_ml=0.0, type_share=0.0, type_ml=0.0)
# 5 x 1 x 2 mm, so that a voxel holds 0.01 mL.
SPACING_MM = (5.0, 1.0, 2.0)


def label_map_of(labels: NDArray[np.uint8], affine: NDArray[np.float64] | None = None) -> Volume:
    placed = display_affine(labels.shape, SPACING_MM) if affine is None else affine
    return Volume(labels, placed, LABEL_MAP)


def empty() -> NDArray[np.uint8]:
    return np.zeros((6, 20, 20), dtype=np.uint8)


def test_a_box_is_measured_by_hand() -> None:
    labels = empty()
    labels[1:4, 4:8, 10:15] = LABEL_IDS["subdural"]
    probability = np.zeros(labels.shape, dtype=np.float32)
    probability[1:4, 4:8, 10:15] = 0.75
    probability[1, 4:8, 10:15] = 0.9
    search = lesions_of(label_map_of(labels), probability)
    (lesion,) = search.lesions
    assert (lesion.number, lesion.subtype, lesion.voxels) == (1, "subdural", 60)
    assert lesion.volume_ml == pytest.approx(60 * 0.01)
    assert lesion.centroid_index == pytest.approx((2.0, 5.5, 12.0))
    # S-P-L centred on the origin: slices from -12.5 mm up, rows from +9.5 to the back, columns from +19 to the left.
    assert lesion.centroid_mm == pytest.approx((19 - 24.0, 9.5 - 5.5, -12.5 + 10.0))
    assert (lesion.first_slice, lesion.last_slice) == (1, 3)
    assert lesion.mean_probability == pytest.approx((0.9 + 0.75 + 0.75) / 3)
    # A runs between edge middles that lie farthest apart: 4 or 3 mm by 8 or 10 mm; C is three slices of 5 mm.
    a_mm = np.hypot(3, 10)
    across_mm = lesion.abc2_ml / (a_mm * 15 / 2 / 1000)
    assert 3.0 < across_mm < 4.5
    assert np.array_equal(search.label_map.voxels, labels)
    assert (search.left_out, search.left_out_ml) == (0, 0.0)


def test_components_are_those_of_touching_corners_and_largest_first() -> None:
    labels = empty()
    labels[0, 0:3, 0:3] = 2
    labels[1, 3, 3] = 2  # touches by a corner only
    labels[3:5, 10:15, 10:15] = 2
    search = lesions_of(label_map_of(labels), rules=KEEP_ALL)
    assert [(one.number, one.voxels) for one in search.lesions] == [(1, 50), (2, 10)]
    assert (search.lesions[1].first_slice, search.lesions[1].last_slice) == (0, 1)


def test_scattered_blood_gives_the_components_of_scipy() -> None:
    labels = (np.random.default_rng(0).random((8, 30, 31)) > 0.95).astype(np.uint8) * 4
    search = lesions_of(label_map_of(labels), rules=KEEP_ALL)
    components, count = ndimage.label(labels, structure=np.ones((3, 3, 3)))
    assert len(search.lesions) == count > 20
    assert sorted(one.voxels for one in search.lesions) == sorted(np.bincount(components.ravel())[1:])
    centres = ndimage.center_of_mass(labels, components, range(1, count + 1))
    np.testing.assert_allclose(sorted(one.centroid_index for one in search.lesions), sorted(centres))


def test_small_spots_are_left_out_and_counted() -> None:
    labels = empty()
    labels[0, 0, 0:9] = 1  # 0.09 mL
    labels[2, 10, 0:10] = 1  # 0.1 mL exactly: stays
    labels[4, 0, 0:2] = 5
    search = lesions_of(label_map_of(labels))
    assert [one.voxels for one in search.lesions] == [10]
    assert search.left_out == 2
    assert search.left_out_ml == pytest.approx(0.11)
    assert np.array_equal(np.argwhere(search.label_map.voxels), [[2, 10, column] for column in range(10)])


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        (40, True),  # 0.4 of 1.6 mL: a quarter
        (30, True),  # 0.3 of 1.5 mL: exactly a fifth, and exactly the least volume
        (29, False),  # below both
    ],
)
def test_a_second_type_stays_if_it_is_large_enough(second: int, kept: bool) -> None:
    labels = empty()
    labels[0:2, 0:4, 0:15] = LABEL_IDS["intraparenchymal"]
    flat = labels.reshape(6, -1)
    flat[2, :second] = LABEL_IDS["intraventricular"]
    search = lesions_of(label_map_of(labels))
    found = {one.subtype: one.voxels for one in search.lesions}
    if kept:
        assert found == {"intraparenchymal": 120, "intraventricular": second}
    else:
        assert found == {"intraparenchymal": 120 + second}
        assert set(np.unique(search.label_map.voxels)) == {0, LABEL_IDS["intraparenchymal"]}


def test_a_share_below_a_fifth_takes_the_commonest_type_however_large() -> None:
    labels = np.zeros((4, 40, 40), dtype=np.uint8)
    labels[:3] = 5
    labels[3, :30] = 5
    labels[3, 30:] = 4  # 400 of 6400 voxels, 4 mL
    (lesion,) = lesions_of(label_map_of(labels)).lesions
    assert (lesion.subtype, lesion.voxels) == ("subdural", 6400)


def test_the_type_rule_is_about_its_own_component() -> None:
    labels = empty()
    labels[0:3, 0:10, 0:10] = 1
    labels[0:1, 13:17, 0:10] = 3  # apart from the other: 0.4 mL of its own
    assert [one.subtype for one in lesions_of(label_map_of(labels)).lesions] == ["epidural", "intraventricular"]


def test_nothing_found() -> None:
    search = lesions_of(label_map_of(empty()))
    assert search.lesions == ()
    assert not search.label_map.voxels.any()


def test_everything_too_small_leaves_an_empty_map() -> None:
    labels = empty()
    labels[0, 0, 0] = 1
    search = lesions_of(label_map_of(labels))
    assert search.lesions == ()
    assert search.left_out == 1
    assert not search.label_map.voxels.any()


def test_without_millimetres_voxels_and_places_remain() -> None:
    labels = empty()
    labels[1:4, 4:8, 10:15] = 5
    (lesion,) = lesions_of(label_map_of(labels), spacing_known=False).lesions
    assert (lesion.volume_ml, lesion.abc2_ml, lesion.centroid_mm) == (None, None, None)
    assert (lesion.voxels, lesion.centroid_index) == (60, (2.0, 5.5, 12.0))


def test_a_sheared_grid_counts_its_determinant() -> None:
    # Slices 4 mm apart and shifted by 3 mm each: 5 mm from voxel to voxel, 4 mm from plane to plane.
    affine = np.array([[0, 0, -1.0, 7], [3.0, -1.0, 0, 8], [4.0, 0, 0, 9], [0, 0, 0, 1]])
    labels = np.zeros((5, 12, 12), dtype=np.uint8)
    labels[1:5, 2:10, 1:11] = 2
    volume = label_map_of(labels, affine)
    (lesion,) = lesions_of(volume).lesions
    assert volume.spacing_mm[0] == pytest.approx(5.0)
    assert lesion.volume_ml == pytest.approx(320 * 4.0 / 1000)
    straight = label_map_of(labels, display_affine(labels.shape, (4.0, 1.0, 1.0)))
    assert lesion.abc2_ml == pytest.approx(lesions_of(straight).lesions[0].abc2_ml)
    # Index (2.5, 5.5, 5.5) by hand.
    assert lesion.centroid_mm == pytest.approx((7 - 5.5, 8 + 7.5 - 5.5, 9 + 10.0))


def test_ellipsoid_has_its_volume_and_its_abc2_in_any_orientation() -> None:
    radii_mm = np.array([25.0, 15.0, 10.0])  # slices, rows, columns
    turned = _rotation(0.3, -0.2, 0.15) @ display_affine((61, 80, 80), (1.0, 0.5, 0.5))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = turned
    affine[:3, 3] = (11, -7, 3)
    index = np.stack(np.mgrid[:61, :80, :80], axis=-1) - (30.0, 39.5, 39.5)
    inside = (((index * (1.0, 0.5, 0.5)) / radii_mm) ** 2).sum(axis=-1) <= 1
    (lesion,) = lesions_of(label_map_of(inside.astype(np.uint8), affine)).lesions
    true_ml = 4 / 3 * np.pi * radii_mm.prod() / 1000
    assert lesion.volume_ml == pytest.approx(true_ml, rel=0.01)
    # ABC/2 with the half-slice rule: A x B of the middle slice; slices above 75% and 25% of its area count 1 and 1/2.
    slices = 25 * (np.sqrt(0.25) + np.sqrt(0.75))
    assert lesion.abc2_ml == pytest.approx(30 * 20 * slices / 2 / 1000, rel=0.05)
    np.testing.assert_allclose(lesion.centroid_mm, affine[:3, :3] @ (30, 39.5, 39.5) + affine[:3, 3], atol=0.01)


def test_box_holds_all_and_no_more() -> None:
    mask = np.zeros((5, 6, 7), dtype=bool)
    assert occupied_box(mask) is None
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert occupied_box(mask) == (slice(1, 4), slice(2, 3), slice(3, 7))


@pytest.mark.parametrize(
    ("volume", "probability", "message"),
    [
        (Volume(np.zeros((2, 3, 4), dtype=np.float32), np.eye(4)), None, "modality 'CT'"),
        (label_map_of(np.full((2, 3, 4), 6, dtype=np.uint8)), None, "ids up to 6"),
        (label_map_of(np.ones((2, 3, 4), dtype=np.uint8)), np.ones((2, 3, 5)), r"shape \(2, 3, 5\)"),
    ],
)
def test_wrong_input_is_refused(volume: Volume, probability: NDArray[np.float64] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        lesions_of(volume, probability)


def test_rules_are_checked() -> None:
    with pytest.raises(UserError, match=r"type_share=1\.2"):
        LesionRules(type_share=1.2)


def _rotation(x: float, y: float, z: float) -> NDArray[np.float64]:
    cos, sin = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    about_y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    about_z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
