"""Surfaces for a 3D view: triangles in the patient's millimetres around a mask, by marching cubes on an even grid.

A scan's voxels are ten times as long along the slices as in the plane; on them a ball would be a staircase. The mask is
therefore taken to a grid of even steps and smoothed, and the level at which it is cut is the one that as much of the
grid lies above as the mask has voxels: small lesions neither shrink nor vanish.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from hemobench.errors import UserError
from hemobench.inference.lesions import lesion_voxels, occupied_box
from hemobench.inference.report import StudyReport
from hemobench.views.resampling import AxisGrid, grid_around, resample
from hemobench.volume import LABEL_MAP, Volume

LESION_STEP_MM = 1.5
VENTRICLE_STEP_MM = 1.5
HEAD_STEP_MM = 4.0
# Skin against air: denser than fat, or brighter than the noise of an MR's background.
_SKIN_HU = -200.0
_SKIN_SHARE_MR = 0.1
_SMOOTH_STEPS = 0.8
# Steps of emptiness around a mask, so that its surface is closed and smoothing has room.
_MARGIN = 4


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface: vertices (N, 3) float32 in RAS+ mm and faces (M, 3) int32, anticlockwise seen from outside.

    `structure` is "head", "ventricles" or a subtype; `lesion` is the number of the report's lesion, else None.
    """

    structure: str
    vertices_mm: NDArray[np.float32]
    faces: NDArray[np.int32]
    lesion: int | None = None

    @property
    def volume_ml(self) -> float:
        """What the surface encloses (divergence theorem); positive because the faces look outwards."""
        first, second, third = (self.vertices_mm[self.faces[:, corner]].astype(np.float64) for corner in range(3))
        return float(np.einsum("ij,ij->", first, np.cross(second, third)) / 6000.0)


def surface_mesh(mask: Volume, step_mm: float = LESION_STEP_MM, structure: str = "lesion") -> Surface:
    """The smoothed surface of all that is not 0 in a mask, with vertices about `step_mm` apart.

    It encloses the mask's volume to 2% from some mL on and to 20% for the smallest lesions, whose corners fall between
    the steps: a picture of the lesion, and no measurement. Raises UserError for an empty mask and a step that is no
    length.
    """
    if not (np.isfinite(step_mm) and step_mm > 0):
        raise UserError(f"step of {step_mm} mm; expected a length above 0; try {LESION_STEP_MM}")
    box = occupied_box(mask.voxels)
    if box is None:
        raise UserError("an empty mask has no surface; expected one voxel or more; leave the structure out")
    start = [axis.start for axis in box]
    return _mesh(mask.voxels[box] != 0, start, mask, step_mm, structure)


def surfaces(report: StudyReport) -> tuple[Surface, ...]:
    """The head's outline, the ventricles' and each lesion's surface, for a report that still has its scan.

    Empty where the scan has no millimetres or is a single slice. Raises UserError for a report without its scan.
    """
    if report.scan is None:
        raise UserError("a report without its scan has no surfaces; expected what analyse returned; analyse it again")
    if not report.scan.spacing_known or report.scan.volume.shape[0] < 2:
        return ()
    # A file that does not say what it is was read as CT and may have been taken for MR since.
    head = head_surface(report.scan.volume.with_voxels(report.scan.volume.voxels, report.source.modality))
    found = [] if head is None else [head]
    label_map = report.label_map
    ventricles = label_map if report.ventricles_alone else report.ventricle_map
    if ventricles is not None and ventricles.voxels.any():
        found.append(surface_mesh(ventricles, VENTRICLE_STEP_MM, "ventricles"))
    if label_map is None or report.ventricles_alone or not label_map.voxels.any():
        return tuple(found)
    for number, (subtype, index) in enumerate(lesion_voxels(label_map), start=1):
        lowest = index.min(axis=0)
        filled = np.zeros(index.max(axis=0) - lowest + 1, dtype=bool)
        filled[tuple((index - lowest).T)] = True
        found.append(_mesh(filled, lowest.tolist(), label_map, LESION_STEP_MM, subtype, number))
    return tuple(found)


def head_surface(volume: Volume, step_mm: float = HEAD_STEP_MM) -> Surface | None:
    """The outline of the head, cavities filled; None where nothing stands out from the background."""
    if volume.modality == "CT":
        skin = _SKIN_HU
    else:
        low, high = np.percentile(volume.voxels[::2, ::4, ::4], (0.5, 99.5))
        skin = float(low + _SKIN_SHARE_MR * (high - low))
    coarse = _thinned(volume, step_mm / 2)
    grid = _even_grid(coarse.shape, coarse.spacing_mm, step_mm, margin=0)
    # First the threshold, then the grid: the other way round air would eat into the skin.
    solid = resample((coarse.voxels > skin).astype(np.float32), grid) > 0.5
    # Opened, so that couch and head holder fall off.
    parts, count = ndimage.label(ndimage.binary_opening(solid))
    if count == 0:
        return None
    head = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    # Slice by slice: ear canals and the cut at the neck open the head to the outside.
    filled = np.stack([ndimage.binary_fill_holes(one) for one in head])
    even = Volume(filled.astype(np.uint8), grid.affine_on(coarse), LABEL_MAP)
    return surface_mesh(even, step_mm, "head")


def _thinned(volume: Volume, step_mm: float) -> Volume:
    """Every so many rows and columns, as long as that stays within `step_mm`: enough for an outline."""
    rows, columns = (max(1, int(step_mm / length)) for length in volume.spacing_mm[1:])
    affine = volume.affine @ np.diag([1.0, rows, columns, 1.0])
    return Volume(volume.voxels[:, ::rows, ::columns], affine, volume.modality)


def _mesh(
    filled: NDArray[np.bool_],
    start: list[int],
    volume: Volume,
    step_mm: float,
    structure: str,
    lesion: int | None = None,
) -> Surface:
    """Surface of a box (d, h, w) of a volume's voxels whose first one has the index `start`."""
    grid = _even_grid(filled.shape, volume.spacing_mm, step_mm, _MARGIN)
    padded = np.pad(filled, 1).astype(np.float32)
    field = ndimage.gaussian_filter(resample(padded, _shifted(grid, 1.0)), _SMOOTH_STEPS, mode="constant")
    # The step's share of a voxel is the same on sheared grids, so that counting needs no millimetres.
    samples = max(1, round(np.count_nonzero(filled) / float(np.prod(grid.ratio))))
    level = float(np.partition(field, field.size - samples, axis=None)[field.size - samples])
    vertices, faces, _, _ = marching_cubes(field, max(level, 1e-3 * float(field.max())))
    index = vertices.astype(np.float64) * grid.ratio + grid.offset + start
    # Marching cubes' triangles look inwards in array order; an affine that mirrors turns them once more.
    outwards = faces[:, ::-1] if np.linalg.det(volume.affine[:3, :3]) > 0 else faces
    return Surface(
        structure, volume.to_world(index).astype(np.float32), np.ascontiguousarray(outwards, dtype=np.int32), lesion
    )


def _even_grid(shape: tuple[int, ...], spacing_mm: tuple[float, ...], step_mm: float, margin: int) -> AxisGrid:
    """A grid of even steps over a box of voxels, with `margin` more on each side."""
    lengths_mm = np.multiply(shape, spacing_mm)
    counts = np.ceil(lengths_mm / step_mm).astype(int) + 2 * margin
    return grid_around(shape, spacing_mm, [(size - 1) / 2 for size in shape], (step_mm,) * 3, counts.tolist())


def _shifted(grid: AxisGrid, voxels: float) -> AxisGrid:
    """The same grid as seen from an array with `voxels` more before its first."""
    depth, height, width = (offset + voxels for offset in grid.offset)
    return AxisGrid(grid.ratio, (depth, height, width), grid.shape)
