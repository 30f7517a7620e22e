"""Pieces of a mask: voxels that touch, by side, edge or corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Neighbours in three dimensions, all 26."""


def confident_pieces(mask: NDArray[np.bool_], probability: NDArray[np.floating], least: float) -> NDArray[np.bool_]:
    """The pieces of a mask (D, H, W) whose highest probability reaches `least`: hysteresis, as Canny's edges have it.
    With 0 that is the mask itself, and nothing is counted.

    >>> mask = np.array([[[True, True, False, True]]])
    >>> confident_pieces(mask, np.array([[[0.4, 0.9, 0.1, 0.5]]]), 0.8)
    array([[[ True,  True, False, False]]])
    """
    if least <= 0 or not mask.any():
        return mask
    labels, count = ndimage.label(mask, structure=TOUCHING)
    return np.asarray(np.r_[False, highest_by_piece(labels, count, probability) >= least][labels])


def highest_by_piece(
    labels: NDArray[np.integer], count: int, probability: NDArray[np.floating]
) -> NDArray[np.floating]:
    """The highest probability of each piece, (count,), of labels (D, H, W) from 1 to `count`; 0 is none.

    >>> highest_by_piece(np.array([1, 0, 2, 2]), 2, np.array([0.4, 0.9, 0.1, 0.5]))
    array([0.4, 0.5])
    """
    # Only what is filled: ndimage.maximum sorts the whole box, which takes seconds where that is a scan.
    filled = np.flatnonzero(labels)
    highest = np.zeros(count + 1, dtype=probability.dtype)
    np.maximum.at(highest, labels.ravel()[filled], probability.ravel()[filled])
    return highest[1:]
