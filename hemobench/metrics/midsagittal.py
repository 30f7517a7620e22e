"""The inside of the skull on CT, and the plane that halves it: what the midline and left and right are taken from.

The plane is found from bone alone, which no bleed moves: of all planes it is the one about which the inside of the
skull is most alike to its mirror image. Source of the idea: Ardekani et al., IEEE Trans Med Imaging 1997;16:947-52,
who mirror the intensities; the skull is what is alike on both sides in a head with a one-sided bleed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from hemobench.metrics.validation import BoolArray, FloatArray
from hemobench.volume import LABEL_MAP, Volume

BONE_HU = 250.0
# Bridges sutures, vessels' channels and thin bone that a thick slice loses; wider gaps, as after surgery, stay open.
CLOSED_MM = 3.0
# Finding the plane: this coarse, from slices that hold at least this share of the largest one's area.
_COARSE_MM, _APART_MM = 2.0, 4.0
_LEAST_SHARE, _LEAST_CM2, _FEWEST_SLICES = 0.4, 50.0, 5
_TURNS_DEG, _ROLLS_DEG = (-24.0, -12.0, 0.0, 12.0, 24.0), (-14.0, -7.0, 0.0, 7.0, 14.0)
_NEAR_MM, _DRAWN, _MOST_POINTS = 6.0, 60_000, 6000
# Mirrored, so much of the inside of a skull lies inside again; less is not one whole skull, or one too uneven: of 18
# phantoms the one below was off by 4.9 mm at the ventricles, the others by 0.3 to 2.3 mm (benchmarks/ventricles.py).
_LEAST_ALIKE = 0.95


@dataclass(frozen=True, eq=False)
class Midplane:
    """The midsagittal plane: points p in RAS+ mm with `normal` @ p = `offset_mm`. normal: (3,), of length 1, towards
    the patient's left. alike: share of the inside of the skull that lies inside again when mirrored."""

    normal: FloatArray
    offset_mm: float
    alike: float

    def side_mm(self, points_mm: FloatArray) -> FloatArray:
        """Distance (N,) of points (N, 3) in RAS+ mm from the plane, positive on the patient's left."""
        return np.asarray(points_mm @ self.normal - self.offset_mm)


def inner_skull(plane: FloatArray, pixel_mm: tuple[float, float], closed_mm: float = CLOSED_MM) -> BoolArray:
    """What bone encloses in one axial slice (H, W) of HU: its largest part, empty where no ring of bone is closed.

    pixel_mm: of (row, column). closed_mm: radius of the disk by which bone is closed.
    """
    reach = [int(np.ceil(closed_mm / step)) + 1 for step in pixel_mm]
    bone = np.pad(plane >= BONE_HU, [(one, one) for one in reach])
    if not bone.any():
        return np.zeros(plane.shape, dtype=bool)
    # Closing by a disk of any size, as two distances.
    grown = ndimage.distance_transform_edt(~bone, sampling=pixel_mm) <= closed_mm
    closed = bone | (ndimage.distance_transform_edt(grown, sampling=pixel_mm) > closed_mm)
    parts, count = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    inside = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])) if count else np.zeros_like(bone)
    return np.asarray(inside[reach[0] : -reach[0], reach[1] : -reach[1]])


def midplane_of(head: Volume) -> Midplane | None:
    """The midsagittal plane of a head CT in HU, or None where there is no whole skull in it to halve."""
    if head.modality != "CT":
        return None
    coarse = _coarse(head)
    _, *pixel_mm = coarse.spacing_mm
    inside = np.stack([inner_skull(one, (pixel_mm[0], pixel_mm[1])) for one in coarse.voxels])
    areas = inside.sum(axis=(1, 2))
    enough = areas >= max(_LEAST_SHARE * areas.max(), 100 * _LEAST_CM2 / (pixel_mm[0] * pixel_mm[1]))
    if enough.sum() < _FEWEST_SLICES:
        return None
    low, high = np.flatnonzero(enough)[[0, -1]]
    to_coarse = np.eye(4)
    to_coarse[0, 3] = low
    return _most_alike(Volume(inside[low : high + 1].astype(np.uint8), coarse.affine @ to_coarse, LABEL_MAP))


def _coarse(head: Volume) -> Volume:
    """Every so many slices, and blocks of pixels by their densest one, so that thin bone stays a closed line."""
    apart_mm, *pixel_mm = head.spacing_mm
    skip = max(1, int(_APART_MM / apart_mm))
    rows, columns = (max(1, int(_COARSE_MM / step)) for step in pixel_mm)
    kept = head.voxels[::skip]
    depth, height, width = kept.shape
    blocks = kept[:, : height // rows * rows, : width // columns * columns]
    dense = blocks.reshape(depth, height // rows, rows, width // columns, columns).max(axis=(2, 4))
    to_head = np.diag([skip, rows, columns, 1.0])
    to_head[1:3, 3] = (rows - 1) / 2, (columns - 1) / 2
    return Volume(dense, head.affine @ to_head, "CT")


def _most_alike(inside: Volume) -> Midplane | None:
    """The plane about which the surface of a mask (D, H, W) lies nearest to its mirror image: the best of a few starts
    through the middle, then refined in all three numbers.

    Compared are distances to the surface at points beside it. The points lie between voxels at random: on a grid the
    plane that maps slices onto themselves would win by what no interpolation takes from it.
    """
    filled = np.asarray(inside.voxels) > 0
    depth_mm = _signed_distance_mm(filled, inside.spacing_mm)
    rng = np.random.default_rng(0)
    index = rng.uniform(0, np.array(inside.shape) - 1, (_DRAWN, 3))
    own_mm = _at(depth_mm, index)
    near = np.flatnonzero(np.abs(own_mm) < _NEAR_MM)[:_MOST_POINTS]
    points, own_mm = inside.to_world(index[near]), own_mm[near]
    middle = inside.to_world(np.argwhere(filled)).mean(axis=0)

    def plane(angles_and_shift: NDArray[np.float64]) -> Midplane:
        turn, roll = np.radians(angles_and_shift[:2])
        # The patient's left is at the low end of x.
        normal = np.array([-np.cos(turn) * np.cos(roll), np.sin(turn) * np.cos(roll), np.sin(roll)])
        return Midplane(normal, float(normal @ middle + angles_and_shift[2]), 0.0)

    def unlike_mm(angles_and_shift: NDArray[np.float64]) -> float:
        mirrored, there = _mirrored(inside, points, plane(angles_and_shift))
        if there.mean() < 0.5:
            return _NEAR_MM
        other_mm = np.clip(_at(depth_mm, mirrored[there]), -_NEAR_MM, _NEAR_MM)
        return float(np.abs(other_mm - own_mm[there]).mean())

    starts = [np.array([turn, roll, 0.0]) for turn in _TURNS_DEG for roll in _ROLLS_DEG]
    best = min(starts, key=unlike_mm)
    simplex = best + np.vstack([np.zeros(3), np.diag([5.0, 5.0, 3.0])])
    options = {"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-4, "maxiter": 150}
    halves = plane(optimize.minimize(unlike_mm, best, method="Nelder-Mead", options=options).x)
    held = inside.to_world(np.argwhere(filled)[:: max(1, int(filled.sum()) // _MOST_POINTS)])
    mirrored, there = _mirrored(inside, held, halves)
    alike = float((_at(depth_mm, mirrored[there]) > 0).mean())
    return Midplane(halves.normal, halves.offset_mm, alike) if alike >= _LEAST_ALIKE else None


def _mirrored(inside: Volume, points: FloatArray, plane: Midplane) -> tuple[FloatArray, BoolArray]:
    """Array positions (N, 3) of mirrored points, and which of them lie within the stack: where it was cut off is no
    skull."""
    index = inside.to_index(points - 2 * plane.side_mm(points)[:, None] * plane.normal)
    return index, (index[:, 0] >= 0) & (index[:, 0] <= inside.shape[0] - 1)


def _signed_distance_mm(filled: BoolArray, spacing_mm: tuple[float, ...]) -> FloatArray:
    """Distance (D, H, W) to a mask's surface, positive inside."""
    inner, outer = (ndimage.distance_transform_edt(one, sampling=spacing_mm) for one in (filled, ~filled))
    return np.asarray(inner - outer)


def _at(field: FloatArray, index: FloatArray) -> FloatArray:
    return np.asarray(ndimage.map_coordinates(field, index.T, order=1, mode="nearest"))
