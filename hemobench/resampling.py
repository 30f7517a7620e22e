"""Scaling and shifting along the axes of a stack, anti-aliased: three small matrix products instead of a filter.

The usual change of spacing moves no axis into another, so it is one matrix an axis. Each row holds a triangle around
the place that is sampled, as wide as the spacing that it averages over (Pillow's and torch's "antialias" rule):
going finer it is linear interpolation, going coarser every voxel counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

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

    def affine_on(self, volume: Volume) -> NDArray[np.float64]:
        """Affine (4, 4) of this grid where the other grid is the volume's."""
        step = np.diag([*self.ratio, 1.0])
        step[:3, 3] = self.offset
        return np.asarray(volume.affine @ step)


def grid_around(
    shape: Sequence[int], spacing_mm: Sequence[float], centre: Sequence[float], target_mm: Sequence[float],
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
    plain = np.ascontiguousarray(voxels, dtype=np.float32)
    values = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    if fill:
        values = values - fill
    sizes = voxels.shape[-3:]
    # Slices first where that leaves fewer of them, else last: the order changes the cost alone.
    axes = (0, 1, 2) if grid.shape[0] <= sizes[0] else (1, 2, 0)
    for axis in axes:
        weights = _weights(sizes[axis], round(grid.ratio[axis], 9), round(grid.offset[axis], 6), grid.shape[axis])
        values = _along(values, weights, axis - 3)
    return (values + fill if fill else values).numpy()


def _along(values: torch.Tensor, weights: torch.Tensor, axis: int) -> torch.Tensor:
    """The matrix (out, in) applied along a negative axis, reading only what it weighs."""
    used = weights.any(dim=0).nonzero().flatten()
    if len(used) == 0:
        shape = list(values.shape)
        shape[axis] = len(weights)
        return values.new_zeros(shape)
    first, last = int(used[0]), int(used[-1]) + 1
    values, weights = values.narrow(axis, first, last - first), weights[:, first:last]
    if len(weights) == weights.shape[1] and torch.equal(weights, torch.eye(len(weights))):
        return values
    if axis == -1:
        return values @ weights.T
    if axis == -2:
        return weights @ values
    flat = values.flatten(-2)
    return (weights @ flat).unflatten(-1, values.shape[-2:])


@lru_cache(maxsize=64)
def _weights(size: int, ratio: float, offset: float, count: int) -> torch.Tensor:
    """(count, size): how much each source voxel counts for each sample; a row outside the source is zero."""
    place = offset + ratio * np.arange(count)
    inside = (place >= -0.5 - 1e-6) & (place <= size - 0.5 + 1e-6)
    reach = max(1.0, ratio)
    triangle = 1 - np.abs(np.arange(size)[None] - np.clip(place, 0, size - 1)[:, None]) / reach
    weights = np.maximum(0, triangle) * inside[:, None]
    total = weights.sum(axis=1, keepdims=True)
    return torch.from_numpy((weights / np.where(total > 0, total, 1)).astype(np.float32))
