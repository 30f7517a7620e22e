"""Distances between the surfaces of two masks, in millimetres on anisotropic grids: HD95 and normalised surface Dice.

A surface voxel is one of the mask with a face neighbour outside it (beyond the field counts as outside), and distances
run between voxel centres: MONAI's definitions, so its `compute_hausdorff_distance` and `compute_surface_dice` without
sub-voxels give the same numbers. DeepMind's surface-distance weighs surface elements by area and differs slightly.
MONAI gives NaN or infinity where a mask is empty; here a missed or an invented lesion has the worst value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial import KDTree

from hemobench.metrics.validation import BoolArray, FloatArray, checked_masks, checked_steps, spacing_of

NSD_TOLERANCE_MM = 2.0
"""Tolerance of `nsd_2mm_*`."""
HD_PERCENTILE = 95.0
# A distance transform visits every voxel of the box, a search tree every surface voxel: the tree is five times faster
# on a full-resolution scan with scattered lesions and slower on a compact one. Both are exact.
_TREE_BELOW = 20
# The four diagonals of a box, which are equally long unless it is sheared.
_DIAGONALS = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
# A surface exactly at the tolerance is within it, whatever the last bit of its distance.
_ROUNDING_MM = 1e-6


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from each surface voxel of one mask to the nearest of the other, and the field's diagonal.

    Both arrays are empty where either mask is empty; prediction_empty and target_empty say which.
    """

    prediction_to_target_mm: FloatArray
    target_to_prediction_mm: FloatArray
    prediction_empty: bool
    target_empty: bool
    diagonal_mm: float

    def hd95_mm(self, percentile: float = HD_PERCENTILE) -> float:
        """Larger of the two directed 95th percentiles; the field's diagonal if one mask is empty, NaN if both are."""
        if self.prediction_empty and self.target_empty:
            return float("nan")
        if self.prediction_empty or self.target_empty:
            return self.diagonal_mm
        both = (self.prediction_to_target_mm, self.target_to_prediction_mm)
        return float(max(np.percentile(distances, percentile) for distances in both))

    def nsd(self, tolerance_mm: float = NSD_TOLERANCE_MM) -> float:
        """Share of both surfaces within tolerance_mm of the other; 0 if one mask is empty, NaN if both are."""
        if self.prediction_empty and self.target_empty:
            return float("nan")
        if self.prediction_empty or self.target_empty:
            return 0.0
        both = np.concatenate((self.prediction_to_target_mm, self.target_to_prediction_mm))
        return float(np.mean(both <= tolerance_mm + _ROUNDING_MM))


def surface_distances(prediction: ArrayLike, target: ArrayLike, spacing_mm: ArrayLike) -> SurfaceDistances:
    """Surface distances of two masks (D, H, W) with voxel spacing (slice, row, column) in mm, or the affine's (3, 3).

    Only the affine knows the distances on a sheared grid.
    """
    predicted, truth = checked_masks(prediction, target)
    steps = checked_steps(spacing_mm)
    diagonal_mm = float(np.linalg.norm(_DIAGONALS * predicted.shape @ steps.T, axis=1).max())
    empty = np.zeros(0)
    prediction_empty, target_empty = not predicted.any(), not truth.any()
    if prediction_empty or target_empty:
        return SurfaceDistances(empty, empty, prediction_empty, target_empty, diagonal_mm)
    box = bounding_box(predicted | truth)
    surface_p, surface_t = surface_voxels(predicted[box]), surface_voxels(truth[box])
    sparse = _TREE_BELOW * np.count_nonzero(surface_p | surface_t) < surface_p.size
    spacing = spacing_of(steps)
    if sparse or spacing is None:
        nearest = partial(_distances_by_tree, steps_mm=steps)
    else:
        nearest = partial(_distances_by_transform, spacing_mm=spacing)
    to_target, to_prediction = nearest(surface_p, surface_t), nearest(surface_t, surface_p)
    return SurfaceDistances(to_target, to_prediction, False, False, diagonal_mm)


def hd95_mm(prediction: ArrayLike, target: ArrayLike, spacing_mm: ArrayLike) -> float:
    """95th percentile Hausdorff distance in mm; the field's diagonal if one mask is empty, NaN if both are."""
    return surface_distances(prediction, target, spacing_mm).hd95_mm()


def nsd(
    prediction: ArrayLike, target: ArrayLike, spacing_mm: ArrayLike, tolerance_mm: float = NSD_TOLERANCE_MM
) -> float:
    """Normalised surface Dice at tolerance_mm (Nikolov et al., JMIR 2021); 0 if one mask is empty, NaN if both are."""
    return surface_distances(prediction, target, spacing_mm).nsd(tolerance_mm)


def surface_voxels(mask: BoolArray) -> BoolArray:
    """Voxels of the mask (D, H, W) with one of their six face neighbours outside it or outside the field."""
    return mask & ~ndimage.binary_erosion(mask)


def bounding_box(mask: BoolArray) -> tuple[slice, slice, slice]:
    """Smallest box that holds a mask (D, H, W) with one voxel or more."""
    bounds = []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        bounds.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return bounds[0], bounds[1], bounds[2]


def _distances_by_tree(source: BoolArray, other: BoolArray, steps_mm: FloatArray) -> FloatArray:
    tree = KDTree(np.argwhere(other) @ steps_mm.T)
    return np.asarray(tree.query(np.argwhere(source) @ steps_mm.T)[0], dtype=np.float64)


def _distances_by_transform(source: BoolArray, other: BoolArray, spacing_mm: tuple[float, float, float]) -> FloatArray:
    return np.asarray(ndimage.distance_transform_edt(~other, sampling=spacing_mm)[source], dtype=np.float64)
