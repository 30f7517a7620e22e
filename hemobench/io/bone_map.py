"""Matplotlib's `bone` colour map and its inverse, for CT slices that were saved through it.

The map is given piecewise linear in each channel (matplotlib `_cm.py`, `_bone_data`, after MATLAB's bone): its corner
points stand here, so that no plotting library is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# (grey, intensity) corner points of each channel, both in 0..1.
_RED = ((0.0, 0.0), (0.746032, 0.652778), (1.0, 1.0))
_GREEN = ((0.0, 0.0), (0.365079, 0.319444), (0.746032, 0.777778), (1.0, 1.0))
_BLUE = ((0.0, 0.0), (0.365079, 0.444444), (1.0, 1.0))
_LEVELS = 256
# ITU-R 601: the weights by which JPEG keeps brightness, which it stores more precisely than colour.
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
# JPEG moves a channel by a few levels; the map itself is at most 20 levels away from grey.
_LARGEST_DISTANCE = 6.0
_LEAST_TINT = 4.0
# Of the mean colour at each brightness, which JPEG's noise leaves: measured on heads in the map at most 3 levels off it
# by pixels, 6 by brightness (JPEG quality 25); 6 and 11 or more in grey under a bluish light, as a monitor's.
_BINS, _LEAST_IN_BIN = 16, 0.001
_FARTHEST_MEAN, _FARTHEST_BY_BIN = 4.5, 8.0


def bone_map() -> NDArray[np.uint8]:
    """The 256 colours of the map, (256, 3) uint8, as matplotlib writes them to a picture.

    >>> bone_map()[[0, 128, 255]].tolist()
    [[0, 0, 0], [112, 123, 143], [255, 255, 255]]
    """
    grey = np.arange(_LEVELS) / (_LEVELS - 1)
    channels = [np.interp(grey, *np.transpose(corners)) for corners in (_RED, _GREEN, _BLUE)]
    # Matplotlib multiplies by 255 and cuts (`Colormap.__call__` with bytes=True), the hair is against rounding below.
    return (np.stack(channels, axis=-1) * (_LEVELS - 1) + 1e-9).astype(np.uint8)


def is_bone_coloured(rgb: NDArray[np.uint8]) -> bool:
    """Whether a picture (rows, columns, 3) holds colours of the bone map, give or take JPEG, and not plain greys.

    >>> bool(is_bone_coloured(bone_map()[None]))
    True
    """
    grey = bone_to_grey(rgb)
    expected = bone_map()[grey].astype(np.float32)
    distance = np.abs(rgb.astype(np.float32) - expected)
    tint = rgb[..., 2].astype(np.float32) - rgb[..., 0]
    # Black and white have no tint in the map either, so only the rest can tell it from grey.
    tinted = (grey > 32) & (grey < 224)
    if not tinted.any():
        return False
    if not (distance.mean() < _LARGEST_DISTANCE and tint[tinted].mean() > _LEAST_TINT):
        return False
    return _lies_on_map((rgb.astype(np.float32) - expected)[tinted], grey[tinted])


def _lies_on_map(offsets: NDArray[np.float32], grey: NDArray[np.uint8]) -> bool:
    """Whether colours (n, 3), as offsets from the map's at their level, follow it from dark to bright.

    The map bends, and a tint is straight: somewhere between dark and bright it leaves the map.
    """
    bins = grey // (_LEVELS // _BINS)
    counts = np.bincount(bins, minlength=_BINS)
    used = counts > _LEAST_IN_BIN * len(grey)
    sums = np.stack([np.bincount(bins, weights=channel, minlength=_BINS) for channel in offsets.T], axis=-1)
    off = np.abs(sums[used] / counts[used, None]).max(axis=-1)
    return bool(np.average(off, weights=counts[used]) <= _FARTHEST_MEAN and off.mean() <= _FARTHEST_BY_BIN)


def bone_to_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels uint8 (...) of a picture (..., 3) that was coloured by the bone map.

    Exact for the map's own colours; off by about JPEG's error in brightness elsewhere. Works by brightness, which
    rises along the map, so that JPEG's coarse colours do no harm.

    >>> bool((bone_to_grey(bone_map()) == np.arange(256)).all())
    True
    """
    luma = rgb.astype(np.float32) @ _LUMA
    levels = np.interp(luma, bone_map().astype(np.float32) @ _LUMA, np.arange(_LEVELS))
    return np.rint(levels).astype(np.uint8)
