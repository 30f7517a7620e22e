"""Small synthetic studies with bright blobs: real volumes through the real views and cache, learnt in seconds."""

from __future__ import annotations

import functools

import numpy as np

from hemobench.case import Case, Dataset, DatasetInfo, Loaded
from hemobench.datasets.splits import Split
from hemobench.volume import Volume, display_affine

SHAPE = (6, 24, 24)
SPACING_MM = (5.0, 2.0, 2.0)


def load_blob(seed: int, subtype: int) -> Loaded:
    """A noisy grey volume; subtype 1..5 puts a bright square of HU 75 somewhere, 0 leaves it out."""
    generator = np.random.default_rng(seed)
    voxels = generator.normal(30, 4, SHAPE).astype(np.float32)
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    if subtype:
        row, column = generator.integers(4, 14, 2)
        label_map[1:4, row : row + 6, column : column + 6] = subtype
        voxels[label_map > 0] += 45
    return Loaded(Volume(voxels, display_affine(SHAPE, SPACING_MM)), label_map, None)


def make_dataset(patients: int = 12) -> Dataset:
    """Two patients of three bleed, in turn of the five types."""
    info = DatasetInfo("blobs", "Blobs", ("classification", "segmentation"), "", "", "", "", "", "blobs", phantom=True)
    cases = []
    for number in range(patients):
        subtype = 0 if number % 3 == 2 else 1 + number % 5
        labels = tuple(int(subtype == k) for k in range(1, 6))
        load = functools.partial(load_blob, 100 + number, subtype)
        cases.append(Case(f"p{number:02d}", f"s{number:02d}", "blobs", "blobs", labels, load))
    return Dataset(info, tuple(cases), f"blobs-{patients}", ())


def make_split(patients: int = 12) -> Split:
    """First half trains, the next quarter validates, the rest tests."""
    ids = [f"p{number:02d}" for number in range(patients)]
    half, most = patients // 2, 3 * patients // 4
    return Split(tuple(ids[:half]), tuple(ids[half:most]), tuple(ids[most:]), seed=0)
