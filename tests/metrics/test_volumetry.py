"""Volumes of shapes whose volume is known, ABC/2 by Kothari's rule, limits of agreement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.metrics.volumetry import abc2_ml, bland_altman, slice_diameters_mm, volume_ml


def _ellipsoid(
    semi_axes_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float], degrees: float = 0.0
) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid (slice, row, column semi-axes) turned in the axial plane."""
    reach = [math.ceil(max(semi_axes_mm) / step) + 1 for step in spacing_mm]
    grids = np.meshgrid(
        *(np.arange(-n, n + 1) * step for n, step in zip(reach, spacing_mm, strict=True)), indexing="ij"
    )
    turn = math.radians(degrees)
    row = math.cos(turn) * grids[1] + math.sin(turn) * grids[2]
    column = -math.sin(turn) * grids[1] + math.cos(turn) * grids[2]
    inside = (grids[0] / semi_axes_mm[0]) ** 2 + (row / semi_axes_mm[1]) ** 2 + (column / semi_axes_mm[2]) ** 2
    return inside <= 1


# No semi-axis ends at a voxel's centre, where one more voxel would count by chance.
AXES_MM = (18.5, 15.2, 24.2)
TRUE_ML = 4 / 3 * math.pi * math.prod(AXES_MM) / 1000


@pytest.mark.parametrize("spacing", [(1.0, 0.5, 0.5), (2.5, 0.43, 0.6)])
@pytest.mark.parametrize("degrees", [0.0, 33.0])
def test_ellipsoid(spacing: tuple[float, float, float], degrees: float) -> None:
    mask = _ellipsoid(AXES_MM, spacing, degrees)
    assert volume_ml(mask, math.prod(spacing) / 1000) == pytest.approx(TRUE_ML, rel=0.01)
    # ABC/2 with every slice is 4abc against 4/3 pi abc.
    assert abc2_ml(mask, spacing, "every-slice") == pytest.approx(TRUE_ML * 3 / math.pi, rel=0.03)
    # By Kothari's rule C counts |z| < c/2 once and c/2 to sqrt(3)/2 c half: 1.366 c in place of 2 c.
    kothari = 4 * math.prod(AXES_MM) / 1000 * (0.5 + math.sqrt(3) / 2) / 2
    assert abc2_ml(mask, spacing) == pytest.approx(kothari, rel=0.05)


def test_abc2_by_hand_with_full_half_and_dropped_slices() -> None:
    mask = np.zeros((6, 20, 20), dtype=bool)
    mask[1, 0, :5] = True  # 5 of 40 pixels: 12.5%, dropped
    mask[2, :2, :10] = True  # 20 of 40: half
    mask[3, 4:8, 5:15] = True  # the largest, 40 pixels: 4 rows of 10
    mask[4, :4, :9] = True  # 36 of 40: 90%, whole
    mask[5, :3, :10] = True  # 30 of 40, exactly 75%: half
    a_mm, b_mm = slice_diameters_mm(mask[3], (0.5, 0.8))
    # From the left edge of the block's top row to the right edge of its bottom row: 8 mm across, 3 rows down.
    assert a_mm == pytest.approx(math.hypot(8.0, 1.5))
    # The block is 2 mm high, measured at 90 degrees to that slanted line.
    assert b_mm == pytest.approx(2.0 / math.cos(math.atan(1.5 / 8.0)), rel=0.08)
    assert abc2_ml(mask, (5.0, 0.5, 0.8)) == pytest.approx(a_mm * b_mm * (0.5 + 1 + 1 + 0.5) * 5 / 2 / 1000)
    assert abc2_ml(mask, (5.0, 0.5, 0.8), "every-slice") == pytest.approx(a_mm * b_mm * 5 * 5 / 2 / 1000)


def test_diameters_of_a_disc_are_its_diameter_in_either_direction() -> None:
    ball = _ellipsoid((20.2, 20.2, 20.2), (5.0, 0.5, 0.5))
    disc = ball[len(ball) // 2]
    assert slice_diameters_mm(disc, (0.5, 0.5)) == pytest.approx((40.4, 40.4), rel=0.02)


def test_one_pixel_measures_its_own_edges() -> None:
    assert slice_diameters_mm(np.ones((1, 1), dtype=bool), (0.5, 0.8)) == pytest.approx((0.8, 0.5))
    one = np.ones((1, 1, 1), dtype=bool)
    assert abc2_ml(one, (5.0, 0.5, 0.8)) == pytest.approx(0.001)


def test_no_haemorrhage_has_no_volume() -> None:
    empty = np.zeros((3, 4, 5), dtype=bool)
    assert volume_ml(empty, 0.01) == 0.0
    assert abc2_ml(empty, (5.0, 0.5, 0.5)) == 0.0


def test_bland_altman_by_hand_with_an_undefined_pair() -> None:
    agreement = bland_altman([12.0, 9.0, 33.0, np.nan], [10.0, 10.0, 30.0, 5.0])
    # Differences 2, -1, 3: mean 4/3, sample sd sqrt(13/3).
    sd = math.sqrt(13 / 3)
    assert agreement.bias == pytest.approx(4 / 3)
    assert agreement.sd == pytest.approx(sd)
    assert (agreement.low, agreement.high) == pytest.approx((4 / 3 - 1.96 * sd, 4 / 3 + 1.96 * sd))
    assert (agreement.n, agreement.undefined) == (3, 1)


def test_bland_altman_of_too_few_pairs_is_undefined() -> None:
    one = bland_altman([3.0], [1.0])
    assert one.bias == 2.0
    assert np.isnan([one.sd, one.low, one.high]).all()
    none = bland_altman([np.nan], [1.0])
    assert math.isnan(none.bias)
    assert (none.n, none.undefined) == (0, 1)


def test_bad_input_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown slice rule 'kotari'.*did you mean 'kothari'"):
        abc2_ml(np.ones((1, 2, 2), dtype=bool), (5, 1, 1), "kotari")
    with pytest.raises(UserError, match="expected a positive number of mL"):
        volume_ml(np.ones((1, 2, 2), dtype=bool), 0.0)
    with pytest.raises(UserError, match="equally long"):
        bland_altman([1.0, 2.0], [1.0])


def test_abc2_on_sheared_grids_by_hand() -> None:
    box = np.ones((3, 10, 20), dtype=bool)
    upright = abc2_ml(box, (5.0, 1.0, 1.0), "every-slice")
    # Slices that slide forward by 2 mm each are as far apart as before, though their origins lie hypot(5, 2) mm apart.
    tilted = np.array([[0.0, 0.0, -1.0], [2.0, -1.0, 0.0], [5.0, 0.0, 0.0]])
    assert abc2_ml(box, tilted, "every-slice") == pytest.approx(upright)
    # Rows at 60 degrees to the columns: A runs from edge to edge over 9 rows and 20 columns.
    slanted = np.array([[0.0, 0.5, 1.0], [0.0, math.sqrt(0.75), 0.0], [5.0, 0.0, 0.0]])
    a_mm, b_mm = slice_diameters_mm(box[0], slanted[:2, 1:])
    assert a_mm == pytest.approx(math.hypot(9 * 0.5 + 20, 9 * math.sqrt(0.75)))
    # 10 rows are 8.7 mm high, measured at 90 degrees to A: more than that, as A lies askew.
    assert 8.2 < b_mm < 10
    assert abc2_ml(box, slanted, "every-slice") == pytest.approx(a_mm * b_mm * 15 / 2 / 1000)
