"""Whether slices lie where their headers say: two whose files were mixed up fit better in each other's place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

_SIDE = 24  # of the coarse picture that stands for a slice
_EVERY = 4  # rows and columns looked at
_LOW_HU, _HIGH_HU = -100, 200
_LEAST_SLICES = 6
# Slices three apart must differ so much more than neighbours, or their order cannot be seen in them.
_ORDERED = 1.3
# Of 64 real heads none gains anything by an exchange. Where two slices were exchanged, going back gained more than half
# a usual step between neighbours, and more than a fifth of the steps concerned.
_LEAST_GAIN, _LEAST_SHARE = 0.3, 0.15


def exchanged(slices: NDArray[np.floating]) -> tuple[int, int] | None:
    """The two of slices (N, R, C) in HU, in the order of their positions, whose exchange would make neighbours most
    alike, None where they are in order or too much alike to tell.

    The steps between neighbours are a path through all slices; an exchange changes four of them, or three.
    """
    if len(slices) < _LEAST_SLICES or min(slices.shape[1:]) < _EVERY * _SIDE:
        return None
    coarse = np.stack([_coarse(one) for one in slices])
    apart = cdist(coarse, coarse, "cityblock")
    usual = float(np.median(np.diagonal(apart, 1)))
    if usual <= 0 or float(np.median(np.diagonal(apart, 3))) < _ORDERED * usual:
        return None
    gain, touched = _gains(apart)
    first, second = np.unravel_index(int(np.argmax(gain)), gain.shape)
    best = float(gain[first, second])
    told = best > _LEAST_GAIN * usual and best > _LEAST_SHARE * float(touched[first, second])
    return (int(first), int(second)) if told else None


def _gains(apart: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much the path gets shorter by an exchange of i < j, and the length of the steps that this touches, (N, N);
    0 elsewhere. apart: distances (N, N)."""
    count = len(apart)
    padded = np.zeros((count + 2, count + 2))  # a step beyond the ends has no length
    padded[1:-1, 1:-1] = apart
    i, j = np.triu_indices(count, 1)
    i, j = i + 1, j + 1
    before = padded[i - 1, i] + padded[i, i + 1] + padded[j - 1, j] + padded[j, j + 1]
    after = padded[i - 1, j] + padded[j, i + 1] + padded[j - 1, i] + padded[i, j + 1]
    beside = j == i + 1
    before = np.where(beside, padded[i - 1, i] + padded[i, j] + padded[j, j + 1], before)
    after = np.where(beside, padded[i - 1, j] + padded[i, j] + padded[i, j + 1], after)
    gain, touched = np.zeros_like(apart), np.zeros_like(apart)
    gain[i - 1, j - 1], touched[i - 1, j - 1] = before - after, before
    return gain, touched


def _coarse(one: NDArray[np.floating]) -> NDArray[np.float64]:
    seen = np.clip(one[::_EVERY, ::_EVERY], _LOW_HU, _HIGH_HU)
    rows, columns = (np.linspace(0, size, _SIDE + 1).astype(int) for size in seen.shape)
    sums = np.add.reduceat(np.add.reduceat(seen, rows[:-1], axis=0), columns[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), dtype=np.float64).ravel()
