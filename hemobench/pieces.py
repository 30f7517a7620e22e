"""Pieces of a mask: voxels that touch, by side, edge or corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Neighbours in three dimensions, all 26."""
_SURE = 1e-6


def sure_pieces(
    mask: NDArray[np.bool_], probability: NDArray[np.floating], least: float,
    slice_logits: NDArray[np.floating] | None = None,
) -> NDArray[np.bool_]:
    """The pieces of a mask (D, H, W) whose highest probability reaches `least`: hysteresis, as Canny's edges have it.
    With 0 that is the mask itself, and nothing is counted. slice_logits (D,): what each slice adds to the logits of its
    voxels, see `highest_by_piece`.

    >>> mask = np.array([[[True, True, False, True]]])
    >>> sure_pieces(mask, np.array([[[0.4, 0.9, 0.1, 0.5]]]), 0.8)
    array([[[ True,  True, False, False]]])
    """
    if least <= 0 or not mask.any():
        return mask
    labels, count = ndimage.label(mask, structure=TOUCHING)
    if slice_logits is None:
        highest = highest_by_piece(labels, count, probability)
    else:
        highest = with_slices(highest_by_slice(labels, count, probability), slice_logits)
    return np.asarray(np.r_[False, highest >= least][labels])


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


def highest_by_slice(
    labels: NDArray[np.integer], count: int, probability: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The highest probability of each piece in each slice, (count, D), of labels (D, H, W); 0 where it has no voxel.

    >>> highest_by_slice(np.array([[[1, 0]], [[1, 2]]]), 2, np.array([[[0.4, 0.9]], [[0.7, 0.5]]]))
    array([[0.4, 0.7],
           [0. , 0.5]])
    """
    filled = np.nonzero(labels)
    highest = np.zeros((count + 1, len(labels)))
    np.maximum.at(highest, (labels[filled], filled[0]), probability[filled])
    return highest[1:]


def with_slices(highest: NDArray[np.floating], slice_logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """How sure each piece is, (P,), where slices speak too: the highest, over its slices, of its probability there
    (P, D) with the slice's own logit (D,) added to its logit.

    >>> with_slices(np.array([[0.5, 0.8], [0.0, 0.5]]), np.array([np.log(9), 0.0]))
    array([0.9, 0.5])
    """
    known = np.clip(highest, 0.0, 1 - _SURE)
    with np.errstate(divide="ignore"):  # no voxel there: minus infinity, which no slice can lift
        return np.asarray(expit(logit(known) + slice_logits).max(axis=1, initial=0.0))
