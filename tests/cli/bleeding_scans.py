"""Small scans with masks, as a folder of NIfTI pairs: a square head in air, and in two of three a square of blood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.io.nifti import write_nifti
from hemobench.volume import LABEL_MAP, Volume, display_affine

AFFINE = display_affine((4, 32, 32), (5.0, 4.0, 4.0))


def write_scan(folder: Path, number: int) -> NDArray[np.uint8]:
    """Write scan `a<number>` and its mask into `folder/scans`; gives the mask (4, 32, 32)."""
    blood = np.zeros((4, 32, 32), dtype=np.uint8)
    blood[1 : 1 + number % 3, 8:16, 8:20] = 1
    scan = np.full((4, 32, 32), -1000, dtype=np.float32)
    scan[:, 4:28, 4:28] = 30
    scan[blood > 0] = 80
    write_nifti(Volume(scan, AFFINE), folder / "scans" / "images" / f"a{number}.nii.gz")
    write_mask(blood, folder / "scans" / "masks" / f"a{number}.nii.gz")
    return blood


def write_mask(mask: NDArray[np.uint8], path: Path) -> None:
    """Write a mask (4, 32, 32) on the scans' grid."""
    write_nifti(Volume(mask, AFFINE, LABEL_MAP), path)
