"""Pieces of a mask: voxels that touch, by side, edge or corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Neighbours in three dimensions, all 26."""


def sure_pieces(
    mask: NDArray[np.bool_], probability: NDArray[np.floating], least: float
) -> NDArray[np.bool_]:
    """The pieces of a mask (D, H, W) whose highest probability reaches `least`: hysteresis, as Canny's edges have it.
    With 0 that is the mask itself, and nothing is counted.

    >>> mask = np.array([[[True, True, False, True]]])
    >>> sure_pieces(mask, np.array([[[0.4, 0.9, 0.1, 0.5]]]), 0.8)
    array([[[ True,  True, False, False]]])
    """
    if least <= 0 or not mask.any():
        return mask
    labels, count = ndimage.label(mask, structure=TOUCHING)
    highest = ndimage.maximum(probability, labels, np.arange(1, count + 1))
    return np.asarray(np.r_[False, np.asarray(highest) >= least][labels])
