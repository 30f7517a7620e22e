"""From a scan to a network's grid and back: any size, spacing and field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.views.grey import display_channels
from hemobench.views.head_box import head_box
from hemobench.views.resampling import AxisGrid, resample
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume

# Networks halve their maps up to five times; windows that grow do so in these steps.
STEP = 16
# Of air around the head. Networks are trained on windows about the head, so that this is their input and no shortcut:
# the whole field of view gives masks that differ voxel by voxel and are as good (24 phantoms: Dice 0.317 cut to the
# head, 0.321 whole, paired difference -0.004 +- 0.003 for the first bleed-2d).
MARGIN_MM = 8.0


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What a segmenter sees of a scan. array: float32 (C, D, H, W) in [0, 1]. grid: where it lies on the scan."""

    array: NDArray[np.float32]
    grid: AxisGrid


def network_input(volume: Volume, view: SegmentationView, *, crop: bool = True, deep: bool = False) -> NetworkInput:
    """A scan at the view's spacing, all slices of it, in the plane cut to the head.

    With `crop` rows and columns are the view's, or as many more as the head needs; without it the whole field of view.
    With `deep`, for networks whose windows have a depth, slices beyond the head are left out in the same way. Grey
    pictures and MR need no units. Raises: UserError where the view's window needs Hounsfield units.
    """
    head = np.asarray(head_box(volume), dtype=float)
    cut = np.array([crop and deep, crop, crop])
    extent = np.asarray(volume.shape) * volume.spacing_mm
    extent = np.where(cut, (head[:, 1] - head[:, 0] + 1) * volume.spacing_mm + 2 * MARGIN_MM, extent)
    centre = np.where(cut, head.mean(axis=1), (np.asarray(volume.shape) - 1) / 2).tolist()
    # A first grid, of any size, tells how long its steps are on this scan.
    steps_mm = np.asarray(view.grid(volume, centre, view.shape).ratio) * volume.spacing_mm
    needed = np.ceil(np.round(extent / steps_mm, 3)).astype(int)
    needed[1:] = -(-needed[1:] // STEP) * STEP
    depth, rows, columns = np.where(cut, np.maximum(needed, view.shape), needed).tolist()
    shape = (max(1, depth), rows, columns)
    grid = view.grid(volume, centre, shape)
    if None in view.windows:  # percentiles are those of the whole scan
        return NetworkInput(resample(display_channels(volume, view, "the scan"), grid), grid)
    box = grid.source_box(volume.shape)
    seen = volume.cropped([side.start for side in box], [side.stop for side in box])
    return NetworkInput(resample(display_channels(seen, view, "the scan"), grid.on_part(box)), grid)


def to_source(
    field: NDArray[np.float32],
    grid: AxisGrid,
    volume: Volume,
    box: tuple[slice, slice, slice] | None = None,
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """A field (K, D, H, W) on the network's grid, interpolated at the scan's voxels: float32 (K, *volume.shape).

    With `box` only that part of the scan. Where the network saw nothing stands `fill`.
    """
    target = grid.inverse(volume.shape)
    if box is not None:
        bounds = [side.indices(size) for side, size in zip(box, volume.shape, strict=True)]
        target = target.part([low for low, _, _ in bounds], [high for _, high, _ in bounds])
    return resample(field, target, fill)
