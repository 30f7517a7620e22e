"""Small studies with every type, for readers of layouts: known voxels, masks and slice labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hemobench.case import Loaded
from hemobench.labels import slice_labels_from_label_map
from hemobench.volume import Volume


def small_study(seed: int, *, depth: int = 6, size: int = 40, tilt_deg: float = 0.0) -> Loaded:
    """HU of whole numbers with two bleeds of types that depend on `seed`; S-P-L, anisotropic, off centre."""
    random = np.random.default_rng(seed)
    voxels = random.integers(-1000, 1500, (depth, size, size)).astype(np.float32)
    label_map = np.zeros(voxels.shape, dtype=np.uint8)
    label_map[1:3, 10:15, 20:28] = 1 + seed % 5
    label_map[3:5, 22:30, 5 + seed : 11 + seed] = 1 + (seed + 2) % 5
    tilt = np.deg2rad(tilt_deg)
    affine = np.eye(4)
    affine[:3, :3] = [
        [0, 0, -0.45],
        [5.0 * np.sin(tilt), -0.5 * np.cos(tilt), 0],
        [5.0 * np.cos(tilt), 0.5 * np.sin(tilt), 0],
    ]
    affine[:3, 3] = [9.0, 12.0, -31.0 + seed]
    return Loaded(Volume(voxels, affine), label_map, slice_labels_from_label_map(label_map))


def small_studies(count: int, **options: float) -> Iterator[tuple[str, Loaded]]:
    for number in range(count):
        yield f"made-{number}", small_study(number, **options)  # type: ignore[arg-type]
