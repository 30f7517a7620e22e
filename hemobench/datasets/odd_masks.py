"""Masks that cannot be of blood, by what lies under them: air or bone, or too much of the head."""

from __future__ import annotations

import numpy as np

from hemobench.case import DatasetInfo, Loaded
from hemobench.volume import GREY

INVERTED = "of more than half of all voxels (inverted?)"
IN_AIR = "mostly in air or outside of the head (flipped, moved, or of another scan?)"
IN_BONE = "mostly in bone (moved, or of another scan?)"
TOO_LARGE = "of a large part of the head (of the brain, not of blood?)"
# Blood is at 40 to 90 HU; what a mask's edge takes along does not move its median this far.
_LEAST_HU, _MOST_HU = 0.0, 300.0
_AIR_BELOW_HU = -300.0
# Measured on bleeding patients: 5% at most. Of a lone slice, which may be the vertex, blood can be more.
_LARGEST_SHARE, _LARGEST_OF_SLICE, _FEW_SLICES = 0.25, 0.5, 3
# A few voxels beside the skull may be of anything.
_LEAST_VOXELS = 10


def oddity_of(loaded: Loaded, info: DatasetInfo) -> str | None:
    """What is odd about a case's mask of blood, in words; None where it may be right, or nothing can be told."""
    mask, image = loaded.foreground, loaded.image
    if mask is None or info.masks == ("ventricles",) or image.modality not in ("CT", GREY):
        return None
    marked = np.count_nonzero(mask)
    if marked < _LEAST_VOXELS:
        return None
    if 2 * marked > mask.size:
        return INVERTED
    lowest = float(image.voxels.min())
    # Pictures end at their window's black, in which air cannot be told from water; nor bone from blood, by their white.
    has_air = image.modality != GREY and lowest < _AIR_BELOW_HU
    median = float(np.median(image.voxels[mask]))
    if median < _LEAST_HU if has_air else median <= lowest:
        return IN_AIR
    if has_air and median > _MOST_HU:
        return IN_BONE
    head = np.count_nonzero(image.voxels > (_AIR_BELOW_HU if has_air else lowest))
    largest = _LARGEST_SHARE if len(mask) >= _FEW_SLICES else _LARGEST_OF_SLICE
    return TOO_LARGE if marked > largest * head else None
