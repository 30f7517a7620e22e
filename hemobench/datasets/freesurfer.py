"""MRI scans with FreeSurfer's segmentation, whose ventricles serve as the mask: folders as recon-all leaves them.

A folder with a scan (`T1.mgz`, `orig.mgz`, `norm.mgz` or `brain.mgz`) and a segmentation (`aseg.mgz` or a
`*+aseg.mgz`) is a case; NIfTI of these names is read too. A patient is named by the folder, less an `mri/` at its end.
Ventricles are both lateral ones with their inferior horns, the third, the fourth and the fifth, without choroid plexus.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import FREESURFER
from hemobench.datasets.nifti_pairs import checked_folder, fingerprint, read_mask_on
from hemobench.errors import UserError
from hemobench.io.nifti import read_nifti

SCANS = ("T1", "orig", "norm", "brain")
VENTRICLE_IDS = (4, 5, 14, 15, 43, 44, 72)
ENDINGS = (".mgz", ".nii.gz", ".nii")
_LAYOUT = "folders with T1.mgz or norm.mgz, and aseg.mgz or aparc+aseg.mgz"


def open_freesurfer(path: Path | None, *, image: str | None = None) -> Dataset:
    """The pairs under `path`, one Case a folder that has one.

    image: name of the scan, without its ending; by default the first of SCANS that is there. Raises UserError where
    there is no pair.
    """
    root = checked_folder(path, FREESURFER, _LAYOUT)
    names = SCANS if image is None else (image,)
    cases, files, warnings = [], [], []
    for folder, folders, entries in os.walk(root):
        folders.sort()
        here = Path(folder)
        scan, labels = _first(here, entries, names), _segmentation(here, entries)
        if scan is None and labels is None:
            continue
        place = here.parent if here.name == "mri" and here != root else here
        patient = root.resolve().name if place == root else place.relative_to(root).as_posix()
        if scan is None or labels is None:
            lacking = f"scan ({', '.join(names)})" if scan is None else "segmentation (*aseg)"
            warnings.append(f"{patient}: no {lacking}; left out")
            continue
        files += [scan, labels]
        cases.append(
            Case(patient, patient, FREESURFER.name, FREESURFER.lineage, None, partial(load_freesurfer, scan, labels))
        )
    if not cases:
        raise UserError(f"{root} has no pair of scan and segmentation; expected {_LAYOUT}; check the path")
    cases.sort(key=lambda case: case.study_id)
    return Dataset(FREESURFER, tuple(cases), fingerprint(root, files, *names), tuple(warnings))


def load_freesurfer(scan: Path, labels: Path) -> Loaded:
    """Decode one pair: MRI without unit, S-P-L, and 1 in the ventricles."""
    image = read_nifti(scan, "MR")
    ids, remarks = read_mask_on(image, scan, labels)
    if not np.isfinite(image.voxels).all():
        raise UserError(f"{scan} has voxels that are NaN or infinite; expected numbers; replace them by 0")
    return Loaded(image, np.isin(ids, VENTRICLE_IDS).astype(np.uint8), None, tuple(remarks))


def _first(folder: Path, entries: list[str], names: tuple[str, ...]) -> Path | None:
    return next(
        (folder / f"{name}{ending}" for name in names for ending in ENDINGS if f"{name}{ending}" in entries), None
    )


def _segmentation(folder: Path, entries: list[str]) -> Path | None:
    """FreeSurfer's own aseg first, else the first of those that carry the cortex's parcels too."""
    found = [
        entry
        for entry in sorted(entries)
        for ending in ENDINGS
        if entry.endswith(f"aseg{ending}") and (entry == f"aseg{ending}" or f"+aseg{ending}" in entry)
    ]
    plain = [entry for entry in found if entry.startswith("aseg.")]
    chosen = (plain or found)[:1]
    return folder / chosen[0] if chosen else None
