"""Smooth random fields of the phantom, on torch: coarse Gaussian noise, enlarged."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch


def smooth_noise(shape: Sequence[int], grain_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Noise of unit variance whose values change over about `grain_mm` voxels. shape: (Z, Y, X); returns float32."""
    coarse = [max(2, int(np.ceil(s / grain_mm)) + 1) for s in shape]
    seeds = torch.from_numpy(rng.standard_normal(coarse).astype(np.float32))
    return enlarged(seeds / 0.6, shape)  # linear enlargement averages neighbours: its standard deviation is near 0.6


def enlarged(coarse: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A field (z, y, x) brought to `shape` (Z, Y, X) by straight lines between its values, corners on corners.

    What F.interpolate does ("trilinear", align_corners), faster: one axis after the other, planes last, so that most
    of the work is whole planes between two others. shape: (Z, Y, X), none of them 0; returns float32.
    """
    planes, rows, columns = shape
    below, above, share = _between(coarse.shape[2], columns)
    wide = torch.lerp(coarse[:, :, below], coarse[:, :, above], torch.tensor(share))
    tall = torch.empty(coarse.shape[0], rows, columns)
    for row, (low, high, part) in enumerate(zip(*_between(coarse.shape[1], rows), strict=True)):
        torch.lerp(wide[:, low], wide[:, high], part, out=tall[:, row])
    whole = torch.empty(planes, rows, columns)
    for plane, (low, high, part) in enumerate(zip(*_between(coarse.shape[0], planes), strict=True)):
        torch.lerp(tall[low], tall[high], part, out=whole[plane])
    return whole


def _between(few: int, many: int) -> tuple[list[int], list[int], list[float]]:
    """For each of `many` places along an axis of `few` values: the values on both sides, and how far the place is."""
    place = np.linspace(0, few - 1, many) if many > 1 else np.zeros(1)
    low = np.minimum(place.astype(int), max(few - 2, 0))
    return low.tolist(), np.minimum(low + 1, few - 1).tolist(), (place - low).astype(np.float32).tolist()


def stream(key: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose of one patient: nothing drawn for another purpose shifts them."""
    return np.random.default_rng([key, zlib.crc32(purpose.encode())])


def generator(rng: np.random.Generator) -> torch.Generator:
    """A torch generator seeded from numpy's."""
    return torch.Generator().manual_seed(int(rng.integers(2**62)))
