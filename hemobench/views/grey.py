"""Voxels as grey levels from 0 to 1: through a window, or between percentiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.views.head_box import MR_PERCENTILES
from hemobench.views.view import DEFAULT_WINDOW, SegmentationView
from hemobench.views.windows import WINDOWS, apply_window
from hemobench.volume import GREY, Volume


def display_channels(volume: Volume, view: SegmentationView, where: str) -> NDArray[np.float32]:
    """Voxels as a segmenter sees them: float32 (C, D, H, W) in [0, 1], a channel for each of the view's windows."""
    return np.stack([display_grey(volume, window, where) for window in view.windows])


def display_grey(volume: Volume, window: str | None, where: str) -> NDArray[np.float32]:
    """Voxels (D, H, W) as a network sees them: float32 in [0, 1] through a window, or between percentiles."""
    if window is None and volume.modality == "CT":
        # Between percentiles of air and bone, brain is one grey; and HU need none.
        window = DEFAULT_WINDOW
    if window is None:
        return percentile_grey(volume.voxels)
    if volume.modality == GREY:
        return np.clip(volume.voxels, 0, 1)
    if volume.modality != "CT":
        raise UserError(f"{where} is {volume.modality}; window '{window}' needs CT in HU; set view.window to null")
    return apply_window(volume.voxels, WINDOWS[window])


def percentile_grey(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensities between the volume's percentiles 0.5 and 99.5 as 0..1, clipped; a flat volume becomes 0.

    >>> percentile_grey(np.full((2, 2, 2), 7.0, dtype=np.float32)).max()
    np.float32(0.0)
    """
    low, high = np.percentile(voxels, MR_PERCENTILES)
    if high <= low:
        return np.zeros_like(voxels, dtype=np.float32)
    return np.clip((voxels - low) / (high - low), 0, 1).astype(np.float32)
