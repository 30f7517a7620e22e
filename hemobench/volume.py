"""A scan or label map with its place in the patient: voxels, and the affine that maps array index to millimetres.

Voxels are boxes around their centres. Resampling clamps at the border, so a sample inside the box of an edge voxel
takes that voxel's value, and a sample outside every box takes the fill value (the rule ITK follows too).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hemobench.errors import UserError

AIR_HU = -1000.0
LABEL_MAP = "label_map"
# Modality of pictures without units: display grey in 0..1, whatever window made it.
GREY = "grey"
DISPLAY_ORIENTATION = "SPL"
_AXIS_CODES = (("L", "R"), ("P", "A"), ("I", "S"))
_RESAMPLING_ORDERS = (0, 1, 3)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels (D, H, W) and the affine (4, 4) from array index (d, h, w, 1) to RAS+ millimetres.

    Images are float32 (Hounsfield units when `modality` is "CT"); a label map has `modality` "label_map" and an
    integer dtype. Both arrays are read-only: operations return new Volumes. Raises UserError for voxels that are not
    three-dimensional or empty, and for an affine that is not invertible.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    modality: str = "CT"

    def __post_init__(self) -> None:
        object.__setattr__(self, "voxels", _checked_voxels(self.voxels, self.modality))
        object.__setattr__(self, "affine", _checked_affine(self.affine))

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, so that a Volume sent to another process is read-only there too.
        return Volume, (np.asarray(self.voxels), np.asarray(self.affine), self.modality)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of (slices, rows, columns)."""
        depth, height, width = self.voxels.shape
        return depth, height, width

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in millimetres between neighbours along each array axis."""
        depth, height, width = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return depth, height, width

    @property
    def orientation(self) -> str:
        """Where each array axis runs to, by the nearest anatomical axis, e.g. "SPL"."""
        codes = [_AXIS_CODES[int(axis)][int(sign > 0)] for axis, sign in io_orientation(self.affine)]
        return "".join(codes)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres, right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def is_label_map(self) -> bool:
        return self.modality == LABEL_MAP

    def to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """RAS+ millimetres of array positions (..., 3), which may lie between voxels."""
        return _transformed(self.affine, index)

    def to_index(self, world_mm: ArrayLike) -> NDArray[np.float64]:
        """Array positions, generally between voxels, of RAS+ millimetres (..., 3)."""
        return _transformed(_inverse(self.affine), world_mm)

    def with_voxels(self, voxels: NDArray[Any], modality: str | None = None) -> Volume:
        """Other voxels in the same place; their shape must be this one's."""
        if voxels.shape != self.shape:
            raise UserError(f"voxels of shape {voxels.shape}; expected {self.shape} like the volume; resample first")
        return Volume(voxels, self.affine, self.modality if modality is None else modality)

    def reoriented(self, orientation: str = DISPLAY_ORIENTATION) -> Volume:
        """The same voxels with axes swapped and flipped until they run to `orientation`; nothing is interpolated."""
        target = _axes_of(orientation)
        source = [(int(axis), int(sign)) for axis, sign in io_orientation(self.affine)]
        source_axes = [axis for axis, _ in source]
        permutation = [source_axes.index(axis) for axis, _ in target]
        voxels = self.voxels.transpose(permutation)
        to_source = np.zeros((4, 4))
        to_source[3, 3] = 1.0
        for new_axis, (old_axis, (_, sign)) in enumerate(zip(permutation, target, strict=True)):
            flipped = sign != source[old_axis][1]
            to_source[old_axis, new_axis] = -1.0 if flipped else 1.0
            if flipped:
                to_source[old_axis, 3] = self.shape[old_axis] - 1
                voxels = np.flip(voxels, axis=new_axis)
        return Volume(np.ascontiguousarray(voxels), self.affine @ to_source, self.modality)

    def resampled(self, spacing_mm: Sequence[float], order: int = 1, fill: float | None = None) -> Volume:
        """The same field of view, centre and directions with another spacing, to the nearest whole voxel.

        Values are sampled at points: going to a coarser grid does not average (no anti-aliasing). See `resampled_to`.
        """
        spacing = np.asarray(spacing_mm, dtype=np.float64)
        if spacing.shape != (3,) or not np.all(np.isfinite(spacing)) or np.any(spacing <= 0):
            raise UserError(f"spacing {spacing_mm} mm; expected three numbers above 0; correct it")
        ratio = spacing / np.asarray(self.spacing_mm)
        shape = np.maximum(1, np.rint(np.asarray(self.shape) / ratio)).astype(int)
        to_source = np.diag([*ratio, 1.0])
        to_source[:3, 3] = (np.asarray(self.shape) - 1) / 2 - ratio * (shape - 1) / 2
        return self.resampled_to(self.affine @ to_source, shape.tolist(), order=order, fill=fill)

    def resampled_to(
        self, affine: ArrayLike, shape: Sequence[int], order: int = 1, fill: float | None = None
    ) -> Volume:
        """This volume on another grid: `affine` (4, 4) and `shape` (D, H, W), anywhere in space.

        `order` is 0 (nearest), 1 (linear) or 3 (cubic spline); a label map is always taken nearest. Outside the
        field of view stands `fill`: by default air (-1000 HU) for CT, 0 otherwise.
        """
        if order not in _RESAMPLING_ORDERS:
            raise UserError(f"resampling order {order}; expected 0 (nearest), 1 (linear) or 3 (cubic); choose one")
        target_affine = _checked_affine(affine)
        target_shape = _checked_shape(shape)
        to_source = _inverse(self.affine) @ target_affine
        voxels = ndimage.affine_transform(
            self.voxels,
            to_source[:3, :3],
            offset=to_source[:3, 3],
            output_shape=target_shape,
            order=0 if self.is_label_map else order,
            mode="nearest",
        )
        if not _covers(to_source, self.shape, target_shape):
            voxels[_outside(to_source, self.shape, target_shape)] = self._fill(fill)
        return Volume(voxels, target_affine, self.modality)

    def cropped(self, start: Sequence[int], stop: Sequence[int]) -> Volume:
        """Voxels [start, stop) along each axis; world positions stay. Raises UserError outside the volume."""
        begin, end = _checked_index(start), _checked_index(stop)
        if any(not 0 <= low < high <= size for low, high, size in zip(begin, end, self.shape, strict=True)):
            raise UserError(f"crop from {begin} to {end}; expected a box inside (0, 0, 0)..{self.shape}; correct it")
        box = tuple(slice(low, high) for low, high in zip(begin, end, strict=True))
        return Volume(self.voxels[box], self._affine_from(begin), self.modality)

    def padded(self, before: Sequence[int], after: Sequence[int], fill: float | None = None) -> Volume:
        """`before` and `after` more voxels on each axis, holding `fill`; world positions stay."""
        low, high = _checked_index(before), _checked_index(after)
        if min(*low, *high) < 0:
            raise UserError(f"padding by {low} and {high} voxels; expected numbers of at least 0; use cropped to cut")
        widths = list(zip(low, high, strict=True))
        voxels = np.pad(self.voxels, widths, constant_values=self._fill(fill))
        return Volume(voxels, self._affine_from([-count for count in low]), self.modality)

    def crop_or_pad(self, shape: Sequence[int], fill: float | None = None) -> Volume:
        """Cut or padded about its centre to `shape`; of an odd difference the larger half is at the end."""
        target = _checked_shape(shape)
        missing = [wanted - size for wanted, size in zip(target, self.shape, strict=True)]
        start = [max(0, -count) // 2 for count in missing]
        stop = [low + min(wanted, size) for low, wanted, size in zip(start, target, self.shape, strict=True)]
        before = [max(0, count) // 2 for count in missing]
        after = [max(0, count) - low for count, low in zip(missing, before, strict=True)]
        return self.cropped(start, stop).padded(before, after, fill)

    def _affine_from(self, start: Sequence[int]) -> NDArray[np.float64]:
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        return affine

    def _fill(self, fill: float | None) -> float:
        if fill is not None:
            return fill
        return AIR_HU if self.modality == "CT" else 0.0


def slice_number(index: int) -> int:
    """What people call a slice, on pages and in pictures and lines: counted from 1, the lowest first.

    >>> slice_number(0)
    1
    """
    return index + 1


def display_affine(shape: Sequence[int], spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """Affine of an S-P-L volume of `shape` (D, H, W) and `spacing_mm` that is centred on the origin.

    >>> display_affine((3, 5, 5), (5.0, 0.5, 0.5))[:, 3].tolist()
    [1.0, 1.0, -5.0, 1.0]
    """
    depth_mm, row_mm, column_mm = spacing_mm
    affine = np.array([[0, 0, -column_mm, 0], [0, -row_mm, 0, 0], [depth_mm, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(_checked_shape(shape)) - 1) / 2)
    return affine


def _checked_voxels(voxels: NDArray[Any], modality: str) -> NDArray[Any]:
    array = np.asarray(voxels)
    if array.ndim != 3 or array.size == 0:
        raise UserError(f"voxels of shape {array.shape}; expected (slices, rows, columns), none 0; reshape them")
    if array.dtype == bool and modality == LABEL_MAP:
        array = array.astype(np.uint8)
    if modality == LABEL_MAP and not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"label map of type {array.dtype}; expected integers; convert it, or use another modality")
    if modality != LABEL_MAP:
        if np.iscomplexobj(array) or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
            raise UserError(f"voxels of type {array.dtype}; expected real numbers; convert them")
        array = array.astype(np.float32, copy=False)
    frozen = array.view()
    frozen.flags.writeable = False
    return frozen


def _checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
        raise UserError(f"affine of shape {matrix.shape}; expected 4 x 4 finite numbers; correct the header")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    # Relative to the spacing, so that micrometre voxels pass and a repeated axis does not.
    singular = np.any(lengths == 0) or abs(np.linalg.det(matrix[:3, :3] / np.where(lengths == 0, 1, lengths))) < 1e-6
    if singular or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise UserError("affine without inverse; expected three independent axes and last row 0 0 0 1; correct it")
    matrix.flags.writeable = False
    return matrix


def _checked_index(index: Sequence[int]) -> tuple[int, int, int]:
    array = np.asarray(index)
    if array.shape != (3,) or not np.all(array == np.floor(array)):
        raise UserError(f"index {index}; expected three whole numbers for slice, row, column; correct it")
    depth, height, width = (int(number) for number in array)
    return depth, height, width


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    checked = _checked_index(shape)
    if min(checked) < 1:
        raise UserError(f"shape {checked}; expected at least one slice, row and column; correct it")
    return checked


def _axes_of(orientation: str) -> list[tuple[int, int]]:
    """World axis and sign of each letter: "SPL" -> [(2, 1), (1, -1), (0, -1)]."""
    by_code = {
        code: (axis, 1 if positive else -1)
        for axis, pair in enumerate(_AXIS_CODES)
        for positive, code in enumerate(pair)
    }
    axes = [by_code[code] for code in orientation if code in by_code]
    if len(orientation) != 3 or len({axis for axis, _ in axes}) != 3:
        raise UserError(f"orientation '{orientation}'; expected a letter of R/L, A/P and S/I each; try 'SPL'")
    return axes


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def _transformed(matrix: NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 3:
        raise UserError(f"points of shape {array.shape}; expected (..., 3); correct them")
    return np.asarray(array @ matrix[:3, :3].T + matrix[:3, 3])


# A hair of tolerance at the border: the corner of the same field of view must not fall out by rounding.
_BORDER = 0.5 + 1e-6


def _covers(to_source: NDArray[np.float64], source_shape: Sequence[int], target_shape: Sequence[int]) -> bool:
    """Whether no voxel of the target grid is outside: its corners decide, because both grids are convex."""
    corners = np.array(list(itertools.product(*((0, size - 1) for size in target_shape))))
    position = _transformed(to_source, corners)
    return bool(np.all((position >= -_BORDER) & (position <= np.asarray(source_shape) - 1 + _BORDER)))


def _outside(
    to_source: NDArray[np.float64], source_shape: Sequence[int], target_shape: Sequence[int]
) -> NDArray[np.bool_]:
    """Which voxels of the target grid lie outside every source voxel's box: bool of `target_shape`."""
    outside = np.zeros(tuple(target_shape), dtype=bool)
    depth, height, width = np.ogrid[tuple(slice(size) for size in target_shape)]
    for axis, size in enumerate(source_shape):
        row = to_source[axis]
        position = row[0] * depth + row[1] * height + (row[2] * width + row[3])
        outside |= (position < -_BORDER) | (position > size - 1 + _BORDER)
    return outside
