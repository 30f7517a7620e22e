"""Slices as a classifier sees them: square pictures of grey levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.views.head_box import head_box
from hemobench.views.resampling import AxisGrid, grid_around, resample, resized
from hemobench.views.view import ClassificationView
from hemobench.views.windows import WINDOWS, apply_window
from hemobench.volume import GREY, Volume


def slice_images(volume: Volume, view: ClassificationView, where: str) -> NDArray[np.uint8]:
    """Every slice of a volume as a classifier sees it: (D, C, S, S) grey. UserError where it is neither CT nor grey."""
    if volume.modality not in ("CT", GREY):
        raise UserError(f"{where} is {volume.modality}; classification views window CT in HU; use a CT data set")
    images = np.zeros((volume.shape[0], view.channels, view.size, view.size), dtype=np.uint8)
    for channel, name in enumerate(view.windows):
        # Pictures without units had their window applied by whoever made them: every channel shows them as they are.
        grey = np.clip(volume.voxels, 0, 1) if volume.modality == GREY else apply_window(volume.voxels, WINDOWS[name])
        images[:, channel] = square_slices(grey, volume, view)
    return images


def square_slices(planes: NDArray[np.float32], volume: Volume, view: ClassificationView) -> NDArray[np.uint8]:
    """Slices (D, H, W) of values from 0 to 1 on a volume's grid as a classifier's squares (D, S, S), 0 to 255."""
    if view.field is None:
        return resize_to_square(planes, volume.spacing_mm[1:], view.size)
    _, *sides = head_box(volume)
    spacing_mm = volume.spacing_mm[1:]
    head_mm = max((last - first + 1) * step for (first, last), step in zip(sides, spacing_mm, strict=True))
    pixel_mm = view.field * head_mm / view.size
    centre = (0.0, *((first + last) / 2 for first, last in sides))
    grid = grid_around(planes.shape, (1.0, *spacing_mm), centre, (1.0, pixel_mm, pixel_mm), (1, view.size, view.size))
    whole = AxisGrid(grid.ratio, (0.0, *grid.offset[1:]), (len(planes), *grid.shape[1:]))
    return np.rint(np.clip(resample(planes, whole), 0, 1) * 255).astype(np.uint8)


def resize_to_square(grey: NDArray[np.float32], pixel_mm: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    """Slices (D, H, W) in [0, 1] as (D, size, size) uint8: anti-aliased, aspect in mm kept, padded with 0."""
    height_mm, width_mm = grey.shape[1] * pixel_mm[0], grey.shape[2] * pixel_mm[1]
    longer = max(height_mm, width_mm)
    rows, columns = (max(1, round(size * side / longer)) for side in (height_mm, width_mm))
    small = resized(grey, (rows, columns))
    square = np.zeros((grey.shape[0], size, size), dtype=np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[:, top : top + rows, left : left + columns] = np.rint(np.clip(small, 0, 1) * 255)
    return square
