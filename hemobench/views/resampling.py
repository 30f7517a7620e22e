"""Scaling and shifting along the axes of a stack, anti-aliased: three sparse matrix products instead of a filter.

The usual change of spacing moves no axis into another, so it is one matrix an axis. Each row holds a triangle around
the place that is sampled, as wide as the spacing that it averages over (Pillow's and torch's "antialias" rule):
going finer it is linear interpolation, going coarser every voxel counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hemobench.volume import Volume


@dataclass(frozen=True)
class AxisGrid:
    """A grid along the axes of another one: voxel i of an axis lies at `offset + ratio * i` of the other's voxels.

    ratio, offset: one number an axis (slice, row, column). shape: (D, H, W).
    """

    ratio: tuple[float, float, float]
    offset: tuple[float, float, float]
    shape: tuple[int, int, int]

    def inverse(self, shape: Sequence[int]) -> AxisGrid:
        """The other grid, of `shape`, as seen from this one."""
        depth, height, width = (int(size) for size in shape)
        ratio = tuple(1 / each for each in self.ratio)
        offset = tuple(-start / each for start, each in zip(self.offset, self.ratio, strict=True))
        return AxisGrid(ratio, offset, (depth, height, width))  # type: ignore[arg-type]

    def part(self, start: Sequence[int], stop: Sequence[int]) -> AxisGrid:
        """The box [start, stop) of this grid."""
        offset = tuple(o + r * s for o, r, s in zip(self.offset, self.ratio, start, strict=True))
        shape = tuple(int(b) - int(a) for a, b in zip(start, stop, strict=True))
        return AxisGrid(self.ratio, offset, shape)  # type: ignore[arg-type]

    def source_box(self, shape: Sequence[int]) -> tuple[slice, slice, slice]:
        """The part of the other grid, of `shape`, whose voxels count for a sample of this one; one voxel at least."""
        bounds = []
        for ratio, offset, count, size in zip(self.ratio, self.offset, self.shape, shape, strict=True):
            reach = max(1.0, ratio)
            low = min(max(0, math.floor(offset - reach)), size - 1)
            high = min(size, math.ceil(offset + ratio * (count - 1) + reach) + 1)
            bounds.append(slice(low, max(low + 1, high)))
        return bounds[0], bounds[1], bounds[2]

    def on_part(self, box: Sequence[slice]) -> AxisGrid:
        """The same grid as seen from a part of the other one."""
        offset = tuple(own - side.start for own, side in zip(self.offset, box, strict=True))
        return AxisGrid(self.ratio, offset, self.shape)  # type: ignore[arg-type]

    def on_whole_slices(self) -> AxisGrid:
        """The nearest grid each of whose slices covers whole ones of the other, where it is a whole number of times as
        thick: an even number of slices about the middle of an odd one would lie between them."""
        margin = (round(self.ratio[0]) - 1) / 2
        first = math.floor(self.offset[0] - margin + 0.5) + margin
        return AxisGrid(self.ratio, (first, *self.offset[1:]), self.shape)

    def affine_on(self, volume: Volume) -> NDArray[np.float64]:
        """Affine (4, 4) of this grid where the other grid is the volume's."""
        step = np.diag([*self.ratio, 1.0])
        step[:3, 3] = self.offset
        return np.asarray(volume.affine @ step)


def grid_around(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    centre: Sequence[float],
    target_mm: Sequence[float],
    target_shape: Sequence[int],
) -> AxisGrid:
    """Grid of `target_shape` and spacing `target_mm` whose middle is at index `centre` of a stack with `spacing_mm`.

    >>> grid_around((4, 4, 4), (1, 1, 1), (1.5, 1.5, 1.5), (2, 2, 2), (2, 2, 2)).offset
    (0.5, 0.5, 0.5)
    """
    ratio = tuple(float(wanted) / float(own) for wanted, own in zip(target_mm, spacing_mm, strict=True))
    offset = tuple(float(c) - r * (n - 1) / 2 for c, r, n in zip(centre, ratio, target_shape, strict=True))
    return AxisGrid(ratio, offset, tuple(int(n) for n in target_shape))  # type: ignore[arg-type]


def resample(voxels: NDArray[np.float32], grid: AxisGrid, fill: float = 0.0) -> NDArray[np.float32]:
    """Voxels (..., D, H, W) on a grid along their axes: float32 (..., *grid.shape).

    A sample inside the box of an edge voxel takes the edge's value, a sample outside every box takes `fill`.
    """
    values = np.asarray(voxels, dtype=np.float32)
    if fill:
        values = values - np.float32(fill)
    sizes = voxels.shape[-3:]
    # Slices first where that leaves fewer of them, else last: the order changes the cost alone.
    axes = (0, 1, 2) if grid.shape[0] <= sizes[0] else (1, 2, 0)
    for axis in axes:
        weights = _weights(sizes[axis], round(grid.ratio[axis], 9), round(grid.offset[axis], 6), grid.shape[axis])
        values = _along(values, weights, axis - 3)
    return np.ascontiguousarray(values + np.float32(fill) if fill else values)


def resized(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Planes (..., H, W) filling (..., *shape) as torch's and Pillow's anti-aliased bilinear does: edges stay edges."""
    values = np.asarray(planes, dtype=np.float32)
    for axis, count in zip((-2, -1), shape, strict=True):
        ratio = values.shape[axis] / count
        values = _along(values, _weights(values.shape[axis], ratio, (ratio - 1) / 2, count), axis)
    return values


def _along(values: NDArray[np.float32], weights: csr_array, axis: int) -> NDArray[np.float32]:
    """The matrix (out, in) applied along a negative axis."""
    if _is_cut(weights):
        first = int(weights.indices[0])
        return np.moveaxis(np.moveaxis(values, axis, 0)[first : first + weights.shape[0]], 0, axis)
    *outer, rows, columns = values.shape if axis != -3 else (*values.shape[:-2], values.shape[-2] * values.shape[-1])
    planes = values.reshape(-1, rows, columns)
    count = weights.shape[0]
    found = np.empty((len(planes), *((rows, count) if axis == -1 else (count, columns))), dtype=np.float32)
    for place, plane in enumerate(planes):
        if axis == -1:
            found[place] = (weights @ np.ascontiguousarray(plane.T)).T
        else:
            found[place] = weights @ np.ascontiguousarray(plane)
    return found.reshape(*outer, rows, count) if axis == -1 else found.reshape(*outer, count, *values.shape[axis + 1 :])


def _is_cut(weights: csr_array) -> bool:
    """Whether a matrix takes a run of what there is as it is."""
    return bool(
        weights.nnz == weights.shape[0]
        and (weights.data == 1).all()
        and (np.diff(weights.indices) == 1).all()
        and (np.diff(weights.indptr) == 1).all()
    )


@lru_cache(maxsize=64)
def _weights(size: int, ratio: float, offset: float, count: int) -> csr_array:
    """(count, size): how much each source voxel counts for each sample; a row outside the source is empty."""
    place = offset + ratio * np.arange(count)
    inside = (place >= -0.5 - 1e-6) & (place <= size - 0.5 + 1e-6)
    reach = max(1.0, ratio)
    triangle = 1 - np.abs(np.arange(size)[None] - np.clip(place, 0, size - 1)[:, None]) / reach
    weights = np.maximum(0, triangle) * inside[:, None]
    total = weights.sum(axis=1, keepdims=True)
    return csr_array((weights / np.where(total > 0, total, 1)).astype(np.float32))
