"""Anatomy from FreeSurfer-style label maps with extra-cerebral tissue, the kind published with SynthSeg.

Ids: FreeSurfer's colour table for the brain (4, 43 lateral ventricles; 5, 44 inferior horns; 14 third; 15 fourth), but
136, 137, 163 and 164 for the choroid plexus; 5xx outside it: 502 artery, 506 eye, 507 other soft tissue, 509 mucosa,
511 skin, 512 spinal cord, 514 vein, 515 cortical and 516 cancellous bone, 530 optic nerve.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.datasets.phantom.anatomy import BoolArray, Parts, distance_mm
from hemobench.datasets.phantom.tissues import Tissue
from hemobench.errors import UserError
from hemobench.io.nifti import read_label_map as read_label_volume

VENTRICLES = (4, 5, 14, 15, 43, 44, 72)
# Both sides' lateral and inferior parts: every voxel of theirs touches the ventricle that it hangs in, or nearly.
PLEXUS_IDS = (136, 137, 163, 164)
GREY_IDS = (3, 8, 17, 18, 26, 28, 42, 47, 53, 54, 58, 60)
DEEP_GREY_IDS = (10, 11, 12, 13, 49, 50, 51, 52)
WHITE_IDS = (2, 7, 16, 41, 46, 77, 85, 251, 252, 253, 254, 255, 512, 530)
LEFT_IDS = (2, 3, 10, 11, 12, 13, 17, 18, 26, 28)
RIGHT_IDS = (41, 42, 49, 50, 51, 52, 53, 54, 58, 60)
CEREBELLUM_IDS = (7, 8, 46, 47)
BRAINSTEM_ID = 16
OUTER = {
    502: Tissue.ARTERY,
    506: Tissue.EYE,
    507: Tissue.MUSCLE,
    508: Tissue.MUSCLE,
    509: Tissue.MUCOSA,
    511: Tissue.SKIN,
    514: Tissue.VENOUS_SINUS,
    515: Tissue.CORTICAL_BONE,
    516: Tissue.DIPLOE,
}
MARGIN = 6


def list_label_maps(folder: Path) -> tuple[Path, ...]:
    """The NIfTI and MGZ files of a folder, in name order. Raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; expected label maps in it; give the folder that holds the .nii.gz files")
    found = sorted(path for path in folder.iterdir() if path.name.endswith((".nii", ".nii.gz", ".mgz")))
    if not found:
        raise UserError(f"no label map in {folder}; expected .nii, .nii.gz or .mgz files; give another folder")
    return tuple(found)


def read_label_map(path: Path) -> NDArray[np.int32]:
    """A label map as (Z, Y, X) in S-P-L at 1 mm, cut to the head with a margin. Raises UserError when it is none."""
    volume = read_label_volume(path)
    if not np.allclose(volume.spacing_mm, 1.0, atol=0.05):
        raise UserError(f"{path.name} has spacing {volume.spacing_mm} mm; expected 1 mm; resample it first")
    labels = volume.voxels.astype(np.int32)
    if not np.isin(labels, (2, 41)).any() or not np.isin(labels, (515, 516)).any():
        raise UserError(f"{path.name} names no white matter or no skull; expected ids 2, 41, 515; use others")
    return labels[tuple(slice(max(0, low - MARGIN), high + MARGIN) for low, high in _head_bounds(labels))]


def _head_bounds(labels: NDArray[np.int32]) -> list[tuple[int, int]]:
    solid, _ = ndimage.label(labels > 0)
    head = solid == np.bincount(solid.ravel())[1:].argmax() + 1
    bounds = [np.nonzero(head.any(axis=tuple(b for b in range(3) if b != a)))[0] for a in range(3)]
    brain_rows = np.nonzero((np.isin(labels, (16, 8, 47))).any(axis=(1, 2)))[0]
    lowest = max(int(bounds[0][0]), int(brain_rows[0]) - 45)  # the neck is never scanned
    return [(lowest, int(bounds[0][-1]) + 1)] + [(int(b[0]), int(b[-1]) + 1) for b in bounds[1:]]


def parts_from_label_map(path: Path) -> Parts:
    """Tissues, fractions, hemispheres and landmarks of one label map."""
    labels = read_label_map(path)
    grey_mask, white_mask = np.isin(labels, (*GREY_IDS, *DEEP_GREY_IDS)), np.isin(labels, WHITE_IDS)
    ventricle = np.isin(labels, VENTRICLES)
    plexus = np.isin(labels, PLEXUS_IDS)
    csf = np.isin(labels, (24, 30, 62))
    tissue = np.zeros(labels.shape, np.uint8)
    for label, name in OUTER.items():
        tissue[labels == label] = name
    neural = grey_mask | white_mask | csf
    tissue[neural] = Tissue.BRAIN
    tissue[ventricle] = Tissue.VENTRICLE
    tissue[plexus] = Tissue.CHOROID
    tissue[(labels == 507) & _fat(labels)] = Tissue.FAT
    known = neural | ventricle | plexus | np.isin(labels, tuple(OUTER)) | (labels == 0)
    tissue[~known] = Tissue.BRAIN  # rare FreeSurfer ids: all lie inside the brain
    cranium = _cranium(labels, neural | ventricle | plexus)
    tissue[cranium & np.isin(tissue, (Tissue.MUSCLE, Tissue.FAT, Tissue.AIR, Tissue.MUCOSA))] = Tissue.BRAIN
    grey, white = _fractions(grey_mask, white_mask)
    return Parts(
        tissue,
        grey,
        white,
        cranium,
        np.isin(labels, LEFT_IDS),
        np.isin(labels, RIGHT_IDS),
        np.isin(labels, (*CEREBELLUM_IDS, BRAINSTEM_ID)),
        labels == BRAINSTEM_ID,
        _landmarks(labels),
    )


def _fat(labels: NDArray[np.int32]) -> BoolArray:
    """Soft tissue under the skin, and behind the eyes: the maps do not part fat from muscle."""
    under_skin = distance_mm(labels == 511, 8.0) <= 3.5
    orbit = distance_mm(labels == 506, 20.0) <= 14
    eyes = np.argwhere(labels == 506)
    front = np.zeros(labels.shape, bool)
    if len(eyes):
        front[:, int(eyes[:, 1].min()) :, :] = True
    return under_skin | (orbit & front & (labels == 507))


def _cranium(labels: NDArray[np.int32], inner: BoolArray) -> BoolArray:
    brain = np.isin(labels, (*GREY_IDS, *DEEP_GREY_IDS, *WHITE_IDS[:10], *VENTRICLES, *PLEXUS_IDS))
    near = distance_mm(brain, 14.0) <= 12
    solid = ndimage.binary_opening(inner & near & (labels != 512), iterations=1)
    parts, _ = ndimage.label(solid)
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    bone = np.isin(labels, (515, 516))
    closed = ndimage.binary_closing(largest, iterations=4) & ~bone
    return np.asarray(ndimage.binary_fill_holes(closed), bool)


def _fractions(grey_mask: BoolArray, white_mask: BoolArray) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Hard masks as partial volumes: a blur of half a voxel, what a 1 mm scanner would have averaged."""
    soft = [ndimage.gaussian_filter(mask.astype(np.float32), 0.6) for mask in (grey_mask, white_mask)]
    return tuple((np.clip(s, 0, 1) * 255).astype(np.uint8) for s in soft)  # type: ignore[return-value]


def _landmarks(labels: NDArray[np.int32]) -> dict[str, tuple[float, float, float]]:
    def centre(*ids: int) -> NDArray[np.float64]:
        found = np.argwhere(np.isin(labels, ids))
        return found.mean(axis=0) if len(found) else np.argwhere(np.isin(labels, (2, 41))).mean(axis=0)

    third = np.argwhere(labels == 14)
    behind = third[third[:, 1] >= third[:, 1].max() - 2] if len(third) else None
    pineal = centre(10, 49) if behind is None else behind.mean(axis=0) + np.array([0, 5, 0])
    brainstem = np.argwhere(labels == BRAINSTEM_ID)
    pons = brainstem[brainstem[:, 0] > np.median(brainstem[:, 0])].mean(axis=0)
    deep_right, deep_left = centre(51, 52, 49), centre(12, 13, 10)
    suprasellar = np.array([pons[0] + 16, pons[1] - 20, (deep_left[2] + deep_right[2]) / 2])
    named = {
        "deep_right": deep_right,
        "deep_left": deep_left,
        "pons": pons,
        "pineal": pineal,
        "suprasellar": suprasellar,
    }
    return {name: (float(p[0]), float(p[1]), float(p[2])) for name, p in named.items()}
