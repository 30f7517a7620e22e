"""Masks of other tools, NIfTI or DICOM SEG, brought onto the grid of the case that they are about."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.nifti import read_label_map
from hemobench.predictions.dicom_seg import read_dicom_seg
from hemobench.predictions.ids import IdMap, ids_of
from hemobench.volume import LABEL_MAP, Volume

# Headers are float32, and tools round them: this far apart (mm) two grids are one.
_SAME_PLACE_MM = 0.05


def read_mask(path: Path, ids: IdMap | None, image: Volume) -> NDArray[np.uint8]:
    """Our ids (D, H, W) on the grid of `image` from a NIfTI mask or a DICOM SEG, by nearest voxel in millimetres.

    ids: what a NIfTI mask's mean, and the segments of a SEG whose own words do not say. Raises UserError for a mask
    that cannot be read, has ids without a meaning, or lies nowhere in the image; and for one of another grid whose
    file does not say where it is.
    """
    if is_dicom(path):
        mask = read_dicom_seg(path, ids)
    else:
        raw = read_label_map(path)
        assert ids is not None
        mask = raw.with_voxels(ids.apply(raw.voxels, path), LABEL_MAP)
        if not _alike(mask, image) and not _says_where(path):
            raise UserError(
                f"{path} is {mask.shape} and does not say where it lies (neither sform nor qform), its "
                f"scan is {image.shape}; expected the scan's grid or a geometry; write it with the scan's "
                "header"
            )
    if _alike(mask, image):
        return np.asarray(mask.voxels, dtype=np.uint8)
    if not _meet(mask, image):
        raise UserError(
            f"{path} lies beside its scan ({_extent(mask)} mm, the scan {_extent(image)} mm); expected it "
            "in the scan; write it with the scan's header"
        )
    return np.asarray(mask.resampled_to(image.affine, image.shape).voxels, dtype=np.uint8)


def is_dicom(path: Path) -> bool:
    """Whether a file is a DICOM file by its first bytes."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def ids_in(path: Path) -> set[int]:
    """The ids that a NIfTI mask has."""
    return set(ids_of(read_label_map(path).voxels))


def _alike(mask: Volume, image: Volume) -> bool:
    return mask.shape == image.shape and np.allclose(mask.affine, image.affine, atol=_SAME_PLACE_MM)


def _says_where(path: Path) -> bool:
    header = nib.load(path).header
    return not isinstance(header, nib.Nifti1Header) or int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0


def _meet(mask: Volume, image: Volume) -> bool:
    """Whether the boxes around both, along the patient's axes, share anything."""
    (low, high), (other_low, other_high) = _box(mask), _box(image)
    return bool(np.all(low < other_high) and np.all(other_low < high))


def _box(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = volume.to_world(list(itertools.product(*((-0.5, size - 0.5) for size in volume.shape))))
    return corners.min(axis=0), corners.max(axis=0)


def _extent(volume: Volume) -> str:
    return " x ".join(f"{low:.0f}..{high:.0f}" for low, high in zip(*_box(volume), strict=True))
