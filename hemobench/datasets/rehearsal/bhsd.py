"""Phantoms in the layouts of BHSD, MBH-Seg and INSTANCE 2022."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.case import Loaded
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.nifti_files import write_ids, write_scan
from hemobench.datasets.rehearsal.rsna_names import rsna_scan
from hemobench.errors import UserError

RATERS = 4


def write_bhsd(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`label_192/{images,ground truths}/ID_x_ID_y.nii.gz`, qform only. "real" leaves the first mask out."""
    for number, (patient_id, loaded) in enumerate(studies):
        name = f"{rsna_scan(patient_id)}.nii.gz"
        write_scan(loaded.image, root / "label_192" / "images" / name, sform=False)
        if quirks == "clean" or number:
            ids = types_of(patient_id, loaded)
            write_ids(ids, loaded.image, root / "label_192" / "ground truths" / name, sform=False)


def write_mbh_seg(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`<case>/image.nii.gz` and `label_annot_N.nii.gz` of one to four raters whose majority is the phantom's mask.

    Of three or four, one draws a pixel more all around. "real" leaves the first case without raters.
    """
    for number, (patient_id, loaded) in enumerate(studies):
        folder = root / rsna_scan(patient_id)
        write_scan(loaded.image, folder / "image.nii.gz", sform=False)
        if quirks == "real" and not number:
            continue
        for rater, ids in enumerate(_raters(types_of(patient_id, loaded), 1 + number % RATERS), start=1):
            write_ids(ids, loaded.image, folder / f"label_annot_{rater}.nii.gz", sform=False)


def write_instance22(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`data/001.nii.gz` and `label/001.nii.gz`, binary. "real" leaves the first mask out."""
    for number, (patient_id, loaded) in enumerate(studies, start=1):
        write_scan(loaded.image, root / "data" / f"{number:03d}.nii.gz", orientation="RAS")
        if quirks == "clean" or number > 1:
            mask = types_of(patient_id, loaded) > 0
            write_ids(mask, loaded.image, root / "label" / f"{number:03d}.nii.gz", orientation="RAS")


def types_of(patient_id: str, loaded: Loaded) -> NDArray[np.uint8]:
    """Label map (D, H, W) of a study. Raises UserError where it has none: these layouts are nothing without masks."""
    if loaded.label_map is None:
        raise UserError(f"{patient_id} has no label map; expected CT phantoms; build from 'phantom'")
    return loaded.label_map


def _raters(ids: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """`count` maps with `ids` as their majority: of three or four, the first draws a pixel too wide."""
    if count < 3:
        return [ids] * count
    wide = np.where(ids == 0, ndimage.grey_dilation(ids, size=(1, 3, 3)), ids).astype(np.uint8)
    return [wide, *[ids] * (count - 1)]
