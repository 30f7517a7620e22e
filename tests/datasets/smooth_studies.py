"""Small heads that JPEG likes: smooth tissue inside a ring of skull, bleeds with known types, one slice with two."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hemobench.case import Loaded
from hemobench.labels import slice_labels_from_label_map
from hemobench.volume import Volume, display_affine

SIZE = 64


def smooth_study(seed: int, *, several_types: bool = True) -> Loaded:
    """Five slices: none, one type, two types (or none), a ring around a hole, none."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    radius = np.hypot(rows, columns)
    plane = np.where(radius < 22, 32.0 + rows / 8, np.where(radius < 27, 900.0, -1000.0))
    voxels = np.repeat(plane[None], 5, axis=0).astype(np.float32)
    label_map = np.zeros(voxels.shape, dtype=np.uint8)
    label_map[1, 20:30, 24:34] = 1 + seed % 5
    if several_types:
        label_map[2, 20:30, 18:26] = 1 + (seed + 1) % 5
        label_map[2, 34:40, 36:44] = 1 + (seed + 3) % 5
    label_map[3][(np.hypot(rows, columns) < 12) & (np.hypot(rows, columns) > 5)] = 1 + (seed + 2) % 5
    voxels[label_map > 0] = 68.0
    return Loaded(
        Volume(voxels, display_affine(voxels.shape, (5.0, 3.5, 3.5))), label_map, slice_labels_from_label_map(label_map)
    )


def smooth_studies(count: int, *, several_types: bool = True) -> Iterator[tuple[str, Loaded]]:
    for number in range(count):
        yield f"made-{number}", smooth_study(number, several_types=several_types)
