"""Measures of ventricles on made heads whose widths and sides are known by construction, on anisotropic grids."""

from __future__ import annotations

import numpy as np
import pytest
from made_heads import HORNS, Horn, made_head, skull_width_mm, turn

from hemobench.metrics.midsagittal import Midplane
from hemobench.metrics.ventricles import blood_share, evans_index, midline_shift_mm, sides_ml
from hemobench.volume import LABEL_MAP, Volume


def own_plane(axes: np.ndarray, aside_mm: float = 0.0) -> Midplane:
    return Midplane(axes[:, 0], aside_mm, 1.0)


def test_blood_share_counts_what_lies_inside() -> None:
    ventricles = np.zeros((2, 4, 5), dtype=bool)
    ventricles[:, 1:3, 1:5] = True  # 16 voxels
    blood = np.zeros_like(ventricles)
    blood[0, 2, :] = True  # 5 voxels, 4 of them inside
    assert blood_share(blood, ventricles) == 4 / 16
    assert blood_share(np.zeros_like(blood), ventricles) == 0
    assert blood_share(blood, np.zeros_like(ventricles)) is None


def test_sides_are_the_patients() -> None:
    mask = np.zeros((2, 4, 6), dtype=np.uint8)
    mask[:, 1:3, :2] = 1  # columns run to the patient's left, so this is the right
    mask[0, 1, 4] = 1
    affine = np.array([[0, 0, -0.5, 0], [0, -2.0, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    plane = Midplane(np.array([-1.0, 0, 0]), 1.25, 1.0)  # x = -1.25: between columns 2 and 3
    left, right = sides_ml(Volume(mask, affine, LABEL_MAP), plane)
    assert (left, right) == pytest.approx((0.005, 8 * 0.005))


@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (14, 0), (-11, 6)])
def test_evans_index_is_the_horns_width_over_the_skulls(yaw: float, roll: float) -> None:
    axes = turn(yaw, roll)
    head, mask = made_head(axes=axes)
    found = evans_index(head, mask, own_plane(axes))
    assert found is not None
    # 34 mm from 17 mm left to 17 mm right, give or take a pixel and what a roll adds over the horns' height.
    assert found.horns_mm == pytest.approx(34, abs=1.5)
    height_mm = float(head.to_world([found.slice_index, 88.5, 89.5])[2])
    assert found.skull_mm == pytest.approx(skull_width_mm(height_mm), rel=0.02)
    assert found.value == pytest.approx(found.horns_mm / found.skull_mm)
    assert 0.24 < found.value < 0.29


def test_evans_index_is_taken_where_the_horns_are_widest() -> None:
    wide = (Horn((2.0, 24.0), up=(8.0, 16.0)), Horn((-24.0, -2.0), up=(8.0, 16.0)))
    head, mask = made_head((*HORNS, *wide))
    found = evans_index(head, mask, own_plane(turn()))
    assert found is not None
    assert 8 <= head.to_world([found.slice_index, 0, 0])[2] < 16
    assert found.horns_mm == pytest.approx(48, abs=1.0)


def test_what_lies_behind_the_horns_does_not_count() -> None:
    """Atria and temporal horns are wider apart than the frontal ones, and three centimetres behind their tips."""
    behind = tuple(Horn((side - 8, side + 8), (-50.0, 8.0), (-10.0, 20.0)) for side in (34.0, -34.0))
    bodies = tuple(Horn(side, (-50.0, 20.0), (4.0, 12.0)) for side in ((2.0, 30.0), (-30.0, -2.0)))
    head, mask = made_head((*HORNS, *behind))
    # In one piece with the horns, too: their bodies reach to 14 mm behind the horns' tips.
    for parts in (mask, mask | made_head(bodies)[1]):
        found = evans_index(head, parts, own_plane(turn()))
        assert found is not None
        expected = 34 if parts is mask else 60
        assert found.horns_mm == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize(
    ("horns", "why"),
    [
        ((), "nothing outlined"),
        (HORNS[:1], "one side alone"),
        ((Horn((2, 6), (30, 36), (0, 8)), Horn((-6, -2), (30, 36), (0, 8))), "pieces of 0.2 mL"),
    ],
)
def test_what_cannot_be_measured_is_none(horns: tuple[Horn, ...], why: str) -> None:
    head, mask = made_head(horns)
    assert evans_index(head, mask, own_plane(turn())) is None, why
    assert midline_shift_mm(head, mask, own_plane(turn())) is None, why


def test_horns_that_are_widest_at_the_scans_end_are_not_measured() -> None:
    head, mask = made_head()
    top = int(np.flatnonzero(mask.any(axis=(1, 2)))[2])
    cut = Volume(np.asarray(head.voxels)[: top + 1], head.affine)
    only_top = mask[: top + 1].copy()
    only_top[:top, :, :80] = False
    only_top[:top, :, 100:] = False
    assert evans_index(cut, only_top, own_plane(turn())) is None


def test_an_open_skull_has_no_width() -> None:
    head, mask = made_head()
    voxels = np.asarray(head.voxels).copy()
    voxels[:, :, 110:] = np.where(voxels[:, :, 110:] > 200, 30.0, voxels[:, :, 110:])
    assert evans_index(head.with_voxels(voxels), mask, own_plane(turn())) is None


def test_a_skull_that_is_open_in_front_has_the_same_width() -> None:
    head, mask = made_head()
    whole = evans_index(head, mask, own_plane(turn()))
    voxels = np.asarray(head.voxels).copy()
    front = voxels[:, :60, 82:100]  # 18 mm of bone, as where a slice passes through a frontal sinus
    front[front > 200] = 30.0
    opened = evans_index(head.with_voxels(voxels), mask, own_plane(turn()))
    assert whole is not None
    assert opened is not None
    assert opened.skull_mm == pytest.approx(whole.skull_mm, abs=1.0)


@pytest.mark.parametrize(("shift_mm", "yaw", "roll"), [(0, 0, 0), (5, 0, 0), (-7, 12, 0), (4, -9, 5)])
def test_midline_shift_is_that_of_the_gap_between_the_horns(shift_mm: float, yaw: float, roll: float) -> None:
    axes = turn(yaw, roll)
    moved = tuple(Horn((one.left[0] + shift_mm, one.left[1] + shift_mm)) for one in HORNS)
    head, mask = made_head(moved, axes=axes)
    assert midline_shift_mm(head, mask, own_plane(axes)) == pytest.approx(shift_mm, abs=0.5)


def test_horns_that_are_not_seen_apart_have_no_shift() -> None:
    head, mask = made_head((Horn((-17.0, 17.0)),))
    assert midline_shift_mm(head, mask, own_plane(turn())) is None
    far = (Horn((8.0, 20.0)), Horn((-20.0, -8.0)))  # 16 mm of brain are no septum
    head, mask = made_head(far)
    assert midline_shift_mm(head, mask, own_plane(turn())) is None
