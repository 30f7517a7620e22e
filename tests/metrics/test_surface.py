"""Surface distances against MONAI, whose definitions these are, and against shapes whose distances are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from hemobench.errors import UserError
from hemobench.metrics import surface
from hemobench.metrics.surface import bounding_box, hd95_mm, nsd, surface_distances, surface_voxels

SPACING = (5.0, 0.43, 0.9)


def _blob(seed: int, shape: tuple[int, int, int] = (12, 40, 36), level: float = 0.85) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0.8, 3, 3))
    return noise > np.quantile(noise, level)


def _monai(prediction: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    def one_hot(mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))

    pair = one_hot(prediction), one_hot(target)
    distance = compute_hausdorff_distance(*pair, include_background=False, percentile=95, spacing=SPACING)
    dice = compute_surface_dice(*pair, class_thresholds=[2.0], include_background=False, spacing=SPACING)
    return float(distance[0, 0]), float(dice[0, 0])


@pytest.mark.parametrize("tree_below", [0, 10**9], ids=["tree", "transform"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hd95_and_nsd_agree_with_monai_on_an_anisotropic_grid(
    seed: int, tree_below: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface, "_TREE_BELOW", tree_below)
    prediction, target = _blob(seed), _blob(seed + 10, level=0.9)
    expected_distance, expected_dice = _monai(prediction, target)
    assert hd95_mm(prediction, target, SPACING) == pytest.approx(expected_distance, rel=1e-5)
    assert nsd(prediction, target, SPACING) == pytest.approx(expected_dice, abs=1e-6)


def test_masks_on_the_border_of_the_field_agree_with_monai() -> None:
    prediction, target = np.zeros((2, 8, 30, 30), dtype=bool)
    prediction[0:3, 0:12, 20:30] = True
    target[0:8, 4:16, 22:30] = True
    expected_distance, expected_dice = _monai(prediction, target)
    assert hd95_mm(prediction, target, SPACING) == pytest.approx(expected_distance, rel=1e-5)
    assert nsd(prediction, target, SPACING) == pytest.approx(expected_dice, abs=1e-6)


@pytest.mark.parametrize(("axis", "expected_mm"), [(0, 10.0), (1, 0.86), (2, 1.8)])
def test_one_voxel_moved_by_two_is_two_spacings_away(axis: int, expected_mm: float) -> None:
    target = np.zeros((5, 5, 5), dtype=bool)
    target[1, 1, 1] = True
    moved = np.roll(target, 2, axis=axis)
    assert hd95_mm(moved, target, SPACING) == pytest.approx(expected_mm)
    assert nsd(moved, target, SPACING) == (1.0 if expected_mm <= 2 else 0.0)


def test_equal_masks_have_no_distance() -> None:
    mask = _blob(3)
    assert hd95_mm(mask, mask, SPACING) == 0.0
    assert nsd(mask, mask, SPACING) == 1.0


def test_hd95_takes_the_worse_direction_and_leaves_out_five_percent() -> None:
    # A line of 100 voxels against its first one: 0..99 mm in one direction, 0 in the other.
    line, point = np.zeros((2, 1, 1, 100), dtype=bool)
    line[0, 0, :] = True
    point[0, 0, 0] = True
    expected_mm = 0.95 * 99
    assert hd95_mm(line, point, (1, 1, 1)) == pytest.approx(expected_mm)
    assert hd95_mm(point, line, (1, 1, 1)) == pytest.approx(expected_mm)
    # Of 101 surface voxels those at 0, 1 and 2 mm and the point itself are within 2 mm.
    assert nsd(line, point, (1, 1, 1)) == pytest.approx(4 / 101)


def test_a_distance_of_exactly_the_tolerance_is_within_it_whatever_the_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = 19, 24
    assert last * 0.4 - first * 0.4 > 2.0  # five steps of 0.4 mm come out a bit too long here
    target, prediction = np.zeros((2, 1, 1, 30), dtype=bool)
    target[0, 0, [0, first]] = True
    prediction[0, 0, [0, last]] = True
    monkeypatch.setattr(surface, "_TREE_BELOW", 0)
    assert nsd(prediction, target, (1.0, 1.0, 0.4), tolerance_mm=2.0) == 1.0


def test_a_missed_and_an_invented_lesion_get_the_worst_value_and_both_empty_none() -> None:
    empty, filled = np.zeros((4, 10, 20), dtype=bool), np.zeros((4, 10, 20), dtype=bool)
    filled[1:3, 2:5, 2:5] = True
    diagonal_mm = math.sqrt((4 * 5.0) ** 2 + (10 * 0.43) ** 2 + (20 * 0.9) ** 2)
    for prediction, target in ((empty, filled), (filled, empty)):
        assert hd95_mm(prediction, target, SPACING) == pytest.approx(diagonal_mm)
        assert nsd(prediction, target, SPACING) == 0.0
    assert math.isnan(hd95_mm(empty, empty, SPACING))
    assert math.isnan(nsd(empty, empty, SPACING))
    farthest = np.zeros_like(empty), np.zeros_like(empty)
    farthest[0][0, 0, 0] = farthest[1][-1, -1, -1] = True
    assert hd95_mm(*farthest, SPACING) < diagonal_mm


def test_surface_of_a_cube_is_its_shell_and_the_box_fits_it() -> None:
    cube = np.zeros((7, 8, 9), dtype=bool)
    cube[1:6, 2:7, 3:8] = True
    assert np.count_nonzero(surface_voxels(cube)) == 5**3 - 3**3
    assert bounding_box(cube) == (slice(1, 6), slice(2, 7), slice(3, 8))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, float("nan"), 1.0)])
def test_bad_spacing_is_named(spacing: tuple[float, ...]) -> None:
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(UserError, match="expected three positive numbers in mm"):
        surface_distances(mask, mask, spacing)


SHEARED = np.array([[0.0, 0.0, -0.8], [0.0, -0.5, 0.0], [5.0, 0.0, 0.0]])
SHEARED[1, 0] = 2.0  # each slice lies 2 mm further forward than the one below


@pytest.mark.parametrize("tree_below", [0, 10**9], ids=["tree", "transform"])
def test_distances_on_a_sheared_grid_are_those_in_space(tree_below: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "_TREE_BELOW", tree_below)
    target, moved = np.zeros((2, 5, 12, 5), dtype=bool)
    target[1, 6, 2] = True
    moved[2, 10, 2] = True  # a slice up is 5 mm and 2 mm forward, four rows are 2 mm back: straight above it
    assert hd95_mm(moved, target, SHEARED) == pytest.approx(5.0)
    assert hd95_mm(np.roll(target, 1, axis=0), target, SHEARED) == pytest.approx(math.hypot(5.0, 2.0))
    # From corner to corner the long way: 5 slices of 5 mm and 2 mm forward, 12 rows of 0.5 mm back, 5 columns of 0.8.
    longest = np.linalg.norm((5 * 5.0, 5 * 2.0 + 12 * 0.5, 5 * 0.8))
    assert hd95_mm(np.zeros_like(target), target, SHEARED) == pytest.approx(longest)


def test_a_turned_grid_has_the_distances_of_its_spacing() -> None:
    angle = math.radians(25)
    turn = np.array([[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
    steps = np.float32(turn @ np.diag(SPACING)).astype(np.float64)
    prediction, target = _blob(3), _blob(13, level=0.9)
    assert hd95_mm(prediction, target, steps) == pytest.approx(hd95_mm(prediction, target, SPACING), rel=1e-6)
    with pytest.raises(UserError, match="the affine's 3 x 3"):
        hd95_mm(prediction, target, np.ones((3, 3)))
