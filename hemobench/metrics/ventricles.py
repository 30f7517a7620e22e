"""What a reader measures of ventricles on CT: halves, blood in them, Evans' index, the shift of the midline.

All of it is geometry of masks and bone; None stands for what a scan does not allow. Lengths are true on sheared and
turned grids, since they are taken between points in the patient's millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from hemobench.components import TOUCHING
from hemobench.metrics.midsagittal import CLOSED_MM, Midplane, inner_skull
from hemobench.metrics.validation import BoolArray, FloatArray, checked_masks
from hemobench.volume import Volume

# The frontal horns: what lies so far behind the foremost point of the ventricles; the foramina of Monro come about then
# and the temporal horns' tips another centimetre behind.
FRONTAL_MM = 30.0
# Smaller pieces are no ventricle to measure from.
_LEAST_PIECE_ML = 1.0
# Where two horns are seen apart, the septum is the middle of the gap; wider gaps are brain in front of it.
_WIDEST_GAP_MM, _LEAST_HORN_MM = 10.0, 2.0
_NEAR_MM, _LEAST_ROWS_MM = 10.0, 5.0
_CLOSED_MM = (CLOSED_MM, 8.0, 15.0)


@dataclass(frozen=True)
class EvansIndex:
    """Largest width of the frontal horns over the largest inner width of the skull, on the slice `slice_index` where
    the horns are widest. Both widths in mm, at right angles to the midsagittal plane."""

    value: float
    slice_index: int
    horns_mm: float
    skull_mm: float


def blood_share(blood: ArrayLike, ventricles: ArrayLike) -> float | None:
    """Share of the ventricles (D, H, W), a mask that includes the blood in them, that is blood (D, H, W); None of none.

    >>> ventricles = np.array([[[1, 1, 1, 1, 0]]])
    >>> blood_share(np.array([[[0, 0, 0, 1, 1]]]), ventricles)
    0.25
    """
    bleeding, filled = checked_masks(blood, ventricles)
    whole = int(np.count_nonzero(filled))
    return int(np.count_nonzero(bleeding & filled)) / whole if whole else None


def sides_ml(ventricles: Volume, plane: Midplane) -> tuple[float, float]:
    """Millilitres of a mask left and right of the midsagittal plane, by the middles of its voxels; the third and the
    fourth ventricle lie on both sides of it."""
    side = plane.side_mm(ventricles.to_world(np.argwhere(ventricles.voxels)))
    left = int(np.count_nonzero(side > 0))
    return left * ventricles.voxel_volume_ml, (len(side) - left) * ventricles.voxel_volume_ml


def evans_index(head: Volume, ventricles: ArrayLike, plane: Midplane) -> EvansIndex | None:
    """Evans' index of a head CT (D, H, W) in HU, axial slices first, with a mask of its ventricles (D, H, W).

    The frontal horns are what lies within FRONTAL_MM of the ventricles' foremost point. None where they lie on one
    side of the plane alone, are widest where the scan ends, or where the skull is not closed around them.
    Source: Evans, Arch Neurol Psychiatry 1942;47:931-7.
    """
    front = frontal_horns(head, ventricles, plane)
    if front is None:
        return None
    across = _across(head, plane)
    widths = {
        int(index): _width_mm(head, front[index], int(index), plane, across)
        for index in np.flatnonzero(front.any(axis=(1, 2)))
    }
    widest = max(widths, key=lambda index: widths[index])
    if not widths[widest] or widest in (0, head.shape[0] - 1):
        return None
    inside = _skull_around(head, front[widest], widest)
    if inside is None:
        return None
    skull_mm = _width_mm(head, inside, widest, plane, across)
    return EvansIndex(widths[widest] / skull_mm, widest, widths[widest], skull_mm) if skull_mm else None


def _skull_around(head: Volume, horns: BoolArray, index: int) -> BoolArray | None:
    """The inside of the skull (H, W) in a slice; None where bone encloses no part of it that holds the horns.

    Low slices are open in front, through sinus and orbits: bone is closed by larger and larger disks, which leaves the
    side walls, from which the width is taken, where they are.
    """
    _, *pixel_mm = head.spacing_mm
    for closed_mm in _CLOSED_MM:
        inside = inner_skull(np.asarray(head.voxels[index]), (pixel_mm[0], pixel_mm[1]), closed_mm)
        if (horns & ~inside).sum() <= 0.02 * horns.sum():
            return inside
    return None


def midline_shift_mm(head: Volume, ventricles: ArrayLike, plane: Midplane) -> float | None:
    """How far the septum between the frontal horns lies from the midsagittal plane, in mm, positive towards the
    patient's left.

    The septum is the middle of the gap between both horns, row by row, in the slices within 1 cm of those horns' widest
    one; of all rows the median counts. Slices that show them apart over less than 5 mm of rows are passed over, and
    None where all do.
    """
    front = frontal_horns(head, ventricles, plane)
    if front is None:
        return None
    across = _across(head, plane)
    used = np.flatnonzero(front.any(axis=(1, 2)))
    widest = max(used, key=lambda index: _width_mm(head, front[index], int(index), plane, across))
    near = [int(index) for index in used if abs(index - widest) * head.spacing_mm[0] <= _NEAR_MM]
    by_slice = [_gaps(front[index], index, head.spacing_mm[2]) for index in near]
    seen = [place for places in by_slice if len(places) * head.spacing_mm[1] >= _LEAST_ROWS_MM for place in places]
    return float(np.median(plane.side_mm(head.to_world(np.array(seen))))) if seen else None


def frontal_horns(head: Volume, ventricles: ArrayLike, plane: Midplane) -> BoolArray | None:
    """The part of a mask (D, H, W) within FRONTAL_MM of its foremost point; None where it has no piece of 1 mL.

    Forwards is the patient's, at right angles to the plane's normal.
    """
    filled, _ = checked_masks(ventricles, ventricles)
    # A box about the mask: of a scan of thin slices it is a hundredth.
    box = ndimage.find_objects(filled.astype(np.uint8), max_label=1)[0]
    if box is None:
        return None
    pieces, _ = ndimage.label(filled[box], structure=TOUCHING)
    large = np.flatnonzero(np.bincount(pieces.ravel())[1:] * head.voxel_volume_ml >= _LEAST_PIECE_ML) + 1
    if not len(large):
        return None
    where = np.argwhere(np.isin(pieces, large)) + [side.start for side in box]
    forwards = np.array([0.0, 1.0, 0.0]) - plane.normal[1] * plane.normal
    along = head.to_world(where) @ (forwards / np.linalg.norm(forwards))
    front = np.zeros(head.shape, dtype=bool)
    front[tuple(where[along >= along.max() - FRONTAL_MM].T)] = True
    return front


def _across(head: Volume, plane: Midplane) -> FloatArray:
    """The direction (3,) within the slices that is nearest to the plane's normal."""
    rows, columns = head.affine[:3, 1], head.affine[:3, 2]
    through = np.cross(rows, columns)
    through = through / np.linalg.norm(through)
    flat = plane.normal - (plane.normal @ through) * through
    return np.asarray(flat / np.linalg.norm(flat))


def _width_mm(head: Volume, mask: BoolArray, index: int, plane: Midplane, across: FloatArray) -> float:
    """Extent in mm of a slice's mask (H, W) along `across`, between pixel edges; 0 where one side has none of it."""
    pixels = np.argwhere(mask)
    points = head.to_world(np.column_stack([np.full(len(pixels), index), pixels]))
    side = plane.side_mm(points)
    if not ((side > 0).any() and (side < 0).any()):
        return 0.0
    place = points @ across
    return float(place.max() - place.min() + np.abs(across @ head.affine[:3, 1:3]).max())


def _gaps(mask: BoolArray, index: int, column_mm: float) -> list[tuple[int, int, float]]:
    """Voxel positions (slice, row, column) of the middles of gaps between exactly two horns in the rows of a slice."""
    found = []
    for row in np.flatnonzero(mask.any(axis=1)):
        steps = np.diff(np.concatenate([[0], mask[row].astype(np.int8), [0]]))
        starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        if len(starts) != 2 or (stops - starts).min() * column_mm < _LEAST_HORN_MM:
            continue
        if (starts[1] - stops[0]) * column_mm <= _WIDEST_GAP_MM:
            found.append((index, int(row), (stops[0] + starts[1] - 1) / 2))
    return found
