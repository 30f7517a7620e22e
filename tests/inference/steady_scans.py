"""The same scan as another workplace might send it: moved, padded, cropped closer, on other pixels, slices reversed."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from hemobench.io import read_scan
from hemobench.views.head_box import head_box
from hemobench.volume import Volume

MOVED, PADDED, KEPT = 7, 40, 6
OTHER_PIXEL_MM = 0.6


def variants(volume: Volume, folder: Path) -> dict[str, Volume]:
    """A CT (D, H, W) in five other ways; each knows its place in the world."""
    _, rows, columns = head_box(volume)
    low = [max(0, first - KEPT) for first, _ in (rows, columns)]
    high = [min(size, last + 1 + KEPT) for (_, last), size in zip((rows, columns), volume.shape[1:], strict=True)]
    return {
        "moved": volume.padded((0, MOVED, MOVED), (0, 0, 0)).cropped((0, 0, 0), volume.shape),
        "padded": volume.padded((0, PADDED, PADDED), (0, PADDED, PADDED)),
        "cropped": volume.cropped((0, *low), (volume.shape[0], *high)),
        "resampled": volume.resampled((volume.spacing_mm[0], OTHER_PIXEL_MM, OTHER_PIXEL_MM)),
        "reversed": _reversed(volume, folder / "reversed.nii.gz"),
    }


def _reversed(volume: Volume, path: Path) -> Volume:
    """Written with its highest slice first, and read again."""
    affine = np.array(volume.affine)
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    voxels = np.ascontiguousarray(volume.voxels[::-1].transpose(2, 1, 0))
    nib.save(nib.Nifti1Image(voxels, affine[:, (2, 1, 0, 3)]), path)
    return read_scan(path).volume


def agreement(mask: Volume, other: Volume) -> float:
    """Dice of two label maps, the first on the voxels of the second; 1 where both are empty."""
    field = Volume((mask.voxels > 0).astype(np.float32), mask.affine, "MR")
    first = field.resampled_to(other.affine, other.shape, fill=0.0).voxels >= 0.5
    second = other.voxels > 0
    both = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / both if both else 1.0
