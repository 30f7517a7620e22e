"""Label maps back to the user: NIfTI in the scan's own space, slices of a DICOM series, pictures with colour on top."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.nifti import write_nifti
from hemobench.io.scan import DicomSource, GridSource, Scan, Space
from hemobench.views.windows import Window, to_grey_uint8
from hemobench.volume import Volume

# Okabe and Ito's colours, which colour-blind people tell apart: labels 1 to 5 in the order of SUBTYPES.
LABEL_COLOURS = ((230, 159, 0), (213, 94, 0), (0, 158, 115), (86, 180, 233), (204, 121, 167))
# Column, row, slice: the order that viewers of NIfTI made from DICOM are used to.
_DICOM_AXES = "LPS"


def write_mask(mask: Volume, scan: Scan, path: Path) -> None:
    """Write a label map as .nii or .nii.gz where the scan's file has its voxels.

    For NIfTI, MGZ, npz and pictures shape and affine are the source file's, voxel for voxel. A DICOM series has no such
    grid when its tilt or gaps were corrected: there it is the grid that the scan was read to, in axes L-P-S.
    """
    _check_mask(mask)
    if isinstance(scan.source, GridSource):
        write_nifti(mask, path, scan.source.space)
        return
    turned = scan.volume.reoriented(_DICOM_AXES)
    write_nifti(mask, path, Space(np.array(turned.affine), turned.shape))


def mask_in_slices(mask: Volume, source: DicomSource) -> list[NDArray[np.uint8]]:
    """The label map on each slice (R, C) of the series as it was acquired, tilted or unevenly spaced, by nearest voxel.

    In the order of `source.slices`.
    """
    _check_mask(mask)
    planes = []
    for one in source.slices:
        placed = mask.resampled_to(one.affine, (1, *one.shape))
        planes.append(np.asarray(placed.voxels[0], dtype=np.uint8))
    return planes


def overlay(
    volume: Volume, mask: Volume, index: int, window: Window | str = "brain", opacity: float = 0.45
) -> NDArray[np.uint8]:
    """One slice as RGB (H, W, 3) uint8 in a window, its labels in `LABEL_COLOURS` on top with a full-coloured edge."""
    _check_mask(mask)
    if mask.shape != volume.shape:
        raise UserError(f"mask of shape {mask.shape}; expected {volume.shape} like the scan; resample it first")
    if not 0 <= index < volume.shape[0]:
        raise UserError(f"slice {index}; expected 0 to {volume.shape[0] - 1}; choose one of the scan's")
    grey = to_grey_uint8(volume.voxels[index], window)
    rgb = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    labels = np.asarray(mask.voxels[index])
    colours = np.array(LABEL_COLOURS, dtype=np.float32)[np.maximum(labels, 1) - 1]
    strength = np.where(_edge(labels), 1.0, opacity)[..., None].astype(np.float32)
    blended = rgb + strength * (colours - rgb)
    return np.rint(np.where(labels[..., None] > 0, blended, rgb)).astype(np.uint8)


def _check_mask(mask: Volume) -> None:
    if not mask.is_label_map:
        raise UserError(f"a mask of modality '{mask.modality}'; expected a label map; give whole numbers 0 to 5")
    low, high = int(mask.voxels.min()), int(mask.voxels.max())
    if low < 0 or high > len(LABEL_COLOURS):
        raise UserError(f"labels from {low} to {high}; expected 0 to {len(LABEL_COLOURS)}; map them to the subtypes")


def _edge(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Labelled pixels (H, W) beside one of another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)
