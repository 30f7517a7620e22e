"""NIfTI as public data sets have it: axes as a converter leaves them, and often a qform without sform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from hemobench.io.atomic import replacing
from hemobench.volume import LABEL_MAP, Volume


def write_scan(volume: Volume, path: Path, *, orientation: str = "LPS", sform: bool = True) -> None:
    """Write a CT as int16 with its axes running to `orientation`; without `sform` the qform counts."""
    _write(volume.with_voxels(np.rint(volume.voxels)), np.int16, path, orientation, sform)


def write_ids(ids: NDArray[Any], image: Volume, path: Path, *, orientation: str = "LPS", sform: bool = True) -> None:
    """Write a label map (D, H, W) that lies on `image` as uint8, in the way of `write_scan`."""
    _write(image.with_voxels(ids.astype(np.uint8), LABEL_MAP), np.uint8, path, orientation, sform)


def _write(volume: Volume, kind: type[np.integer], path: Path, orientation: str, sform: bool) -> None:
    placed = volume.reoriented(orientation)
    image = nib.Nifti1Image(np.asarray(placed.voxels).astype(kind), placed.affine)
    image.set_qform(placed.affine, code=1)
    image.set_sform(placed.affine if sform else None, code=1 if sform else 0)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)
