"""INSTANCE 2022 (Li et al. 2023): NIfTI head CTs with binary masks, `data/002.nii.gz` and `label/002.nii.gz`.

The challenge gave out 100 labelled scans; the 30 of validation and 70 of test have no masks. Patients are not named:
each scan is taken for one. The masks do not tell types, so `Loaded.blood_mask` has them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import INSTANCE22
from hemobench.datasets.nifti_pairs import binary, checked_folder, fingerprint, list_nifti, read_pair, unmatched
from hemobench.errors import UserError

IMAGES, MASKS = "data", "label"
_LAYOUT = f"{IMAGES}/002.nii.gz and {MASKS}/002.nii.gz"


def open_instance22(path: Path | None) -> Dataset:
    """The copy under `path`, which holds `data` and `label` (or, as unpacked, a folder that does); one Case a scan.

    Scans without a mask are named in the warnings and left out. Raises UserError for another layout.
    """
    root = checked_folder(path, INSTANCE22, _LAYOUT)
    base = next((folder for folder in (root, *sorted(root.iterdir())) if (folder / IMAGES).is_dir()), None)
    if base is None or not (base / MASKS).is_dir():
        raise UserError(
            f"{root} has no folders {IMAGES} and {MASKS}; expected {_LAYOUT}; check the path, or get it "
            f"({INSTANCE22.where})"
        )
    images, masks = list_nifti(base / IMAGES), list_nifti(base / MASKS)
    warnings = unmatched(images, masks, f"{IMAGES}/{{}}: no mask in {MASKS}; scan left out")
    warnings += unmatched(masks, images, f"{MASKS}/{{}}: no image in {IMAGES}; mask left out")
    both = sorted(set(images) & set(masks))
    if not both:
        raise UserError(f"{base} has no scan with a mask; expected {_LAYOUT}; copy it again")
    cases = tuple(
        Case(scan, scan, INSTANCE22.name, INSTANCE22.lineage, None, partial(load_binary, images[scan], masks[scan]))
        for scan in both
    )
    files = [place[scan] for place in (images, masks) for scan in both]
    return Dataset(INSTANCE22, cases, fingerprint(root, files), tuple(warnings))


def load_binary(image_path: Path, mask_path: Path) -> Loaded:
    """One scan and its mask of blood of any type, S-P-L."""
    image, ids, remarks = read_pair(image_path, mask_path)
    return Loaded(image, None, None, tuple(remarks), blood_mask=binary(ids, mask_path))
