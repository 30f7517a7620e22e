"""Smooth random fields of the phantom, on torch: coarse Gaussian noise, enlarged."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F


def smooth_noise(shape: Sequence[int], grain_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Noise of unit variance whose values change over about `grain_mm` voxels. shape: (Z, Y, X); returns float32."""
    coarse = [max(2, int(np.ceil(s / grain_mm)) + 1) for s in shape]
    seeds = torch.from_numpy(rng.standard_normal(coarse).astype(np.float32))
    field = F.interpolate(seeds[None, None], size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
    return field / 0.6  # linear enlargement averages neighbours: its standard deviation is near 0.6


def stream(key: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose of one patient: nothing drawn for another purpose shifts them."""
    return np.random.default_rng([key, zlib.crc32(purpose.encode())])


def generator(rng: np.random.Generator) -> torch.Generator:
    """A torch generator seeded from numpy's."""
    return torch.Generator().manual_seed(int(rng.integers(2**62)))
