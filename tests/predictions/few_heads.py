"""Four small heads whose truth is known, and folders of answers to them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import BHSD
from hemobench.io.nifti import write_nifti
from hemobench.labels import slice_labels_from_label_map
from hemobench.volume import LABEL_MAP, Volume, display_affine

SHAPE, SPACING = (6, 20, 20), (5.0, 2.0, 2.0)
AFFINE = display_affine(SHAPE, SPACING)
VOXEL_ML = 0.02
STUDIES = ("s0", "s1", "s2", "s3")


def truth(number: int) -> NDArray[np.uint8]:
    """Nothing in even heads; in odd ones a box of 2 x 10 x 10 voxels, 4 mL: intraparenchymal in s1, subdural in s3."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    if number % 2:
        labels[2:4, 5:15, 5:15] = {1: 2, 3: 5}[number]
    return labels


def head(number: int) -> Loaded:
    voxels = np.full(SHAPE, -1000.0, dtype=np.float32)
    voxels[:, 2:18, 2:18] = 32.0
    labels = truth(number)
    voxels[labels > 0] = 80.0
    return Loaded(Volume(voxels, AFFINE), labels, slice_labels_from_label_map(labels))


def heads(count: int = 4) -> Dataset:
    cases = tuple(
        Case(f"p{number}", f"s{number}", BHSD.name, BHSD.lineage, None, partial(head, number))
        for number in range(count)
    )
    return Dataset(BHSD, cases, f"heads {count}", ())


def write_masks(folder: Path, masks: dict[str, NDArray[np.uint8]]) -> Path:
    """Label maps on the heads' own grid, by file name without ending."""
    for name, labels in masks.items():
        write_nifti(Volume(labels, AFFINE, LABEL_MAP), folder / f"{name}.nii.gz")
    return folder


def halved(number: int) -> NDArray[np.uint8]:
    """The upper of the two true slices alone: Dice 2 * 100 / (100 + 200)."""
    labels = truth(number)
    labels[2] = 0
    return labels
