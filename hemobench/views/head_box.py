"""Where the head lies in a scan, and the grid of a view about it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.views.resampling import AxisGrid
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume

MR_PERCENTILES = (0.5, 99.5)
SOLID_HU = -200.0
FAINT_SHARE = 0.1
HEAD_TRIM = 0.005
# Without millimetres, the longer side of the head's outline is taken for that of an average adult (glabella to
# opisthocranion; US Army survey of 2012, mean head length of men about 199 mm and of women about 189 mm).
ASSUMED_HEAD_MM = 194.0


def assumed_scale(volume: Volume) -> Volume:
    """A volume whose millimetres are nominal, with pixels of such a size that its head is as long as an average one.

    Slices keep their distance: a picture has one, and what it is thick is not known either.
    """
    _, (top, bottom), (left, right) = head_box(volume)
    rows, columns = (bottom - top + 1) * volume.spacing_mm[1], (right - left + 1) * volume.spacing_mm[2]
    affine: NDArray[Any] = np.array(volume.affine)
    affine[:3, 1:3] *= ASSUMED_HEAD_MM / max(rows, columns)
    return Volume(volume.voxels, affine, volume.modality)


def network_grid(volume: Volume, view: SegmentationView, shape: tuple[int, int, int]) -> AxisGrid:
    """The view's grid on a volume, of `shape`: along the slices about the middle one, in the plane about the head."""
    _, (top, bottom), (left, right) = head_box(volume)
    centre = ((volume.shape[0] - 1) / 2, (top + bottom) / 2, (left + right) / 2)
    return view.grid(volume, centre, shape)


def head_box(volume: Volume) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """First and last slice, row and column of the head: what is denser than fat, or brighter than black.

    The outermost 0.5% of that on each side are left out, so that a head holder or a cable does not count; a volume
    without any is a head from edge to edge.
    """
    coarse = volume.voxels[:, ::2, ::2]
    if volume.modality == "CT":
        solid = coarse > SOLID_HU
    else:
        solid = coarse > coarse.min() + FAINT_SHARE * (np.percentile(coarse, MR_PERCENTILES[1]) - coarse.min())
    slices, rows, columns = (
        _bounds(solid.sum(axis=axes, dtype=np.int64), step, size)
        for axes, step, size in zip(((1, 2), (0, 2), (0, 1)), (1, 2, 2), volume.shape, strict=True)
    )
    return slices, rows, columns


def _bounds(amount: NDArray[np.int64], step: int, size: int) -> tuple[int, int]:
    summed = np.cumsum(amount)
    if summed[-1] == 0:
        return 0, size - 1
    first, last = np.searchsorted(summed, [HEAD_TRIM * summed[-1], (1 - HEAD_TRIM) * summed[-1]])
    return step * int(first), min(size - 1, step * int(last) + step - 1)
